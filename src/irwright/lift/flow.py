"""The control flow of one function and what each of its instructions does, the stack pointer resolved.

A forward pass carries, for every register and every stack slot pushed to, whether it holds an address in the frame
or the value a register had at entry. With it each instruction becomes effects in which the stack is `frame`
offsets; the same pass proves that callee-saved registers and the stack pointer are restored at every return.

Jump tables become a unit `jt.ADDRESS`, set where the table is read, and a `switch` on it at the jump.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from irwright.errors import LiftError, X87UnderflowError
from irwright.lift import x86_64_sse as _sse  # fills the table
from irwright.lift import x86_64_x87 as _x87
from irwright.lift.expressions import CC_UNITS, E, Effect, Ref, bits, const, reg
from irwright.lift.objects import place
from irwright.lift.program import Code, Imm, Instruction, Mem, Program, Reg, Section
from irwright.lift.tails import split_tails
from irwright.lift.x86_64 import CONDITION_CODES, TABLE, Machine

assert _sse and _x87

INTEGER_ARGUMENTS = ("rdi", "rsi", "rdx", "rcx", "r8", "r9")
FLOAT_ARGUMENTS = tuple(f"xmm{n}" for n in range(8))
CALLEE_SAVED = ("rbx", "rbp", "r12", "r13", "r14", "r15")
GENERAL = ("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", *[f"r{n}" for n in range(8, 16)])
XMM = tuple(f"xmm{n}" for n in range(16))
CALLER_SAVED = tuple(name for name in GENERAL if name not in CALLEE_SAVED) + XMM
NOT_ARGUMENTS = ("rax", "r10", "r11")
JUNK = ("junk", 0)
COMPUTED_STACK = "a stack pointer that is computed"
DYNAMIC = ("dynamic", 0)
"""the stack pointer after a block of a size known at run time was taken off it, and copies of that"""

Value = tuple[str, int | str]
"""("frame", offset), ("entry", register) or JUNK"""
State = dict[str | int, Value]


@dataclass(slots=True)
class Step:
    """One instruction and its effects."""

    insn: Instruction
    effects: list[Effect]
    stack: int
    """the stack pointer before it, from the one at entry"""
    has_frame: bool
    """an effect may name a place in the frame"""


@dataclass(slots=True)
class Block:
    """A basic block; successors by block index, in the order the terminator names them."""

    index: int
    insns: list[Instruction]
    steps: list[Step] = field(default_factory=list[Step])
    successors: list[int] = field(default_factory=list[int])
    predecessors: list[int] = field(default_factory=list[int])
    state: State | None = None


@dataclass(slots=True)
class Call:
    """A call or tail call."""

    target: Ref | None
    """None: through a pointer"""
    pointer: E | None
    is_tail: bool
    stack: int
    """the stack pointer at the call, before the return address is pushed"""
    num_vectors: int = -1
    """what `al` says of a variadic call; -1 where nothing sets it"""
    name: str = ""
    """of the callee, once known"""
    index: int = 0
    clobbered: frozenset[str] = frozenset(CALLER_SAVED)
    """registers that it may change"""
    x87_results: int = 0
    """long doubles that it gives back"""
    is_own: bool = False
    """the callee is in this file"""
    is_unsure: bool = False
    """it may change less, since not all of its code is understood"""


@dataclass(slots=True)
class Table:
    """A jump table: the places it leads to."""

    targets: list[int]
    address: tuple[int, int]
    size: int


@dataclass(slots=True)
class Flow:
    """A function as blocks of effects."""

    code: Code
    blocks: list[Block]
    tables: list[Table]
    calls: list[Call]
    lowest: int
    """the lowest stack offset that is used"""
    align: int
    """what the frame is aligned to"""
    has_frame_pointer: bool
    order: list[int]
    """block indices in reverse postorder"""
    x87_results: int = 0
    """long doubles that it gives back"""
    table_jumps: frozenset[tuple[int, int]] = frozenset()
    """(section, address) of jumps through tables"""


class FlowBuilder:
    """Builds the Flow of one function."""

    def __init__(
        self,
        program: Program,
        code: Code,
        is_noreturn: Callable[[Ref], bool],
        returns_x87: Callable[[Ref], bool],
        clobbered: Callable[[Ref], frozenset[str]],
        *,
        tails: bool = False,
    ) -> None:
        self.program = program
        self.code = code
        self.is_noreturn = is_noreturn
        self.returns_x87 = returns_x87
        self.clobbered = clobbered
        """registers that a callee may change"""
        self.tails = tails
        self.joined: dict[tuple[int, int], Instruction] = {}
        """by place: what follows in its block, where that is a copy"""
        self.by_place: dict[tuple[int, int], Instruction] = {}
        self.positions: dict[tuple[int, int], int] = {}
        self.by_end: dict[tuple[int, int], Instruction] = {}
        self.leaders: set[tuple[int, int]] = set()
        self.moved: dict[tuple[int, int], str] = {}
        self.tables: list[Table] = []
        self.table_reads: dict[tuple[int, int], tuple[str, str, int]] = {}
        self.table_jumps: dict[tuple[int, int], tuple[str, list[tuple[int, int]]]] = {}
        self.x87_calls: dict[tuple[int, int], int] = {}
        """by call: long doubles that it gives back, as what follows shows"""
        self.x87_at_return: set[int] = set()
        self.ending: set[tuple[int, int]] = set()
        """calls that do not come back, as what follows shows"""
        self.control_words = _control_words(code.instructions)
        self.is_dynamic = any(_moves_stack(insn) for insn in code.instructions)
        self.align = 16
        self.lowest = 0
        self.has_frame_pointer = False

    def build(self) -> Flow:
        """Blocks, then effects; LiftError with the reason."""
        self._index()
        self._find_tables()
        self.calls: list[Call] = []
        while True:
            self._index()
            blocks = self._blocks()
            self._split_tails(blocks)
            before = dict(self.x87_calls), set(self.ending)
            self._propagate(blocks)
            if (self.x87_calls, self.ending) == before:
                break
        if len(self.x87_at_return) > 1:
            raise LiftError("returns with different numbers of long doubles")
        order = reverse_postorder(blocks)
        reached = set(order)
        for block in blocks:
            block.predecessors = [p for p in block.predecessors if p in reached]
        self.calls = [e.aux for n in order for s in blocks[n].steps for e in s.effects if e.kind == "call"]
        for number, call in enumerate(self.calls):
            call.index = number
        return Flow(
            code=self.code,
            blocks=blocks,
            tables=self.tables,
            calls=self.calls,
            lowest=self.lowest,
            align=self.align,
            has_frame_pointer=self.has_frame_pointer,
            order=order,
            x87_results=max(self.x87_at_return, default=0),
            table_jumps=frozenset(self.table_jumps),
        )

    def _index(self) -> None:
        """Instructions by their places."""
        self.joined, self.by_place, self.positions, self.by_end = {}, {}, {}, {}
        for number, insn in enumerate(self.code.instructions):
            key = (insn.section, insn.address)
            self.by_place[key] = insn
            self.positions[key] = number
            self.by_end[insn.section, insn.end] = insn

    def _split_tails(self, blocks: list[Block]) -> None:
        """Merged ends taken apart; the copies get places of their own."""

        def may_copy(insn: Instruction) -> bool:
            place_ = (insn.section, insn.address)
            return place_ not in self.table_reads and place_ not in self.table_jumps

        shapes = [(block.insns, block.successors, block.predecessors) for block in blocks]
        for one in split_tails(shapes, may_copy, calls=self.tails):
            self.joined[one.before.section, one.before.address] = one.copies[0]
            self.by_end[one.copies[0].section, one.copies[0].address] = one.before
            for insn, original in zip(one.copies, one.originals, strict=True):
                place_ = (insn.section, insn.address)
                self.by_place[place_] = insn
                self.positions[place_] = self.positions[original.section, original.address]
                self.by_end[insn.section, insn.end] = insn

    # Places

    def target_of(self, insn: Instruction) -> Ref | None:
        """Where a direct jump or call goes."""
        op = insn.operands[0]
        if not isinstance(op, Imm):
            return None
        if op.ref is not None:
            ref = op.ref
            if ref.symbol is not None and ref.section >= 0 and self._is_own(ref):
                return Ref(None, ref.section, self._offset(ref), "direct")
            return ref
        return Ref(None, insn.section, op.value)

    def _is_own(self, ref: Ref) -> bool:
        place_ = (ref.section, self._offset(ref))
        return place_ in self.by_place

    def _offset(self, ref: Ref) -> int:
        if ref.symbol is None:
            return ref.offset
        for symbol in self.program.symbols:
            if symbol.name == ref.symbol and symbol.section == ref.section:
                return symbol.offset + ref.offset
        return ref.offset

    def inside(self, ref: Ref | None) -> tuple[int, int] | None:
        """The place in this function a reference means, if it does; the entry counts only for jumps (loops)."""
        if ref is None or ref.section < 0:
            return None
        place_ = (ref.section, self._offset(ref))
        if place_ in self.by_place:
            return place_
        for section, start, end in self.code.pieces:
            if section == place_[0] and start <= place_[1] < end:
                raise LiftError("a jump into the middle of an instruction")
        return None

    # Blocks

    def _blocks(self) -> list[Block]:
        insns = self.code.instructions
        leaders = {0}
        for number, insn in enumerate(insns):
            if insn.mnemonic[0] == "j":
                target = self.inside(self.target_of(insn)) if isinstance(insn.operands[0], Imm) else None
                if target is not None:
                    leaders.add(self.positions[target])
                leaders.add(number + 1)
            elif insn.mnemonic in ("ret", "ud2", "hlt") or self._ends(insn):
                leaders.add(number + 1)
            if number and (insns[number - 1].section, insns[number - 1].end) != (insn.section, insn.address):
                leaders.add(number)
        for _, targets in self.table_jumps.values():
            leaders.update(self.positions[target] for target in targets)
        starts = sorted(leader for leader in leaders if leader < len(insns))
        blocks = [
            Block(index=n, insns=insns[start : starts[n + 1] if n + 1 < len(starts) else len(insns)])
            for n, start in enumerate(starts)
        ]
        at = {(b.insns[0].section, b.insns[0].address): b.index for b in blocks}
        self.leaders = set(at)
        for block in blocks:
            last = block.insns[-1]
            falls = block.index + 1 if block.index + 1 < len(blocks) else -1
            if falls >= 0:
                following = blocks[falls].insns[0]
                if (following.section, following.address) != (last.section, last.end):
                    falls = -1
            block.successors = self._successors(last, at, falls)
            for successor in block.successors:
                if block.index not in blocks[successor].predecessors:
                    blocks[successor].predecessors.append(block.index)
        return blocks

    def _ends(self, insn: Instruction) -> bool:
        """A call that does not come back."""
        if insn.mnemonic == "call" and (insn.section, insn.address) in self.ending:
            return True
        if insn.mnemonic != "call" or not isinstance(insn.operands[0], Imm):
            return False
        ref = self.target_of(insn)
        return ref is not None and self.is_noreturn(ref)

    def _successors(self, last: Instruction, at: dict[tuple[int, int], int], falls: int) -> list[int]:
        key = (last.section, last.address)
        if key in self.table_jumps:
            return [at[target] for target in self.table_jumps[key][1]]
        if last.mnemonic in ("ret", "ud2", "hlt") or self._ends(last):
            return []
        if last.mnemonic == "jmp":
            target = self.inside(self.target_of(last)) if isinstance(last.operands[0], Imm) else None
            return [] if target is None else [at[target]]
        if last.mnemonic[0] == "j":
            target = self.inside(self.target_of(last))
            if falls < 0:
                raise LiftError("code that runs past its end")
            return [falls] if target is None else [at[target], falls]
        if falls < 0:
            if last.mnemonic == "call":
                return []
            raise LiftError("code that runs past its end")
        return [falls]

    # Jump tables

    def _find_tables(self) -> None:
        for number, insn in enumerate(self.code.instructions):
            if insn.mnemonic != "jmp" or isinstance(insn.operands[0], Imm):
                continue
            op = insn.operands[0]
            if isinstance(op, Mem):
                if op.ref is not None and not op.base and op.index and op.scale == 8:
                    self._absolute_table(number, insn, op.index, op.ref)
                elif op.base and op.index and op.scale == 8 and not op.disp:
                    base = self._table_base(number, op.base)
                    if base is not None:
                        self._absolute_table(number, insn, op.index, base[0])
                continue
            assert isinstance(op, Reg)
            self._relative_table(number, insn, op.name)

    def _previous_write(self, number: int, name: str, limit: int = 64) -> int | None:
        """The nearest instruction before that writes a register, in text order."""
        for at in range(number - 1, max(-1, number - limit), -1):
            insn = self.code.instructions[at]
            first = insn.operands[0] if insn.operands else None
            if isinstance(first, Reg) and first.name == name and insn.mnemonic not in ("cmp", "test", "push", "bt"):
                return at
        return None

    def _table_base(self, number: int, name: str) -> tuple[Ref, int] | None:
        """`lea name, [rip + table]`: the only such load, or the nearest before."""
        at = self._previous_write(number, name, 10_000)
        insns = self.code.instructions
        if at is not None:
            op = insns[at].operands[1] if len(insns[at].operands) > 1 else None
            if insns[at].mnemonic == "lea" and isinstance(op, Mem) and op.ref is not None and not op.base:
                return op.ref, at
        return None

    def _relative_table(self, number: int, insn: Instruction, name: str) -> None:
        insns = self.code.instructions
        add = self._previous_write(number, name, 12)
        if add is None:
            return
        if insns[add].mnemonic == "mov":
            # gcc without PIC: mov r, [table + index*8]; jmp r
            op = insns[add].operands[1]
            if isinstance(op, Mem) and op.ref is not None and not op.base and op.index and op.scale == 8:
                self._absolute_table(add, insn, op.index, op.ref)
            return
        if insns[add].mnemonic != "add":
            return
        other = insns[add].operands[1]
        if not isinstance(other, Reg):
            return
        # One of the two is the table, the other what was read from it; gcc has notrack jumps the same way.
        for offset_name, base_name in ((name, other.name), (other.name, name)):
            load = self._previous_write(add, offset_name, 16)
            if load is None or insns[load].mnemonic != "movsxd":
                continue
            op = insns[load].operands[1]
            if not isinstance(op, Mem) or op.scale != 4 or op.disp or not op.base or not op.index:
                continue
            for table_name, index_name in ((op.base, op.index),):
                if table_name != base_name and not self._copies(add, base_name, table_name):
                    continue
                base = self._table_base(load, table_name)
                if base is not None:
                    self._read_table(insn, insns[load], index_name, base[0], 4)
                    return

    def _copies(self, _number: int, _a: str, _b: str) -> bool:
        return False

    def _absolute_table(self, number: int, insn: Instruction, index: str, ref: Ref) -> None:
        self._read_table(insn, self.code.instructions[number], index, ref, 8)

    def _read_table(self, jump: Instruction, load: Instruction, index: str, ref: Ref, entry: int) -> None:
        section_index, start = ref.section, self._offset(ref)
        if section_index < 0:
            return
        section = self.program.sections[section_index]
        limit = self._bound(load, index)
        end = section.size
        if self.program.exact_places:
            later = [at for (where, at) in self.program.labels if where == section_index and at > start]
            end = min([end, *later])
        for table in self.program.tables:
            if table.section == section_index and table.start == start and table.entry_bytes == 4:
                end = table.end
        targets: list[tuple[int, int]] = []
        position = start
        while position < end and len(targets) < (limit if limit is not None else 4096):
            target = self._entry(section, start, position, entry)
            if target is None and targets and self._is_behind(section, start, position, entry):
                target = targets[0]  # for a value that the index never has, any will do
            if target is None:
                break
            targets.append(target)
            position += entry
        if not targets or (limit is not None and len(targets) < limit):
            return
        unit = f"jt.{jump.section}.{jump.address}"
        self.table_reads[load.section, load.address] = (unit, index, len(targets))
        self.table_jumps[jump.section, jump.address] = (unit, targets)
        self.tables.append(Table([t[1] for t in targets], (section_index, start), len(targets) * entry))

    def _entry(self, section: Section, start: int, position: int, entry: int) -> tuple[int, int] | None:
        relocation = section.relocations.get(position)
        if relocation is not None:
            if relocation.kind not in ("PC32", "64", "32", "32S"):
                return None
            ref = place(self.program, relocation.symbol, relocation.addend)
            offset = self._offset(ref) - (position - start if relocation.kind == "PC32" else 0)
            target = (ref.section, offset)
        else:
            if entry != 4 or section.index != self.code.pieces[0][0]:
                return None
            value = int.from_bytes(section.data[position : position + 4], "little", signed=True)
            target = (section.index, start + value)
        return target if target in self.by_place else None

    def _is_behind(self, section: Section, start: int, position: int, entry: int) -> bool:
        """An entry that means the end of this function, where no code is."""
        relocation = section.relocations.get(position)
        if relocation is None or relocation.kind != "PC32" or entry != 4:
            return False
        ref = place(self.program, relocation.symbol, relocation.addend)
        end = (ref.section, self._offset(ref) - (position - start))
        return any((index, high) == end for index, _, high in self.code.pieces)

    def _bound(self, load: Instruction, index: str) -> int | None:
        """Entries of a table by the comparison before it: `cmp index, N; ja`."""
        number = self.positions[load.section, load.address]
        insns = self.code.instructions
        names = {index}
        for at in range(number - 1, max(-1, number - 24), -1):
            insn = insns[at]
            ops = insn.operands
            if insn.mnemonic == "cmp" and isinstance(ops[0], Reg) and ops[0].name in names and isinstance(ops[1], Imm):
                for after in insns[at + 1 : at + 4]:
                    if after.mnemonic in ("ja", "jnbe"):
                        return ops[1].value + 1
                    if after.mnemonic in ("jae", "jnb"):
                        return ops[1].value
                return None
            if insn.mnemonic in ("mov", "movzx") and isinstance(ops[0], Reg) and ops[0].name in names:
                if isinstance(ops[1], Reg):
                    names.add(ops[1].name)
                elif isinstance(ops[1], Mem):
                    return None
        return None

    # Effects

    def _propagate(self, blocks: list[Block]) -> None:
        start: State = {"rsp": ("frame", 0), "bottom": ("frame", 0), "x87": ("depth", 0)}
        self.x87_at_return = set()
        for block in blocks:
            block.state = None
        start.update({name: ("entry", name) for name in (*CALLEE_SAVED, *NOT_ARGUMENTS)})
        start.update({name: ("entry", name) for name in INTEGER_ARGUMENTS})
        blocks[0].state = start
        todo = [0]
        rounds = 0
        while todo:
            block = blocks[todo.pop(0)]
            rounds += 1
            if rounds > 40 * len(blocks) + 100:
                raise LiftError("the stack pointer does not settle")
            assert block.state is not None
            state = dict(block.state)
            block.steps = []
            try:
                for insn in block.insns:
                    block.steps.append(self._step(insn, state))
            except X87UnderflowError:
                # Then the last call has a long double as its result.
                call = state.get("call")
                if call is None:
                    raise
                key = (int(call[0]), int(call[1]))
                self.x87_calls[key] = self.x87_calls.get(key, 0) + 1
                if self.x87_calls[key] > 2:
                    raise
                return
            for successor in block.successors:
                following = blocks[successor]
                if following.state is None:
                    following.state = dict(state)
                else:
                    merged = {k: v for k, v in following.state.items() if state.get(k) == v}
                    if len(merged) == len(following.state):
                        continue
                    if "rsp" not in merged and DYNAMIC in (state["rsp"], following.state.get("rsp")):
                        merged["rsp"] = DYNAMIC
                        merged["bottom"] = state["bottom"]
                    if "rsp" not in merged:
                        if self._ends_before(blocks, successor):
                            return
                        raise LiftError("stack depths that differ where paths meet")
                    if "x87" not in merged:
                        raise LiftError("x87 stack depths that differ where paths meet")
                    following.state = merged
                if successor not in todo:
                    todo.append(successor)

    def _ends_before(self, blocks: list[Block], index: int) -> bool:
        """Note that the call before a block does not come back, since the stack would not be as others leave it."""
        last = blocks[index - 1].insns[-1] if index else None
        if last is None or last.mnemonic != "call" or blocks[index - 1].successors != [index]:
            return False
        self.ending.add((last.section, last.address))
        return True

    def _step(self, insn: Instruction, state: State) -> Step:
        rsp = state.get("rsp")
        if rsp is None or rsp[0] not in ("frame", "dynamic"):
            raise LiftError(f"a stack pointer that is not known ({insn.text})")
        if rsp[0] == "frame":
            state["bottom"] = rsp
        stack = int(state["bottom"][1])
        self.lowest = min(self.lowest, stack)

        def frame(name: str) -> int | None:
            value = state.get(name)
            if value is None or value[0] != "frame":
                return None
            seen.append(name)
            return int(value[1])

        seen: list[str] = []

        machine = Machine(insn, frame, lambda name: self._was_set(insn, name))
        machine.depth = int(state["x87"][1])
        machine.rounding = int(state.get("cw", ("cw", 0))[1])
        special = _SPECIAL.get(insn.mnemonic)
        if special is not None:
            special(self, machine, insn, state, stack)
        elif insn.mnemonic[0] == "j":
            self._jump(machine, insn, state, stack)
        else:
            semantics = TABLE.get(insn.mnemonic)
            if semantics is None:
                raise LiftError(f"instruction {insn.mnemonic}")
            if insn.prefix and insn.prefix not in ("lock", "rep", "repne", "bnd", "data16", "rex64"):
                raise LiftError(f"prefix {insn.prefix}")
            try:
                semantics(machine, insn)
            except (AssertionError, IndexError, ValueError, KeyError) as error:
                raise LiftError(f"operands of {insn.mnemonic}") from error
        read = self.table_reads.get((insn.section, insn.address))
        if read is not None:
            machine.effects.append(Effect("set", read[0], machine.register(read[1], 64)))
        state["x87"] = ("depth", machine.depth)
        if rsp[0] == "dynamic" and any(e.unit == "rsp" and e.value.op == "frame" for e in machine.effects if e.value):
            machine.effects.append(Effect("stackrestore"))
        self._find_saves(machine.effects, state)
        self._transfer(machine.effects, state)
        return Step(insn, machine.effects, stack, bool(seen) or insn.mnemonic in _SPECIAL)

    def _was_set(self, insn: Instruction, name: str) -> bool:
        """True where an instruction shortly before in the same block writes the register as a whole."""
        number = self.positions[insn.section, insn.address]
        for at in range(number - 1, max(-1, number - 12), -1):
            before = self.code.instructions[at]
            if before.mnemonic[0] == "j" or before.mnemonic in ("call", "ret"):
                return False
            first = before.operands[0] if before.operands else None
            if (
                isinstance(first, Reg)
                and first.name == name
                and before.mnemonic in ("mov", "xor", "movabs", "pop", "lea")
            ):
                return True
        return False

    def _find_saves(self, effects: list[Effect], state: State) -> None:
        """Stores of a register's value at entry save it for the caller or only make room: none is a real store."""
        for effect in effects:
            if effect.kind == "store" and effect.addr is not None and effect.addr.op == "frame":
                known = self._known(effect.value, state) if effect.value is not None else None
                if known is not None and known[0] == "entry" and known[1] in (*CALLEE_SAVED, *NOT_ARGUMENTS):
                    effect.kind, effect.aux = "save", known

    def _transfer(self, effects: list[Effect], state: State) -> None:
        """What is known of registers and slots after these effects."""
        updates: list[tuple[str | int, Value | None]] = []
        for effect in effects:
            if effect.kind == "set":
                value = effect.value
                assert value is not None
                whole = not effect.partial and bits(value.ty) == 64
                known = self._known(value, state) if whole else None
                if effect.unit == "rsp" and known is None:
                    raise LiftError(COMPUTED_STACK)
                updates.append((effect.unit, known))
            elif effect.kind == "kill":
                updates.append((effect.unit, None))
            elif effect.kind in ("store", "save", "atomic", "cmpxchg"):
                assert effect.addr is not None and effect.value is not None
                if effect.addr.op == "frame":
                    offset, size = int(effect.addr.aux), bits(effect.value.ty) // 8
                    self.lowest = min(self.lowest, offset)
                    for at in [k for k in state if isinstance(k, int) and k < offset + size and offset < k + 8]:
                        updates.append((at, None))
                    if effect.kind in ("store", "save") and size == 8:
                        updates.append((offset, self._known(effect.value, state) or JUNK))
            elif effect.kind == "call":
                for name in (*effect.aux.clobbered, *CC_UNITS_):
                    updates.append((name, None))
            is_far = effect.kind in ("call", "string") or (effect.kind in ("store", "atomic", "cmpxchg")
                      and effect.addr is not None and effect.addr.op != "frame")  # fmt: skip
            if is_far:
                # A pointer that lies in memory may be another one now; what the prologue saved is nobody else's.
                updates += [(at, None) for at, held in state.items() if isinstance(at, int) and held[0] == "frame"]
        for unit, known in updates:
            if known is None or (known == JUNK and isinstance(unit, str)):
                state.pop(unit, None)
            else:
                state[unit] = known

    def _known(self, value: E, state: State) -> Value | None:
        if value.op == "frame":
            return ("frame", int(value.aux))
        if value.op == "fixed" and value.aux == "alloca":
            return DYNAMIC
        if value.op == "reg":
            return state.get(value.aux)
        if value.op == "load" and value.args[0] is not None and value.args[0].op == "frame":
            known = state.get(int(value.args[0].aux))
            return known if known != JUNK else None
        return None

    # Control transfer and the stack

    def _call(self, m: Machine, insn: Instruction, state: State, stack: int) -> None:
        ref = self.target_of(insn) if isinstance(insn.operands[0], Imm) else None
        called = insn.operands[0]
        through = called.ref if isinstance(called, Mem) else ref
        if through is not None and through.symbol == "__tls_get_addr":
            # Its argument was made the address already (Machine.address).
            m.set("rax", reg("i64", "rdi"))
            m.kill(*[name for name in (*CALLER_SAVED, *CC_UNITS_) if name != "rax"])
            return
        pointer = m.read(called) if ref is None else None
        if ref is not None and ref.symbol is None and not self._is_function(ref):
            raise LiftError("a call to a place that is no function")
        if m.depth:
            raise LiftError("a call with values on the x87 stack")
        call = Call(target=ref, pointer=pointer, is_tail=False, stack=stack, num_vectors=self._vectors(insn))
        call.x87_results = self.x87_calls.get((insn.section, insn.address), 0)
        if not call.x87_results and ref is not None and self.returns_x87(ref):
            call.x87_results = 1
        m.depth = call.x87_results
        if ref is not None:
            call.clobbered = self.clobbered(ref)
        state["call"] = (str(insn.section), insn.address)
        m.effects.append(Effect("call", aux=call, value=pointer))
        if self._ends(insn):
            m.effects.append(Effect("unreachable"))

    def _vectors(self, insn: Instruction) -> int:
        """The constant that the block gives to `al` before a call, -1 for none."""
        before = self.by_end.get((insn.section, insn.address))
        at = insn
        while before is not None and (at.section, at.address) not in self.leaders:
            ops = before.operands
            if ops and isinstance(ops[0], Reg) and ops[0].name == "rax":
                if before.mnemonic == "xor" and ops[0] == ops[1]:
                    return 0
                if before.mnemonic == "mov" and isinstance(ops[1], Imm) and 0 <= ops[1].value <= 8:
                    return ops[1].value
                if before.mnemonic not in ("cmp", "test", "push"):
                    return -1
            if before.mnemonic == "call":
                return -1
            at, before = before, self.by_end.get((before.section, before.address))
        return -1

    def _is_function(self, ref: Ref) -> bool:
        return ref.section >= 0

    def _return(self, m: Machine, insn: Instruction, state: State, stack: int) -> None:
        if insn.operands:
            raise LiftError("a return that pops arguments")
        self._check_restored(state, stack)
        self.x87_at_return.add(m.depth)
        m.effects.append(Effect("ret"))

    def _check_restored(self, state: State, stack: int) -> None:
        if stack != 0:
            raise LiftError("a return with values left on the stack")
        for name in CALLEE_SAVED:
            if state.get(name) != ("entry", name):
                raise LiftError(f"a return with {name} changed")

    def _jump(self, m: Machine, insn: Instruction, state: State, stack: int) -> None:
        condition = None if insn.mnemonic == "jmp" else insn.mnemonic[1:]
        if condition is not None and condition not in CONDITION_CODES:
            raise LiftError(f"instruction {insn.mnemonic}")
        table = self.table_jumps.get((insn.section, insn.address))
        if table is not None:
            m.effects.append(Effect("switch", value=reg("i64", table[0]), aux=table[1]))
            return
        ref = self.target_of(insn) if isinstance(insn.operands[0], Imm) else None
        inside = self.inside(ref)
        test = None if condition is None else m.condition(condition)
        if ref is not None and inside is not None:
            m.effects.append(Effect("branch" if test else "jump", value=test, aux=inside))
            return
        if ref is not None and ref.symbol is None and not self._is_function(ref):
            raise LiftError("a jump out of the function")
        pointer = m.read(insn.operands[0]) if ref is None else None
        if ref is None and (isinstance(insn.operands[0], Mem) and insn.operands[0].index):
            raise LiftError("a jump table that is not understood")
        if ref is None and stack != 0:
            raise LiftError("an indirect jump that is not understood")
        self._check_restored(state, stack)
        if m.depth:
            raise LiftError("a jump to a function with values on the x87 stack")
        call = Call(target=ref, pointer=pointer, is_tail=True, stack=0, num_vectors=self._vectors(insn))
        if ref is not None and self.returns_x87(ref):
            call.x87_results = 1
            self.x87_at_return.add(1)
        m.effects.append(Effect("call", value=pointer, aux=call))
        m.effects.append(Effect("ret", value=test))

    def _push(self, m: Machine, insn: Instruction, state: State, stack: int) -> None:
        op = insn.operands[0]
        value = m.read(op, "i64") if isinstance(op, Imm) else m.read(op)
        if bits(value.ty) != 64:
            raise LiftError("a push of 16 bits")
        slot = E("frame", "i64", (), stack - 8)
        is_dynamic = state["rsp"] == DYNAMIC
        if not is_dynamic:
            m.set("rsp", slot)
            self.lowest = min(self.lowest, stack - 8)
        joined = self.joined.get((insn.section, insn.address))
        following = joined or self.by_place.get((insn.section, insn.end))
        is_popped = following is not None and following.mnemonic == "pop" and isinstance(following.operands[0], Reg)
        if following is not None and is_popped and (joined or (insn.section, insn.end) not in self.leaders):
            # `push 5; pop rax` is a short way to say `mov rax, 5`; the memory below the stack is no object.
            if isinstance(op, Imm) and op.ref is None and op.value >= 0:
                value = const("i32", op.value)
            self.moved[following.section, following.address] = f"p{insn.address}"
            m.set(f"p.{insn.address}", value)
            return
        if is_dynamic:
            raise LiftError("a push below memory of a size known at run time")
        m.store(slot, value)

    def _pop(self, m: Machine, insn: Instruction, state: State, stack: int) -> None:
        op = insn.operands[0]
        if not isinstance(op, Reg) or op.width != 64:
            raise LiftError("a pop to memory")
        known = state.get(stack)
        source = self.by_end.get((insn.section, insn.address))
        if (insn.section, insn.address) in self.moved and source is not None:
            pushed = source.operands[0]
            small = isinstance(pushed, Imm) and pushed.ref is None and pushed.value >= 0
            value = (
                const("i32", pushed.value) if small and isinstance(pushed, Imm) else reg("i64", f"p.{source.address}")
            )
            if isinstance(pushed, Imm) and pushed.ref is None and not small:
                value = const("i64", pushed.value)
            m.set(op.name, value)
        elif known is not None and known[0] == "entry" and known[1] in NOT_ARGUMENTS:
            m.kill(op.name)  # only gives back the room of a push
        elif state["rsp"] == DYNAMIC:
            raise LiftError("a pop from memory of a size known at run time")
        else:
            m.write(op, E("load", "i64", (E("frame", "i64", (), stack),), 8))
        if state["rsp"] != DYNAMIC:
            m.set("rsp", E("frame", "i64", (), stack + 8))

    def _control_word(self, _m: Machine, insn: Instruction, state: State, _stack: int) -> None:
        """fldcw: into another rounding mode for a conversion, and back."""
        place_ = insn.operands[0]
        rounding = self.control_words.get(place_) if isinstance(place_, Mem) else None
        if rounding is None or rounding < 0:
            raise LiftError("fldcw of an unknown control word")
        state.pop("cw", None)
        if rounding:
            state["cw"] = ("cw", rounding)

    def _takes_room(self, insn: Instruction, name: str) -> bool:
        """True where a size is subtracted from the stack pointer, or from a copy of it made just before."""
        if name == "rsp":
            return True
        if not self.is_dynamic:
            return False
        number = self.positions[insn.section, insn.address]
        for before in reversed(self.code.instructions[max(0, number - 8) : number]):
            first = before.operands[0] if before.operands else None
            if isinstance(first, Reg) and first.name == "rsp":
                return False
            if isinstance(first, Reg) and first.name == name:
                source = before.operands[1] if len(before.operands) > 1 else None
                return before.mnemonic == "mov" and isinstance(source, Reg) and source.name == "rsp"
        return False

    def _leave(self, m: Machine, _insn: Instruction, state: State, _stack: int) -> None:
        base = state.get("rbp")
        if base is None or base[0] != "frame":
            raise LiftError("leave without a frame pointer")
        at = int(base[1])
        m.set("rbp", E("load", "i64", (E("frame", "i64", (), at),), 8))
        m.set("rsp", E("frame", "i64", (), at + 8))

    def _arithmetic(self, m: Machine, insn: Instruction, state: State, stack: int) -> None:
        """add, sub, and, lea, mov on registers that hold frame addresses."""
        target = insn.operands[0]
        if isinstance(target, Reg) and target.width == 64 and not insn.prefix:
            before = m.frame(target.name)
            source = insn.operands[1] if len(insn.operands) > 1 else None
            if insn.mnemonic == "sub" and not isinstance(source, Imm) and self._takes_room(insn, target.name):
                assert source is not None
                m.effects.append(Effect("alloca", value=m.read(source)))
                m.set(target.name, E("fixed", "i64", (), "alloca"))
                m.flags()
                return
            if before is not None and isinstance(source, Imm) and source.ref is None:
                if insn.mnemonic in ("add", "sub"):
                    change = source.value if insn.mnemonic == "add" else -source.value
                    m.set(target.name, E("frame", "i64", (), before + change))
                    m.flags()
                    return
                if insn.mnemonic == "and" and target.name == "rsp" and source.value < 0:
                    size = -source.value
                    if size & (size - 1) == 0 and size <= 4096:
                        # The stack pointer plus 8 is a multiple of 16 at entry; of more, if the frame is so made.
                        self.align = max(self.align, size)
                        m.set("rsp", E("frame", "i64", (), _down(before, size)))
                        m.flags()
                        return
            if target.name == "rbp" and insn.mnemonic == "mov" and isinstance(source, Reg) and source.name == "rsp":
                self.has_frame_pointer = True
        if isinstance(target, Reg) and target.name == "rsp" and target.width != 64:
            raise LiftError("part of the stack pointer written")
        TABLE[insn.mnemonic](m, insn)


