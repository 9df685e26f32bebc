"""A function's webs and effects as textual LLVM-IR: one variable for each web, an alloca that SROA removes.

Nothing is optimised here; values are computed where the machine computed them, in types that the webs have.
"""

from __future__ import annotations

from collections.abc import Callable

from irwright.lift.blocks import Step
from irwright.lift.expressions import E, Effect, bits, is_table_entry, walk
from irwright.lift.program import Imm
from irwright.lift.transfers import CONTROL, Transfers
from irwright.lift.values import volatile_text
from irwright.lift.webs import Web

TURNED = frozenset(["jae", "jbe", "jge", "jle", "jnb", "jna", "jnl", "jng"])
MOVES = frozenset(["mov", "movzx", "movsx", "movsxd"])


def _is_plain(load: E, unit: str, written: set[str]) -> bool:
    """A load at a register plus a number, and perhaps plus an index that was not written meanwhile."""
    address = load.args[0]
    if address is None or address.op != "addr" or address.aux.ref is not None or address.aux.segment or load.aux < 0:
        return False
    base, index = address.args
    if index is not None and (index.op != "reg" or index.aux in written or index.aux == unit):
        return False
    return base is not None and base.op == "reg" and base.aux == unit


def is_place(value: E | None) -> bool:
    """The address of a place that has a name."""
    if value is None or value.op != "addr" or value.args != (None, None):
        return False
    return value.aux.ref is not None and value.aux.ref.kind == "direct"


def _constants_last_first(roots: list[int], constants: dict[int, list[tuple[int, int, int, int]]]) -> list[int]:
    """Variables as written, but where a block sets several to constants, the last one first.

    Code generation makes constants in the opposite order of those who want them, ahead of all copies; one that is
    wanted twice is copied the second time.
    """
    order = list(roots)
    turned: set[int] = set()
    for index in sorted(constants):
        made: dict[tuple[int, int], int] = {}
        for _, root, *constant in sorted(constants[index]):
            made.setdefault((constant[0], constant[1]), root)
        group = [root for root in dict.fromkeys(made.values()) if root not in turned]
        turned.update(group)
        places = sorted(order.index(root) for root in group)
        for place, root in zip(places, reversed(group), strict=True):
            order[place] = root
    return order


