"""Control as textual LLVM-IR: branches, switches, calls, returns, and instructions that act on memory as a whole."""

from __future__ import annotations

from irwright.lift.blocks import Block, Call, Step
from irwright.lift.builder import literal
from irwright.lift.compared import few_cases
from irwright.lift.expressions import E, Effect, bits
from irwright.lift.program import Imm, Reg
from irwright.lift.signatures import Signature
from irwright.lift.values import Values
from irwright.lift.variadic import AREA, OVERFLOW


class Transfers(Values):
    """Emits what ends a block or leaves the function."""

    def _atomic(self, effect: Effect) -> None:
        assert effect.addr is not None and effect.value is not None
        ty = effect.value.ty
        align = bits(ty) // 8
        pointer = self.pointer(effect.addr)
        if effect.kind == "cmpxchg":
            pair = self.new(
                f"cmpxchg {pointer}, {ty} {self.value(effect.aux, ty)}, {ty} {self.value(effect.value, ty)}"
                f" seq_cst seq_cst, align {align}"
            )
            self.fixed["atomic"] = (self.new(f"extractvalue {{ {ty}, i1 }} {pair}, 0"), ty)
        else:
            old = self.new(
                f"atomicrmw {effect.aux} {pointer}, {ty} {self.value(effect.value, ty)} seq_cst, align {align}"
            )
            self.fixed["atomic"] = (old, ty)

    def _dynamic_alloca(self, effect: Effect) -> None:
        """A block of a size known at run time."""
        assert effect.value is not None
        self.fixed["alloca"] = (self.new(f"alloca i8, i64 {self.value(effect.value, 'i64')}, align 16"), "ptr")

    def _start_variadic(self, effect: Effect, others: list[Effect]) -> None:
        """Fill a va_list, one of our own where the code has none; its areas, where `others` ask for them."""
        self.names.intrinsic("llvm.va_start", "declare void @llvm.va_start(ptr)")
        self.has_own_list = self.has_own_list or effect.addr is None
        target = "%va_list" if effect.addr is None else self.address(effect.addr)
        self.line(f"call void @llvm.va_start(ptr {target})")
        for at, unit in ((16, AREA), (8, OVERFLOW)):
            if any(one.unit == unit and self.write_web(unit) is not None for one in others):
                place = self.new(f"getelementptr i8, ptr {target}, i64 {at}")
                self.fixed[unit] = (self.new(f"load ptr, ptr {place}, align 8"), "ptr")

    def _control(self, effect: Effect, step: Step) -> None:
        kind = effect.kind
        block = self.flow.blocks[self.at[0]]
        if kind == "jump":
            self.line(f"br label %b{self.labels[effect.aux]}")
        elif kind == "branch":
            assert effect.value is not None
            target, falls = block.successors[0], block.successors[1]
            test = effect.value
            if self._merged_switch(target, falls):
                return
            if target == falls:
                self.line(f"br label %b{target}")
            elif self.options.natural and self._few_cases(block, target, falls):
                return
            elif self._follows_unequal():
                is_taken = block.steps[-1].insn.mnemonic == "jnp"
                self.line(f"br label %b{target if is_taken else falls}")
            else:
                self._branch(test, target, falls)
        elif kind == "switch":
            assert effect.value is not None
            self._switch(effect)
        elif kind == "call":
            self._call(effect, step)
        elif kind == "ret":
            if effect.value is None or not any(e.kind == "call" for e in step.effects):
                self._return()
        elif kind in ("unreachable", "trap"):
            if kind == "trap":
                self.names.intrinsic("llvm.trap", "declare void @llvm.trap()")
                self.line("call void @llvm.trap()")
            self.line("unreachable")
        elif kind == "fence":
            self.line("fence seq_cst")
        elif kind == "intrinsic":
            self.names.intrinsic(effect.aux, f"declare void @{effect.aux}()")
            self.line(f"call void @{effect.aux}()")
        elif kind == "stackrestore":
            self.is_dynamic = True
            self.names.intrinsic("llvm.stackrestore", "declare void @llvm.stackrestore(ptr)")
            self.line("call void @llvm.stackrestore(ptr %stack)")
        elif kind == "string" and effect.aux[0] in ("movs", "stos"):
            self._string(effect)
        elif kind == "prefetch":
            assert effect.addr is not None
            self.names.intrinsic("llvm.prefetch.p0", "declare void @llvm.prefetch.p0(ptr, i32, i32, i32)")
            write, locality = effect.aux
            self.line(f"call void @llvm.prefetch.p0({self.pointer(effect.addr)}, i32 {write}, i32 {locality}, i32 1)")

    def _few_cases(self, block: Block, target: int, falls: int) -> bool:
        """A branch that was a switch (compared.py)."""
        found = few_cases(block)
        if found is None or any(found.changed in self.analysis.live_in[n] for n in (target, falls)):
            return False
        here = self.at
        self.at = (here[0], found.number)
        value, have = self.load_web(found.name)
        self.at = here
        ty = f"i{found.width}"
        if bits(have) < found.width:
            return False
        cases, others = (target, falls) if found.is_taken else (falls, target)
        texts = " ".join(f"{ty} {literal(case, ty)}, label %b{cases}" for case in found.cases)
        self.line(f"switch {ty} {self.coerce(value, have, ty)}, label %b{others} [ {texts} ]")
        return True

    def _branch(self, test: E, target: int, falls: int) -> None:
        """A two-way branch in the form that the options give it."""
        form = self._form(test, target)
        first, second = (falls, target) if form[0] == "f" else (target, falls)
        weights = ", !prof !1" if form.endswith("+") else ""
        if target in self.moved and falls not in self.moved:
            weights = f", !prof !{int(first == falls)}"
        value = self.unequal(self.value(test)) if self._is_unequal(target, falls) else self.value(test)
        value = value if first == target else self.inverse(value)
        self.line(f"br i1 {value}, label %b{first}, label %b{second}{weights}")

    def _form(self, test: E, target: int) -> str:
        if self.options.weights:
            # What falls through is likely, and so is a back edge.
            return "jump+" if target <= self.at[0] and self.options.hot_loops else "fall+"
        is_negated = test.op == "xor" and test.ty == "i1"
        if self.options.falls_first and (self._is_range(test) or (self.options.either and self._is_either())):
            return "jump"
        return "fall" if self.options.falls_first or is_negated else "jump"

    def _is_either(self) -> bool:
        """`sete a; setb b; or a, b; jne`: turned round, it would be `and`."""
        steps = self.flow.blocks[self.at[0]].steps
        setter = next((s.insn for s in reversed(steps[:-1]) if any(e.unit == "cc.e" for e in s.effects)), None)
        is_byte = setter is not None and all(isinstance(op, Reg) and op.width == 8 for op in setter.operands)
        return is_byte and setter is not None and setter.mnemonic == "or" and steps[-1].insn.mnemonic == "jne"

    def _is_range(self, test: E) -> bool:
        """`lea y, [x - 3]; cmp y, 4; jb`: turned round, the sum would be rewritten."""
        steps = self.flow.blocks[self.at[0]].steps
        at, setter = next(
            ((n, s.insn) for n, s in reversed([*enumerate(steps)]) if s.insn.mnemonic == "cmp"), (0, None)
        )
        if steps[-1].insn.mnemonic not in ("jb", "jbe", "jnae", "jna") or setter is None or test.ty != "i1":
            return False
        name, limit = setter.operands
        if not isinstance(name, Reg) or not isinstance(limit, Imm) or limit.ref is not None:
            return False
        before = next((s.insn for s in reversed(steps[:at]) if any(e.unit == name.name for e in s.effects)), None)
        return before is not None and before.mnemonic in ("lea", "add", "sub", "inc", "dec")

    def _is_unequal(self, target: int, falls: int) -> bool:
        """`jne x; jp x`: numbers that are not equal, or not comparable; the second jump is a block of its own."""
        block, second = self.flow.blocks[self.at[0]], self.flow.blocks[falls]
        if block.insns[-1].mnemonic not in ("jne", "jnz") or len(second.insns) != 1:
            return False
        jump = second.insns[0].mnemonic
        if second.predecessors != [self.at[0]] or jump not in ("jp", "jnp") or len(second.successors) != 2:
            return False
        return second.successors[jump == "jnp"] == target and self._sets_both(block)

    def _sets_both(self, block: Block) -> bool:
        """One instruction of the block sets what both jumps read, by a comparison of numbers."""
        last = next((s for s in reversed(block.steps) if any(e.unit in ("cc.e", "cc.p") for e in s.effects)), None)
        values = [e.value for e in last.effects if e.unit == "cc.e"] if last is not None else []
        return any(value is not None and value.op == "fcmp ueq" for value in values)

    def _follows_unequal(self) -> bool:
        """The second of two such jumps: what would lead it away has led away before."""
        before = self.flow.blocks[self.at[0]].predecessors
        if len(before) != 1 or len(self.flow.blocks[before[0]].successors) != 2:
            return False
        here = self.at
        self.at = (before[0], here[1])
        target, falls = self.flow.blocks[before[0]].successors
        is_second = falls == here[0] and self._is_unequal(target, falls)
        self.at = here
        return is_second

    def _switch(self, effect: Effect) -> None:
        assert effect.value is not None
        web = self.read_web(effect.value.aux)
        ty = web.ty if web.ty[0] == "i" else "i64"
        value = self.value(effect.value, ty) if ty == "i64" else self.narrow(effect.value, ty)
        lines = [f"switch {ty} {value}, label %unreachable{self.at[0]} ["]
        for number, target in enumerate(effect.aux):
            lines.append(f"    {ty} {number}, label %b{self.labels[target]}")
        for line in lines:
            self.line(line)
        self.line("]")
        self.lines.append(f"unreachable{self.at[0]}:")
        self.line("unreachable")

    def _merged_switch(self, target: int, falls: int) -> bool:
        """`cmp x, N; ja default` before the jump through a table of N + 1 entries is one switch."""
        block, table = self.flow.blocks[self.at[0]], self.flow.blocks[falls]
        if not table.steps or not table.steps[-1].effects or table.steps[-1].effects[-1].kind != "switch":
            return False
        if table.predecessors != [self.at[0]]:
            return False
        jump = table.steps[-1].effects[-1]
        if any(e.kind not in ("set", "kill") for step in table.steps[:-1] for e in step.effects):
            return False
        written = {e.unit for step in table.steps[:-1] for e in step.effects if e.kind == "set"}
        for case in {target, *(self.labels[place] for place in jump.aux)}:
            if written & set(self.analysis.live_in[case]):
                return False
        found = self._compared_index(block.steps, table.steps, jump)
        if found is None:
            return False
        number, value = found
        here = self.at
        self.at = (here[0], number)
        web = self.read_web(value.aux)
        self.at = here
        text = self.kept(web)
        compared = self.coerce(text, web.ty, value.ty)
        self.line(f"switch {value.ty} {compared}, label %b{target} [")
        for case, place in enumerate(jump.aux):
            if self.labels[place] != target:
                self.line(f"  {value.ty} {case}, label %b{self.labels[place]}")
        self.line("]")
        self.skipped.add(falls)
        return True

    def _compared_index(self, steps: list[Step], table: list[Step], jump: Effect) -> tuple[int, E] | None:
        """Step and register of the comparison, where that register is the table's index and is still unchanged."""
        number = next(
            (n for n in range(len(steps) - 1, -1, -1) if any(e.unit == "cc.a" for e in steps[n].effects)), None
        )
        if number is None or steps[-1].insn.mnemonic not in ("ja", "jnbe") or steps[number].insn.mnemonic != "cmp":
            return None
        test = next(e.value for e in steps[number].effects if e.unit == "cc.a")
        if test is None or test.op != "icmp ugt":
            return None
        value, limit = test.args
        assert value is not None and limit is not None
        if value.op != "reg" or limit.op != "const" or limit.aux + 1 != len(jump.aux) or value.ty not in ("i32", "i64"):
            return None
        assert jump.value is not None
        unit = jump.value.aux
        read = next((e for step in table for e in step.effects if e.unit == unit), None)
        if read is None or read.value is None or read.value.op != "reg":
            return None
        names = {value.aux}
        for step in [*steps[number + 1 :], *table]:
            if read in step.effects:  # all of an instruction's writes come after its reads
                return (number, value) if read.value.aux in names else None
            for effect in step.effects:
                if effect.kind == "set":
                    copied = effect.value
                    if (
                        copied is not None
                        and copied.op == "reg"
                        and copied.aux in names
                        and bits(copied.ty) >= bits(value.ty)
                    ):
                        names.add(effect.unit)
                    elif effect.unit == value.aux:
                        return None
                    else:
                        names.discard(effect.unit)
        return None

    def _string(self, effect: Effect) -> None:
        kind, width, count = effect.aux
        assert effect.addr is not None and effect.value is not None
        to = self.address(effect.addr)
        length = self.new(f"mul i64 {self.value(count, 'i64')}, {width // 8}")
        if kind == "movs":
            # Compilers make this of memcpy alone: the two don't overlap.
            self.names.intrinsic("llvm.memcpy.p0.p0.i64", "declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)")
            source = self.address(effect.value)
            self.line(f"call void @llvm.memcpy.p0.p0.i64(ptr {to}, ptr {source}, i64 {length}, i1 false)")
            return
        byte = self._repeated_byte(effect.value, width)
        if byte is None:
            self._fill(to, self.value(effect.value, f"i{width}"), width, self.value(count, "i64"))
            return
        self.names.intrinsic("llvm.memset.p0.i64", "declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)")
        self.line(f"call void @llvm.memset.p0.i64(ptr {to}, i8 {byte}, i64 {length}, i1 false)")

    def _scan(self, effect: Effect) -> None:
        """scas and cmps, repeated: how often, and what was compared last."""
        kind, width, count, while_equal = effect.aux
        assert effect.addr is not None and effect.value is not None
        to, limit, ty = self.address(effect.addr), self.value(count, "i64"), f"i{width}"
        first = self.value(effect.value, ty) if kind == "scas" else self.address(effect.value)
        before = next((line[:-1] for line in reversed(self.lines) if line[0] != " "), f"b{self.at[0]}")
        self.counter += 1
        name = f"scan{self.counter}"
        self.line(f"br label %{name}")
        self.lines.append(f"{name}:")
        done = self.new(f"phi i64 [ 0, %{before} ], [ %{name}.next, %{name}.body ]")
        last = [self.new(f"phi {ty} [ 0, %{before} ], [ %{name}.{side}, %{name}.body ]") for side in "ab"]
        self.line(f"br i1 {self.new(f'icmp ult i64 {done}, {limit}')}, label %{name}.body, label %{name}.end")
        self.lines.append(f"{name}.body:")
        if kind == "scas":
            self.line(f"%{name}.a = add {ty} {first}, 0")
        else:
            self.line(f"%{name}.a = load {ty}, ptr {self.new(f'getelementptr {ty}, ptr {first}, i64 {done}')}, align 1")
        self.line(f"%{name}.b = load {ty}, ptr {self.new(f'getelementptr {ty}, ptr {to}, i64 {done}')}, align 1")
        self.line(f"%{name}.next = add i64 {done}, 1")
        goes_on = self.new(f"icmp {'eq' if while_equal else 'ne'} {ty} %{name}.a, %{name}.b")
        self.line(f"br i1 {goes_on}, label %{name}, label %{name}.end")
        self.lines.append(f"{name}.end:")
        for unit, here, there, of in (
            ("done", done, "next", "i64"),
            ("a", last[0], "a", ty),
            ("b", last[1], "b", ty),
        ):
            value = self.new(f"phi {of} [ {here}, %{name} ], [ %{name}.{there}, %{name}.body ]")
            self.fixed[f"scan.{unit}"] = (value, of)

    def _fill(self, to: str, value: str, width: int, count: str) -> None:
        """`count` copies of a value, in a loop."""
        before = next((line[:-1] for line in reversed(self.lines) if line[0] != " "), f"b{self.at[0]}")
        self.counter += 1
        name = f"fill{self.counter}"
        self.line(f"br label %{name}")
        self.lines.append(f"{name}:")
        number = self.new(f"phi i64 [ 0, %{before} ], [ %{name}.next, %{name}.body ]")
        self.line(f"br i1 {self.new(f'icmp ult i64 {number}, {count}')}, label %{name}.body, label %{name}.end")
        self.lines.append(f"{name}.body:")
        self.line(f"store i{width} {value}, ptr {self.new(f'getelementptr i{width}, ptr {to}, i64 {number}')}, align 1")
        self.line(f"%{name}.next = add i64 {number}, 1")
        self.line(f"br label %{name}")
        self.lines.append(f"{name}.end:")

    def _repeated_byte(self, value: E, width: int) -> str | None:
        """The byte that a stored value repeats, where it is known to."""
        if width == 8:
            return self.value(value, "i8")
        if value.op == "reg":
            constant = self._block_constant(value.aux)
            if constant is not None:
                whole = (constant & ((1 << width) - 1)).to_bytes(width // 8, "little")
                if len(set(whole)) == 1:
                    return str(whole[0] - 256 if whole[0] > 127 else whole[0])
        return None

    def _block_constant(self, unit: str) -> int | None:
        """The constant a unit was last set to in this block."""
        index, number = self.at
        for step in reversed(self.flow.blocks[index].steps[:number]):
            for effect in step.effects:
                if effect.kind == "call" or (effect.unit == unit and effect.kind == "kill"):
                    return None
                if effect.unit == unit and effect.value is not None:
                    value = effect.value.aux
                    return value if effect.value.op == "const" and isinstance(value, int) else None
        return None

    def _call(self, effect: Effect, step: Step) -> None:
        call: Call = effect.aux
        signature = self.analysis.signatures[call.index]
        ret = next((e for e in step.effects if e.kind == "ret"), None)
        skip = ""
        if ret is not None and ret.value is not None:
            # A conditional tail call: the call in a block of its own.
            block = self.flow.blocks[self.at[0]]
            skip = f"b{block.successors[0]}"
            weights = "" if self.options.natural else ", !prof !0"
            self.line(f"br i1 {self.value(ret.value)}, label %tail{self.at[0]}, label %{skip}{weights}")
            self.lines.append(f"tail{self.at[0]}:")
            self.memo = {key: value for key, value in self.memo.items() if False}
        arguments: list[str] = []
        for number, (unit, ty) in enumerate(signature.params):
            at = self.analysis.stack_unit(unit, call)
            node = self.analysis.read_nodes.get((*self.at, at))
            attribute = signature.attributes.get(number, "")
            attribute = f" {attribute}" if attribute else ""
            if not at:
                arguments.append(f"{ty}{attribute} {self._from_memory(call, unit, ty)}")
                continue
            if node is None:
                arguments.append(f"{ty}{attribute} undef")
                continue
            value, have = self.load_web(at)
            arguments.append(f"{ty}{attribute} {self.coerce(value, have, ty, extend=True)}")
        if call.target is not None:
            callee = self.names.callee(call.name, signature)
        else:
            assert effect.value is not None
            callee = self.value(effect.value, "ptr")
        result = signature.result_text()
        marker = "tail " if call.is_tail else ""
        what = signature.type_text() if signature.is_variadic else result
        text = f"{marker}call {what} {callee}({', '.join(arguments)})"
        if signature.is_noreturn:
            text += " noreturn"
        if signature.returns_twice:
            text += " returns_twice"
        if result == "void":
            self.line(text)
        else:
            value = self.new(text)
            self._results(signature, value, result, is_tail=call.is_tail)
        if call.is_tail:
            self._return_tail(signature)

    def _from_memory(self, call: Call, unit: str, ty: str) -> str:
        """An argument out of the frame's memory, or the address of several."""
        kind, _, number = unit.partition(".")
        if kind == "area":
            self.frame_use.top = max(self.frame_use.top, call.stack + int(number))
            return self.frame(call.stack)
        return self.new(f"load {ty}, ptr {self.frame(call.stack + int(number))}, align 8")

    def _results(self, signature: Signature, value: str, result: str, *, is_tail: bool) -> None:
        self.tail_results: dict[str, tuple[str, str]] = {}
        for number, (unit, ty) in enumerate(signature.returns):
            web = self.write_web(unit)
            if web is None and not is_tail:
                continue
            one = value
            if len(signature.returns) > 1:
                one = self.new(f"extractvalue {result} {value}, {number}")
            if is_tail:
                self.tail_results[unit] = (one, ty)
            elif web is not None:
                self.store_web(web, self.coerce(one, ty, web.ty, extend=True))

    def _return_tail(self, callee: Signature) -> None:
        if not self.signature.returns:
            self._end("void", "")
            return
        results = self.tail_results if callee.returns else {}
        self._return_values([results.get(unit) for unit, _ in self.signature.returns])

    def _return(self) -> None:
        values: list[tuple[str, str] | None] = []
        for unit, _ in self.signature.returns:
            node = self.analysis.read_nodes.get((*self.at, unit))
            values.append(None if node is None else self.load_web(unit))
        self._return_values(values)

    def _return_values(self, values: list[tuple[str, str] | None]) -> None:
        texts: list[tuple[str, str]] = []
        for (_, ty), value in zip(self.signature.returns, values, strict=True):
            texts.append((ty, "undef" if value is None else self.coerce(*value, ty, extend=True)))
        if len(texts) <= 1:
            self._end(*(texts[0] if texts else ("void", "")))
        else:
            whole = self.signature.result_text()
            value = "poison"
            for number, (ty, text) in enumerate(texts):
                value = self.new(f"insertvalue {whole} {value}, {ty} {text}, {number}")
            self._end(whole, value)

    def _end(self, ty: str, value: str) -> None:
        """Return a value; where several blocks do, by one block at the end, as front ends have it."""
        if not self.one_return:
            self.line(f"ret {ty} {value}".rstrip())
            return
        if ty != "void":
            self.line(f"store {ty} {value}, ptr %result")
        self.line("br label %return")


CONTROL = frozenset(
    [
        "jump",
        "branch",
        "switch",
        "call",
        "ret",
        "unreachable",
        "trap",
        "fence",
        "intrinsic",
        "string",
        "prefetch",
        "stackrestore",
    ]
)
