"""What the calls of a file tell of their callees: how many arguments there can be, how many are meant, how wide.

An upper bound is what every call of a function has to offer; evidence is what was set before a call and is read by
nothing else. What signatures follow from them is left to arguments.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from irwright.lift.blocks import Call, Flow, Step
from irwright.lift.clobbers import may_keep_registers
from irwright.lift.expressions import Effect, walk
from irwright.lift.inference import (
    DEFINED,
    ENTRY,
    RESULT,
    availability,
    first_calls,
    kept_narrow,
    unread_at_end,
    widen_by_order,
)
from irwright.lift.lifted import SOUND, Guess, Lifted
from irwright.lift.narrow_arguments import How, settings, wide_constants
from irwright.lift.program import Instruction, Program, Reg
from irwright.lift.prototypes import prototype
from irwright.lift.signatures import FLOAT_ARGUMENTS, INTEGER_ARGUMENTS, Signature
from irwright.lift.webs import Analysis


class CallEvidence:
    """What is known of the callees of one program before anybody says what they take."""

    def __init__(self, program: Program, guess: Guess = SOUND) -> None:
        self.program = program
        self.guess = guess
        self.likely = guess.likely
        self.functions: dict[str, Lifted] = {code.name: Lifted(code) for code in program.functions}
        self.bounds: dict[str, tuple[int, int]] = {}
        """by function: the most arguments in integer and in vector registers"""
        self.widths: dict[tuple[str, str], int] = {}
        self.ways: dict[tuple[str, str], set[How]] = {}
        """by callee (or caller and number of an indirect call) and register: how it was set"""
        self.wide: set[tuple[str, str]] = set()
        """by the same: constants of 64 bits, as far as one sees"""
        self.evidence: dict[str, int] = {}
        self.vector_evidence: dict[str, int] = {}
        """by callee: how many argument registers look as if set for it"""
        self.needed: dict[str, int] = {}
        """by callee: the same, by what nothing else can have been set for"""
        self.strangers: set[str] = set()
        """functions of other files that are named like one of the C library and called otherwise"""
        self.uses_floats = False
        self.may_keep = may_keep_registers(program)

    def forget(self) -> None:
        """Drop what an analysis found, strangers excepted: it is made again without the functions that failed."""
        self.bounds, self.widths, self.ways, self.wide = {}, {}, {}, set()
        self.evidence, self.vector_evidence, self.needed = {}, {}, {}

    def prototype(self, name: str) -> Signature | None:
        """What the C library's function of that name takes and gives back, where it is that which is called."""
        return None if name in self.strangers else prototype(name)

    def _find_strangers(self) -> bool:
        """Calls at which nothing has set what the C library's function of that name takes; True where new ones are."""
        before = len(self.strangers)
        for lifted in self.functions.values():
            if lifted.flow is None or lifted.available is None:
                continue
            for call in lifted.flow.calls:
                known = self._outside(call)
                status = lifted.available.at_call.get(call.index)
                if known is not None and status is not None:
                    wanted = {unit for unit, _ in known.params if unit in INTEGER_ARGUMENTS}
                    self.strangers |= set() if wanted <= status.keys() else {call.name}
        return len(self.strangers) > before

    def _outside(self, call: Call) -> Signature | None:
        """What is known of a callee before anything of this file is."""
        return self.prototype(call.name) if call.name and call.name not in self.functions else None

    def _may_end(self, call: Call) -> bool:
        """Nothing says that the callee returns; likely, all do."""
        if self.likely:
            return False
        if call.name in self.functions:
            return bool(self.functions[call.name].problem)
        return not call.name or self.prototype(call.name) is None

    def _floats(self, status: dict[str, str], own: int) -> int:
        """How many vector registers could be arguments; a result may be handed on as it is."""
        if self.likely:
            return offered(status, FLOAT_ARGUMENTS, own)
        return offered({u: DEFINED if k == RESULT else k for u, k in status.items()}, FLOAT_ARGUMENTS, own)

    def _bound_arities(self, good: list[Lifted]) -> None:
        """Upper bounds of (integer, float) arguments by what each site offers; decreasing to a fixpoint."""
        floats = 8 if self.uses_floats else 0
        bounds: dict[str, tuple[int, int]] = dict.fromkeys(self.functions, (6, floats))
        for lifted in good:
            assert lifted.flow is not None
            lifted.available = availability(lifted.flow, self._outside, self._may_end, keeps=self.may_keep)
            if self.likely:
                widen_by_order(lifted.flow, lifted.available)
        if "main" in bounds:
            bounds["main"] = (3, 0)
        for lifted in good:
            if lifted.variadic is not None:  # what has no name is reached by its va_list alone
                bounds[lifted.code.name] = (lifted.variadic.num_integers, lifted.variadic.num_floats)
        self.bounds = bounds
        self._narrow_bounds(good)
        for lifted in good:
            self._collect_evidence(lifted)
        for lifted in good if self.likely else ():
            assert lifted.flow is not None
            name = lifted.code.name
            self.wide |= wide_constants(
                lifted.flow, lambda at, name=name: (key_of(name, at[0]), at[1]), self._is_open, self._has_32_bits
            )

    def _is_open(self, key: tuple[str, str]) -> bool:
        """Nothing but constants is ever given to a callee of which nothing else is known."""
        is_known = key[0] in self.functions or self.prototype(key[0]) is not None
        return not is_known and all(isinstance(how, int) for how in self.ways.get(key, ()))

    def _has_32_bits(self, key: tuple[str, str]) -> bool:
        known = self.prototype(key[0])
        if known is not None:
            return dict(known.params).get(key[1]) == "i32"
        return key[0] not in self.functions and self.widths.get(key, 64) <= 32

    def _narrow_bounds(self, good: list[Lifted]) -> None:
        """Lower bounds by what is available at calls, as far as it is known."""
        bounds = self.bounds
        for _ in range(10):
            before = dict(bounds)
            for lifted in good:
                assert lifted.flow is not None and lifted.available is not None
                own = bounds[lifted.code.name]
                narrow = kept_narrow(lifted.flow) if self.likely else set[str]()
                for call in lifted.flow.calls:
                    if not call.name:
                        continue
                    status = lifted.available.at_call.get(call.index)
                    if status is None:
                        continue
                    for unit in (*INTEGER_ARGUMENTS, *FLOAT_ARGUMENTS):
                        if self.likely and status.get(unit) == ENTRY:  # handed on: as wide as what was kept of it
                            if unit in narrow:
                                self.widths.setdefault((call.name, unit), 32)
                        elif unit in status:
                            wide = int(status.get(f"{unit}.width", "64"))
                            self.widths[call.name, unit] = max(self.widths.get((call.name, unit), 0), wide)
                    limit = bounds.get(call.name, (6, 8))
                    bounds[call.name] = (
                        min(limit[0], offered(status, INTEGER_ARGUMENTS, own[0])),
                        min(limit[1], self._floats(status, own[1])),
                    )
            if bounds == before:
                break

    def _collect_evidence(self, lifted: Lifted) -> None:
        """Argument registers that are set before a call and read by nothing, if the call does not."""
        assert lifted.flow is not None
        flow = lifted.flow
        analysis = Analysis(flow, {call.index: Signature() for call in flow.calls}, (("rax", 64), ("xmm0", 128)), set())
        analysis.demands()
        zeroes = _only_zeroed(flow)
        for index in flow.order:
            _note_settings(lifted, analysis, index, zeroes)
        if self.likely:
            ways = settings(flow)
            for call in flow.calls:
                for unit, how in ways.get(call.index, {}).items():
                    self.ways.setdefault((key_of(lifted.code.name, call), unit), set()).add(how)
            for index, unit in unread_at_end(flow, analysis):
                for call in first_calls(flow, index, unit):
                    lifted.unread.setdefault(call.index, set()).add(unit)
        for call in flow.calls:
            if call.name:
                self._count_evidence(lifted, call)

    def _count_evidence(self, lifted: Lifted, call: Call) -> None:
        """What one call tells of a callee with a name: the most that any call of it does counts."""
        assert lifted.available is not None
        name = call.name
        status = lifted.available.at_call.get(call.index, {})
        integers = set_for_call(status, lifted.unread.get(call.index, set()))
        self.evidence[name] = max(self.evidence.get(name, 0), integers)
        vectors = vectors_set_for_call(status, lifted.zeroed.get(call.index, set()))
        self.vector_evidence[name] = max(self.vector_evidence.get(name, 0), vectors)
        given = lifted.given.get(call.index, set())
        needed = max((n for n, unit in enumerate(INTEGER_ARGUMENTS, 1) if unit in given), default=0)
        self.needed[name] = max(self.needed.get(name, 0), needed)