class Emitter(Transfers):
    """Emits one function."""

    def function(self, header: Callable[[list[str]], str]) -> str:
        """The whole definition; `header` makes the define line of parameter texts."""
        self._name_webs()
        body = self._body()
        entry = ["entry:"]
        result = self.signature.result_text()
        if self.one_return and result != "void":
            entry.append(f"  %result = alloca {result}, align 8")
            body += ["return:", f"  %given = load {result}, ptr %result", f"  ret {result} %given"]
        elif self.one_return:
            body += ["return:", "  ret void"]
        for web in self._in_order():
            if web.name:
                entry.append(f"  %{web.name} = alloca {web.ty}, align 8")
                if id(web) in self.counters:
                    entry.append(f"  %{web.name}.count = alloca {'i64' if web.ty == 'ptr' else web.ty}, align 8")
        self._make_objects(entry)
        if self.has_own_list:
            entry.append("  %va_list = alloca [24 x i8], align 8")
        if self.is_dynamic:
            self.names.intrinsic("llvm.stacksave", "declare ptr @llvm.stacksave()")
            entry.append("  %stack = call ptr @llvm.stacksave()")
        parameters = self._parameters(entry)
        entry.append("  br label %b0")
        head = header(parameters)
        if self.adds_to_pointers and not self.is_likely and any("  store ptr null, ptr %" in line for line in body):
            head += " null_pointer_is_valid"  # what counts from 0 may be the number, and what is added the pointer
        return head + " {\n" + "\n".join([*entry, *body]) + "\n}\n"

    def _body(self) -> list[str]:
        """The lines of all blocks, in the order in which code generation finds what it made before."""
        blocks = self.flow.blocks
        for block in blocks:
            self.labels[block.insns[0].section, block.insns[0].address] = block.index
        order = sorted(self.flow.order)
        if self.options.cold:
            self.moved = self._moved(order)
        self.one_return = self.options.one_return and self._num_returns() > 1
        jumps: list[str] = []
        bodies: dict[int, list[str]] = {}
        for index in order:
            lines = bodies[index] = self._block(index)
            label = f"tail{index}:"  # a jump to another function: code generation turns one round that comes next
            if self.options.natural and label in lines and not self._is_turned(index):
                at = lines.index(label)
                jumps += lines[at:]
                del lines[at:]
        places = self._places(order)
        placed = self._natural(places) if self.options.natural else places
        return [line for index in placed if index not in self.skipped for line in bodies[index]] + jumps

    def _block(self, index: int) -> list[str]:
        """The lines of one block, its label first."""
        block = self.flow.blocks[index]
        self.lines, self.current = [], {}
        for number, step in enumerate(block.steps):
            self.at = (index, number)
            self._step(step)
            if self.options.early_loads:
                self._load_early(index, number)
        if not self._is_terminated():
            self.line(f"br label %b{block.successors[0]}" if block.successors else "unreachable")
        return [f"b{index}:", *self.lines]

    def _make_objects(self, entry: list[str]) -> None:
        """Write an alloca for each object of the frame that is used, and where it begins to live."""
        # Intrinsics are written as LLVM 17 has them: later versions read that and write their own.
        ends = [*self.frame_use.starts[1:], self.frame_use.top]
        births: list[str] = []
        for start, end in reversed([*zip(self.frame_use.starts, ends, strict=True)]):
            if start in self.used_objects:
                align = self._alignment(start, end - start)
                name = self._object_name(start)
                entry.append(f"  {name} = alloca [{max(end - start, 1)} x i8], align {align}")
                if self.options.lifetimes:
                    self.names.intrinsic("llvm.lifetime.start.p0", "declare void @llvm.lifetime.start.p0(i64, ptr)")
                    births.append(f"  call void @llvm.lifetime.start.p0(i64 {max(end - start, 1)}, ptr {name})")
        entry += births

    def _num_returns(self) -> int:
        """How many blocks leave the function by a return or a call in its place."""
        return sum(
            any(effect.kind == "ret" or (effect.kind == "call" and effect.aux.is_tail) for effect in step.effects)
            for index in self.flow.order
            for step in self.flow.blocks[index].steps
        )

    def _alignment(self, start: int, size: int) -> int:
        """What the place of an object allows; of a small one among several, what its size asks for."""
        place = min(self.flow.align, (start + 8) & -(start + 8) or self.flow.align)
        is_loose = any(start <= at < start + size and not (at - start) % 16 for at in self.frame_use.loose)
        if self.is_likely and is_loose:
            return min(place, 8)
        if len(self.frame_use.starts) == 1 or size > 8 or size & (size - 1):
            return place
        return min(place, size)

    def _in_order(self) -> list[Web]:
        """Variables in the order of their allocas."""
        if not self.options.reversed_webs:
            return list(self.webs.values())
        first: dict[int, tuple[int, int, int]] = {}
        constants: dict[int, list[tuple[int, int, int, int]]] = {}
        """by block: where variables get which constants"""
        for count, ((index, number, unit), node) in enumerate(self.analysis.write_nodes.items()):
            root, at = self.analysis.find(node), (index, number, count)
            first[root] = min(first.get(root, (1 << 30, 0, 0)), at)
            values = [e.value for e in self.flow.blocks[index].steps[number].effects if e.unit == unit]
            width = bits(self.webs[root].ty) if root in self.webs else 0
            if width in (32, 64) and values and values[0] is not None and values[0].op == "const":
                constants.setdefault(index, []).append((number, root, width, values[0].aux))
        written = sorted(self.webs, key=lambda root: first.get(root, (-1, 0, 0)))
        return [self.webs[root] for root in reversed(_constants_last_first(written, constants))]

    def _places(self, order: list[int]) -> list[int]:
        """The blocks in the order in which they are written."""
        if not self.options.apart:
            return order
        left = dict.fromkeys(order)
        placed: list[int] = []
        index = order[0]
        while True:
            left.pop(index)
            placed.append(index)
            if not left:
                return placed
            ways = self.flow.blocks[index].successors
            if len(set(ways)) == 2 and self._is_turned(index):
                target, falls = ways
                index = target if target in left else next((n for n in left if n != falls), falls)
            else:
                index = index + 1 if index + 1 in left else next(iter(left))

    def _natural(self, order: list[int]) -> list[int]:
        """No block before what leads to it, loops aside: code generation moves what is unlikely to the end."""
        place = {index: number for number, index in enumerate(order)}
        waits = dict.fromkeys(order, 0)
        back = self._back_edges(order)
        for index in order:
            for successor in set(self.flow.blocks[index].successors):
                if (index, successor) not in back:
                    waits[successor] += 1
        ready = [order[0]]
        placed: list[int] = []
        while ready:
            index = min(ready, key=place.__getitem__)
            if placed:
                following = [n for n in self.flow.blocks[placed[-1]].successors if n in ready]
                index = min(following, key=place.__getitem__, default=index)
            ready.remove(index)
            placed.append(index)
            for successor in set(self.flow.blocks[index].successors):
                if (index, successor) not in back:
                    waits[successor] -= 1
                    if not waits[successor]:
                        ready.append(successor)
        return placed

    def _moved(self, order: list[int]) -> set[int]:
        """Blocks that stand behind what they lead to, and those that lead to them alone."""
        back = self._back_edges(order)
        found: set[int] = set()
        for index in reversed(order):
            ways = [n for n in self.flow.blocks[index].successors if (index, n) not in back]
            if ways and all(n < index or n in found for n in ways):
                found.add(index)
        return found

    def _back_edges(self, order: list[int]) -> set[tuple[int, int]]:
        """Edges to blocks that a walk in depth has not left yet."""
        found: set[tuple[int, int]] = set()
        seen, inside = {order[0]}, {order[0]}
        todo = [(order[0], iter(self.flow.blocks[order[0]].successors))]
        while todo:
            index, successors = todo[-1]
            following = next(successors, None)
            if following is None:
                todo.pop()
                inside.discard(index)
            elif following in inside:
                found.add((index, following))
            elif following not in seen:
                seen.add(following)
                inside.add(following)
                todo.append((following, iter(self.flow.blocks[following].successors)))
        return found

    def _is_turned(self, index: int) -> bool:
        """True for a comparison with a constant whose jump is the negation of what instruction selection makes."""
        block = self.flow.blocks[index]
        last = block.insns[-1]
        if last.mnemonic not in TURNED or len(block.insns) < 2:
            return False
        test = next(
            (insn for insn in reversed(block.insns[:-1]) if insn.mnemonic in ("cmp", "test", "sub", "add")), None
        )
        if test is None or test.mnemonic != "cmp":
            return False
        limit = test.operands[1]
        return isinstance(limit, Imm) and limit.ref is None and limit.value != 0

    def _is_terminated(self) -> bool:
        last = self.lines[-1].lstrip() if self.lines else ""
        return last.startswith(("br ", "ret ", "unreachable", "switch ", "]"))

    def _name_webs(self) -> None:
        used: dict[str, int] = {}
        for web in self.webs.values():
            if not web.width:
                continue
            base = web.unit.replace("cc.", "if_").replace(".", "_").replace("-", "m")
            number = used.get(base, 0)
            used[base] = number + 1
            web.name = f"{base}.{number}"

    def _parameters(self, entry: list[str]) -> list[str]:
        texts: list[str] = []
        entry_web = {unit: self.webs[self.analysis.find(n)] for n, unit in self.analysis.entry_nodes.items()}
        self.lines = []
        for number, (unit, ty) in enumerate(self.signature.params):
            attribute = self.signature.attributes.get(number, "")
            texts.append(f"{ty} {attribute + ' ' if attribute else ''}%a{number}")
            at = unit if not unit.startswith("stack.") else f"s{8 + int(unit[6:])}"
            web = entry_web.get(at)
            if web is not None and web.name:
                value = self.coerce(f"%a{number}", ty, web.ty, extend=True)
                self.store_web(web, value, starts=True)
        entry += self.lines
        self.lines = []
        return texts

    def _step(self, step: Step) -> None:
        self.memo = {}
        self.fixed = {}
        pending: list[tuple[Web, str]] = []
        stores: list[tuple[Effect, str, str, str]] = []
        for effect in step.effects:
            kind = effect.kind
            if kind in ("atomic", "cmpxchg"):
                self._atomic(effect)
            elif kind == "alloca":
                self._dynamic_alloca(effect)
            elif kind == "string" and effect.aux[0] in ("scas", "cmps"):
                self._scan(effect)
            elif kind == "va_start":
                self._start_variadic(effect, step.effects)
        for effect in step.effects:
            kind = effect.kind
            if kind == "set":
                web = self.write_web(effect.unit)
                if web is not None:
                    pending.append((web, self._set_value(effect, web, effect.unit)))
            elif kind == "store":
                assert effect.addr is not None and effect.value is not None
                slot = self.analysis.slot(effect.addr)
                if slot:
                    web = self.write_web(slot)
                    if web is not None:
                        pending.append((web, self._set_value(effect, web, slot)))
                    continue
                ty = self.natural(effect.value)
                stores.append((effect, ty, self.value(effect.value, ty), self.pointer(effect.addr)))
        for effect, ty, value, pointer in stores:
            self.line(f"store {volatile_text(effect.aux)}{ty} {value}, {pointer}, align {self._align(effect.aux, ty)}")
        for effect in step.effects:
            if effect.kind in CONTROL:
                # Writes first: a branch ends the block.
                self._write(pending)
                pending = []
                self._control(effect, step)
        self._write(pending)

    def _load_early(self, index: int, number: int) -> None:
        """Load where an address is taken from the linker's table what a later instruction reads there.

        Instruction selection makes the address with the load, and folds the load into its user afterwards. No store
        or call may lie between.
        """
        steps = self.flow.blocks[index].steps
        found = [e for e in steps[number].effects if e.kind == "set" and (is_table_entry(e.value) or is_place(e.value))]
        if len(found) != 1:
            return
        unit = found[0].unit
        written: set[str] = set()
        for later in range(number + 1, len(steps)):
            step = steps[later]
            nodes = [n for e in step.effects for root in (e.value, e.addr) for n in walk(root) if n.op == "load"]
            wanted = next((n for n in nodes if _is_plain(n, unit, written)), None)
            if wanted is not None:
                if step.insn.mnemonic not in MOVES:
                    self.at, self.memo = (index, later), {}
                    ty = "ptr" if step.insn.mnemonic in ("call", "jmp") else wanted.ty
                    self.loaded[id(wanted)] = (ty, self._load(wanted, ty))
                return
            if any(e.kind not in ("set", "kill", "save") or e.unit == unit for e in step.effects):
                return
            written |= {e.unit for e in step.effects}

    def _write(self, pending: list[tuple[Web, str]]) -> None:
        for web, value in pending:
            self.store_web(web, value)

    def _set_value(self, effect: Effect, web: Web, unit: str) -> str:
        """The value a web gets, at the web's type."""
        value = effect.value
        assert value is not None
        width = bits(value.ty)
        demand = self.analysis.step_demand[(*self.at, unit)]
        is_slot = effect.kind == "store"
        partial = effect.partial or is_slot
        if partial and demand > width:
            return self._merge(value, web, unit)
        ty = web.ty
        if bits(ty) <= width:
            if bits(ty) == width:
                return self.value(value, ty)
            return self.narrow(value, ty)
        natural = self.natural(value)
        return self.coerce(self.value(value, natural), natural, ty, extend=not partial)

    def _merge(self, value: E, web: Web, unit: str) -> str:
        """A partial write whose old upper bits are read."""
        total = f"i{bits(web.ty)}"
        width = bits(value.ty)
        node = self.analysis.read_nodes.get((*self.at, unit))
        source = None if node is None else self.webs[self.analysis.find(node)]
        small = self.value(value, f"i{width}")
        wide = self.new(f"zext i{width} {small} to {total}")
        if source is None or not source.has_definition:
            return self.coerce(wide, total, web.ty)
        old_value, old_ty = self.load_web(unit)
        old = self.coerce(old_value, old_ty, total, extend=True)
        mask = ((1 << bits(web.ty)) - 1) ^ ((1 << width) - 1)
        kept = self.new(f"and {total} {old}, {mask}")
        return self.coerce(self.new(f"or {total} {kept}, {wide}"), total, web.ty)