def _moves_stack(insn: Instruction) -> bool:
    """True for instructions that move the stack pointer by what is known at run time only."""
    first = insn.operands[0] if insn.operands else None
    if not isinstance(first, Reg) or first.name != "rsp" or len(insn.operands) < 2:
        return False
    source = insn.operands[1]
    if insn.mnemonic == "sub":
        return not isinstance(source, Imm)
    return insn.mnemonic == "mov" and isinstance(source, Reg) and source.name != "rbp"


def _control_words(insns: list[Instruction]) -> dict[Mem, int]:
    """Places that hold an x87 control word: as it was (0), or with another rounding mode."""
    found: dict[Mem, int] = {}
    for number, insn in enumerate(insns):
        first = insn.operands[0] if insn.operands else None
        if insn.mnemonic == "fnstcw" and isinstance(first, Mem):
            found[first] = 0
        if insn.mnemonic != "mov" or not isinstance(first, Mem) or first.width != 16:
            continue
        source = insn.operands[1]
        for before in reversed(insns[max(0, number - 12) : number]):
            target = before.operands[0] if before.operands else None
            if not isinstance(target, Reg) or not isinstance(source, Reg) or target.name != source.name:
                continue
            mask = before.operands[1] if before.mnemonic == "or" else None
            if isinstance(mask, Imm):
                found[first] = mask.value & 0xFF if target.high else mask.value >> 8 & 0xFF
                found[first] = found[first] if found[first] in (4, 8, 12) else -1
            break
    return found