@dataclass(slots=True)
class _Ahead:
    """A call, seen from a place before it in its block, and what lies between."""

    call: int
    settled: set[str] = field(default_factory=set[str])
    """registers that are set in between: what they held before is not for the call"""
    named: set[str] = field(default_factory=set[str])
    """what instructions in between read, needed or not"""
    is_count: bool = False
    """rcx holds how far something is shifted"""

    def is_for_call(self, step: Step, unit: str, live: dict[str, int]) -> bool:
        """Whether an integer register is set here for nothing but the call."""
        if live.get(unit) or (unit == "rax" and "rax" in self.named):
            return False
        return step.insn.prefix not in ("rep", "repne") and not (unit == "rcx" and self.is_count)

    def pass_by(self, step: Step) -> None:
        """Go on to what stands before a step."""
        self.named |= {node.aux for effect in step.effects for node in walk(effect.value) if node.op == "reg"}
        shifts = any(op == Reg("rcx", 8) for op in step.insn.operands[1:])
        self.is_count = shifts or (self.is_count and "rcx" in self.named)


def _note_settings(lifted: Lifted, analysis: Analysis, index: int, zeroes: set[str]) -> None:
    """Which registers a block sets for its calls alone: `unread`, `given` and `zeroed` of the function."""
    live = dict(analysis.live_out[index])
    ahead: _Ahead | None = None
    for step in reversed(analysis.flow.blocks[index].steps):
        for effect in step.effects:
            if effect.kind == "call":
                ahead = _Ahead(effect.aux.index)
                lifted.zeroed[ahead.call] = set(zeroes)
            elif effect.kind == "set" and ahead is not None:
                _note_setting(lifted, ahead, step, effect, live)
        if ahead is not None:
            ahead.pass_by(step)
        analysis.before(step.effects, live)


