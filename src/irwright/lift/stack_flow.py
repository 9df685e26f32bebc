"""Calls, returns, jumps and pushes: what instructions that move the stack pointer or leave the function do."""

from __future__ import annotations

from collections.abc import Callable

from irwright.errors import LiftError
from irwright.lift.blocks import CALLEE_SAVED, CALLER_SAVED, CC_UNITS_, DYNAMIC, NOT_ARGUMENTS, Call, State
from irwright.lift.control_flow import ControlFlow
from irwright.lift.expressions import E, Effect, Ref, bits, const, reg
from irwright.lift.program import Code, Imm, Instruction, Mem, Program, Reg
from irwright.lift.x86_64.instructions import TABLE
from irwright.lift.x86_64.machine import CONDITION_CODES, Machine


class StackFlow(ControlFlow):
    """Effects of the instructions that the stack pointer or the way out depends on."""

    def __init__(
        self,
        program: Program,
        code: Code,
        is_noreturn: Callable[[Ref], bool],
        returns_x87: Callable[[Ref], bool],
        clobbered: Callable[[Ref], frozenset[str]],
        *,
        tails: bool = False,
        likely: bool = False,
    ) -> None:
        super().__init__(program, code, is_noreturn, tails=tails)
        self.likely = likely
        self.returns_x87 = returns_x87
        self.clobbered = clobbered
        """registers that a callee may change"""
        self.moved: dict[tuple[int, int], str] = {}
        self.x87_calls: dict[tuple[int, int], int] = {}
        """by call: long doubles that it gives back, as what follows shows"""
        self.x87_at_return: set[int] = set()
        self.control_words = _control_words(code.instructions)
        self.is_dynamic = any(_moves_stack(insn) for insn in code.instructions)
        self.align = 16
        self.lowest = 0
        self.has_frame_pointer = False

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
        before = self.by_end.get((insn.section, insn.address))
        if self.likely and isinstance(op, Reg) and op.name == "rax" and before is not None and _is_save(before):
            return  # the last of a prologue only makes room
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
        elif self.likely and op.name in CALLER_SAVED and self._is_at_end(insn):
            m.kill(op.name)  # the same, where an argument was stored in that room
        elif state["rsp"] == DYNAMIC:
            raise LiftError("a pop from memory of a size known at run time")
        else:
            m.write(op, E("load", "i64", (E("frame", "i64", (), stack),), 8))
        if state["rsp"] != DYNAMIC:
            m.set("rsp", E("frame", "i64", (), stack + 8))

    def _is_at_end(self, insn: Instruction) -> bool:
        """Nothing but pops of registers follows on the way out of the function."""
        at = self.positions[insn.section, insn.address] + 1
        following = next((one for one in self.code.instructions[at:] if one.mnemonic != "pop"), None)
        return following is not None and following.mnemonic in ("ret", "jmp")

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


def _is_save(insn: Instruction) -> bool:
    op = insn.operands[0] if insn.operands else None
    return insn.mnemonic == "push" and isinstance(op, Reg) and op.name in CALLEE_SAVED


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


SPECIAL: dict[str, Callable[[StackFlow, Machine, Instruction, State, int], None]] = {
    "call": StackFlow._call,  # pyright: ignore[reportPrivateUsage]
    "ret": StackFlow._return,  # pyright: ignore[reportPrivateUsage]
    "push": StackFlow._push,  # pyright: ignore[reportPrivateUsage]
    "pop": StackFlow._pop,  # pyright: ignore[reportPrivateUsage]
    "fldcw": StackFlow._control_word,  # pyright: ignore[reportPrivateUsage]
    "leave": StackFlow._leave,  # pyright: ignore[reportPrivateUsage]
    "add": StackFlow._arithmetic,  # pyright: ignore[reportPrivateUsage]
    "sub": StackFlow._arithmetic,  # pyright: ignore[reportPrivateUsage]
    "and": StackFlow._arithmetic,  # pyright: ignore[reportPrivateUsage]
    "mov": StackFlow._arithmetic,  # pyright: ignore[reportPrivateUsage]
    "lea": StackFlow._arithmetic,  # pyright: ignore[reportPrivateUsage]
}
"""what to do with these; jumps apart"""