def _down(offset: int, size: int) -> int:
    """The offset below that is aligned, where entry + 8 is."""
    return (offset + 8) // size * size - 8


CC_UNITS_ = (*CC_UNITS,)
X87_UNITS = tuple(f"f{n}" for n in range(8))

_SPECIAL: dict[str, Callable[[FlowBuilder, Machine, Instruction, State, int], None]] = {
    "call": FlowBuilder._call,  # pyright: ignore[reportPrivateUsage]
    "ret": FlowBuilder._return,  # pyright: ignore[reportPrivateUsage]
    "push": FlowBuilder._push,  # pyright: ignore[reportPrivateUsage]
    "pop": FlowBuilder._pop,  # pyright: ignore[reportPrivateUsage]
    "fldcw": FlowBuilder._control_word,  # pyright: ignore[reportPrivateUsage]
    "leave": FlowBuilder._leave,  # pyright: ignore[reportPrivateUsage]
    "add": FlowBuilder._arithmetic,  # pyright: ignore[reportPrivateUsage]
    "sub": FlowBuilder._arithmetic,  # pyright: ignore[reportPrivateUsage]
    "and": FlowBuilder._arithmetic,  # pyright: ignore[reportPrivateUsage]
    "mov": FlowBuilder._arithmetic,  # pyright: ignore[reportPrivateUsage]
    "lea": FlowBuilder._arithmetic,  # pyright: ignore[reportPrivateUsage]
}


def reverse_postorder(blocks: list[Block]) -> list[int]:
    """Indices of the blocks reached from the first, each before what it leads to (loops aside)."""
    seen = {0}
    order: list[int] = []
    stack: list[tuple[int, int]] = [(0, 0)]
    while stack:
        index, at = stack.pop()
        successors = blocks[index].successors
        while at < len(successors) and successors[at] in seen:
            at += 1
        if at < len(successors):
            stack.append((index, at + 1))
            seen.add(successors[at])
            stack.append((successors[at], 0))
        else:
            order.append(index)
    return order[::-1]