def _note_setting(lifted: Lifted, ahead: _Ahead, step: Step, effect: Effect, live: dict[str, int]) -> None:
    unit = effect.unit
    if unit in ahead.settled:
        return
    if unit in FLOAT_ARGUMENTS:
        zeroed = lifted.zeroed[ahead.call]
        if _is_zero(step.insn) and live.get(unit):
            zeroed.add(unit)
        else:
            zeroed.discard(unit)
    elif unit in (*INTEGER_ARGUMENTS, "rax") and ahead.is_for_call(step, unit, live):
        lifted.unread.setdefault(ahead.call, set()).add(unit)
        popped = effect.value if step.insn.mnemonic == "pop" else None
        gives_back = popped is not None and popped.op == "load"  # the room of a push
        if unit not in ahead.named and not gives_back:
            lifted.given.setdefault(ahead.call, set()).add(unit)
    ahead.settled.add(unit)


def key_of(name: str, call: Call) -> str:
    """What calls of one callee share; an indirect call is alone in its function."""
    return call.name or f"{name} {call.index}"


def offered(status: dict[str, str], units: tuple[str, ...], own: int) -> int:
    """How many of the argument registers hold something that could be an argument."""
    for number, unit in enumerate(units):
        kind = status.get(unit)
        if kind == DEFINED or (kind == ENTRY and number < own) or kind == "part":
            continue
        return number
    return len(units)


def set_for_call(status: dict[str, str], unread: set[str]) -> int:
    """How many argument registers look as if set for this call."""
    count = 0
    is_handed_on = False
    """what lies in a register before came from a caller: then one that others read as well holds no argument"""
    for number, unit in enumerate(INTEGER_ARGUMENTS):
        if unit in unread or (status.get(unit) == DEFINED and unit not in ("rcx", "rdx") and not is_handed_on):
            count = number + 1
        is_handed_on |= status.get(unit) == ENTRY
    return count


def vectors_set_for_call(status: dict[str, str], zeroed: set[str]) -> int:
    """How many vector registers look as if set for this call: zeroes that something else stores are not."""
    found = [n for n, unit in enumerate(FLOAT_ARGUMENTS, 1) if status.get(unit) == DEFINED and unit not in zeroed]
    return max(found, default=0)


def _is_zero(insn: Instruction) -> bool:
    return insn.mnemonic in ("xorps", "xorpd", "pxor") and insn.operands[0] == insn.operands[1]


def _only_zeroed(flow: Flow) -> set[str]:
    """Vector registers that get nothing but zeroes."""
    zeroed: dict[str, bool] = {}
    for index in flow.order:
        for step in flow.blocks[index].steps:
            for effect in step.effects:
                if effect.kind == "set" and effect.unit in FLOAT_ARGUMENTS:
                    zeroed[effect.unit] = zeroed.get(effect.unit, True) and _is_zero(step.insn)
    return {unit for unit, is_zero in zeroed.items() if is_zero}
