"""The control flow of one function and what each of its instructions does, the stack pointer resolved.

A forward pass carries, for every register and every stack slot pushed to, whether it holds an address in the frame
or the value a register had at entry. With it each instruction becomes effects in which the stack is `frame`
offsets; the same pass proves that callee-saved registers and the stack pointer are restored at every return.
"""

from __future__ import annotations

from irwright.errors import LiftError, X87UnderflowError
from irwright.lift.blocks import (
    CALLEE_SAVED,
    CC_UNITS_,
    DYNAMIC,
    INTEGER_ARGUMENTS,
    JUNK,
    NOT_ARGUMENTS,
    Block,
    Call,
    Flow,
    State,
    Step,
    Value,
    reverse_postorder,
)
from irwright.lift.expressions import E, Effect, bits
from irwright.lift.program import Instruction, Reg
from irwright.lift.stack_flow import SPECIAL, StackFlow
from irwright.lift.x86_64.instructions import TABLE
from irwright.lift.x86_64.machine import Machine

COMPUTED_STACK = "a stack pointer that is computed"


class FlowBuilder(StackFlow):
    """Builds the Flow of one function."""

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

    def _propagate(self, blocks: list[Block]) -> None:
        start: State = {"rsp": ("frame", 0), "bottom": ("frame", 0), "x87": ("depth", 0)}
        self.x87_at_return = set()
        for block in blocks:
            block.state = None
        start.update({name: ("entry", name) for name in (*CALLEE_SAVED, *NOT_ARGUMENTS)})
        start.update({name: ("entry", name) for name in INTEGER_ARGUMENTS})
        blocks[0].state = start
        todo = [0]
        waiting: list[int] = []  # behind calls, which may not come back: other ways to the next block go first
        rounds = 0
        while todo or waiting:
            if not todo:
                index = waiting.pop(0)
                if self._lead_on(blocks, index, blocks[index].after, todo):
                    return
                continue
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
            block.after = state
            if block.insns[-1].mnemonic == "call" and any(len(blocks[n].predecessors) > 1 for n in block.successors):
                waiting.append(block.index)
            elif self._lead_on(blocks, block.index, state, todo):
                return

    def _lead_on(self, blocks: list[Block], index: int, state: State, todo: list[int]) -> bool:
        """What is known behind a block to those that it leads to; True where calls were found that do not come back."""
        for successor in blocks[index].successors:
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
                        return True
                    raise LiftError("stack depths that differ where paths meet")
                if "bottom" not in merged and merged["rsp"] == DYNAMIC:
                    raise LiftError("memory of a size known at run time at several stack depths")
                if "x87" not in merged:
                    raise LiftError("x87 stack depths that differ where paths meet")
                following.state = merged
            if successor not in todo:
                todo.append(successor)
        return False

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
        special = SPECIAL.get(insn.mnemonic)
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
        return Step(insn, machine.effects, stack, bool(seen) or insn.mnemonic in SPECIAL)

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
