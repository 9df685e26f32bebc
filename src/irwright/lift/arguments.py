"""Signatures at calls: what callees take, from prototypes and from what every call site has to offer."""

from __future__ import annotations

from dataclasses import replace

from irwright.errors import LiftError
from irwright.lift.blocks import Call, Flow
from irwright.lift.clobbers import Clobbers, may_keep_registers
from irwright.lift.expressions import bits, walk
from irwright.lift.format_strings import variadic_types
from irwright.lift.inference import (
    DEFINED,
    ENTRY,
    RESULT,
    availability,
    first_calls,
    is_loaded_before,
    kept_narrow,
    unread_at_end,
    widen_by_order,
)
from irwright.lift.lifted import SOUND, Guess, Lifted
from irwright.lift.narrow_arguments import How, agreed, as_parameter, settings, wide_constants
from irwright.lift.program import Instruction, Program, Reg
from irwright.lift.prototypes import prototype
from irwright.lift.signatures import FLOAT_ARGUMENTS, INTEGER_ARGUMENTS, Signature
from irwright.lift.webs import Analysis


class CallSites:
    """Signatures of what the functions of one program call."""

    def __init__(self, program: Program, guess: Guess = SOUND) -> None:
        self.program = program
        self.symbols = {symbol.name: symbol for symbol in program.symbols if symbol.section >= 0}
        self.guess = guess
        self.likely = guess.likely
        self.widths: dict[tuple[str, str], int] = {}
        self.ways: dict[tuple[str, str], set[How]] = {}
        """by callee (or caller and number of an indirect call) and register: how it was set"""
        self.evidence: dict[str, int] = {}
        self.vector_evidence: dict[str, int] = {}
        """by callee: how many argument registers look as if set for it"""
        self.needed: dict[str, int] = {}
        """by callee: the same, by what nothing else can have been set for"""
        self.wide: set[tuple[str, str]] = set()
        """by the same: constants of 64 bits, as far as one sees"""
        self.functions: dict[str, Lifted] = {code.name: Lifted(code) for code in program.functions}
        self.by_place = {(code.pieces[0][0], code.pieces[0][1]): code.name for code in program.functions}
        self.externals: dict[str, Signature] = {}
        self.bounds: dict[str, tuple[int, int]] = {}
        self.wanted_areas: dict[str, set[int]] = {}
        """by function: calls that turned out to need what lies at the stack pointer"""
        self.strangers: set[str] = set()
        """functions of other files that are named like one of the C library and called otherwise"""
        self.x87_functions: set[str] = set()
        """functions of the file that give back a long double"""
        self.noreturn: set[str] = set()
        """functions of the file that never return"""
        self.table_jumps: dict[str, frozenset[tuple[int, int]]] = {}
        """by function whose flow is understood, lifted or not: (section, address) of jumps through tables"""
        self.handed: dict[str, int] = {}
        """by callee: the most bytes that a call of it in this file hands over as they are"""
        self.areas: dict[str, set[int]] = {}
        """the same of earlier analyses: they get it"""
        self.uses_floats = False
        self.is_smallest = False
        """compiled for the smallest code: constants are stored by `and` and `or`"""
        self.may_keep = may_keep_registers(program)
        self.clobbers = Clobbers({}, frozenset())
        self.settled = False
        """the results of the file's own functions are known"""

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

    def signature_of(self, lifted: Lifted, call: Call) -> Signature:
        """The signature of a call's callee; one object for all calls of a named function."""
        known = lifted.call_signatures.get(call.index)
        if known is not None:
            return known
        if call.target is None:
            found = self._at_site(lifted, call)
        elif call.name in self.functions:
            found = self.functions[call.name].signature
            if self.functions[call.name].problem:
                found = self._external(call.name)
        else:
            found = self._external(call.name)
        slots = lifted.frame.outgoing.get(call.index, []) if lifted.frame is not None else []
        if lifted.frame is not None and call.index in lifted.frame.suspects and lifted.available is not None:
            status = lifted.available.at_call.get(call.index, {})
            takes_memory = found.is_variadic or not found.is_known
            if self.likely:
                takes_memory &= _prefix(status, INTEGER_ARGUMENTS, len(lifted.signature.params)) == 6
            if takes_memory and all(status.get(unit) is not None for unit in INTEGER_ARGUMENTS):
                raise self._want_area(lifted, call)
        if lifted.frame is not None and call.index in lifted.frame.areas:
            slots = []
        if found.is_variadic:
            found = self._variadic(lifted, call, found, slots)
        elif slots and not found.is_known and call.name not in self.functions:
            found = replace(found, params=list(found.params), returns=found.returns)
            if sum(unit in INTEGER_ARGUMENTS for unit, _ in found.params) < 6:
                missing = INTEGER_ARGUMENTS[sum(unit in INTEGER_ARGUMENTS for unit, _ in found.params) :]
                status = lifted.available.at_call.get(call.index, {}) if lifted.available is not None else {}
                if any(status.get(unit) != DEFINED if self.likely else status.get(unit) is None for unit in missing):
                    if not self.likely:
                        raise self._want_area(lifted, call)
                    slots = []  # the push makes room
                else:
                    at = 6 - len(missing)
                    found.params[at:at] = [(unit, "i64") for unit in missing]
            found.params += _in_memory(lifted, call, slots)
        elif slots and call.name in self.functions and not any(u.startswith("stack") for u, _ in found.params):
            lifted.memory_calls.append(call.name)
        is_own = call.name in self.functions and not self.functions[call.name].problem
        is_unknown = not found.is_known and not is_own and call.num_vectors >= 0
        if is_unknown and "rax" in lifted.unread.get(call.index, set()):
            # Something was put into al: the callee is variadic, or has no prototype. Other calls tell nothing of this.
            here = [param for param in self._at_site(lifted, call).params if not param[0].startswith("xmm")]
            here += [(unit, "double") for unit in FLOAT_ARGUMENTS[: call.num_vectors]]
            if slots and sum(unit in INTEGER_ARGUMENTS for unit, _ in here) < 6:
                raise self._want_area(lifted, call)
            here += _in_memory(lifted, call, slots)
            found = replace(found, params=here, returns=found.returns, is_variadic=True, num_fixed=0)
        if call.x87_results and not any(unit[0] == "f" for unit, _ in found.returns):
            returns = [(f"f{n}", "x86_fp80") for n in reversed(range(call.x87_results))]
            found = replace(found, params=list(found.params), returns=returns)
        found = self._with_area(lifted, call, found)
        lifted.call_signatures[call.index] = found
        return found

    def _with_area(self, lifted: Lifted, call: Call, found: Signature) -> Signature:
        """The signature with what a call hands over in memory, where nobody knows what of it is an argument."""
        size = lifted.frame.areas.get(call.index, 0) if lifted.frame is not None else 0
        is_own = call.name in self.functions and not self.functions[call.name].problem
        if not size:
            known = lifted.frame.outgoing.get(call.index, []) if lifted.frame is not None else []
            missing = [
                unit
                for unit, ty in found.params
                if unit[:6] == "stack." and (ty == "x86_fp80" or call.stack + int(unit[6:]) not in known)
            ]
            if (
                (is_own or found.is_known)
                and not call.is_tail
                and (missing or any(unit[:5] == "area." for unit, _ in found.params))
            ):
                raise self._want_area(lifted, call)
            return found
        if call.is_tail:
            raise LiftError("a tail call with a struct in memory")
        if (is_own or found.is_known) and not found.is_variadic:
            return found
        found = replace(found, params=list(found.params), attributes=dict(found.attributes))
        found.attributes[len(found.params)] = area_attribute(size)
        found.params.append((f"area.{size}", "ptr"))
        return found

    def _want_area(self, lifted: Lifted, call: Call) -> LiftError:
        """Note that a call gets what lies at the stack pointer from the next analysis on; the error that ends this one.

        A push may make room alone, or arguments lie there before those in registers are used up.
        """
        if call.is_tail:
            return LiftError("a tail call with arguments in memory that are not understood")
        self.wanted_areas.setdefault(lifted.code.name, set()).add(call.index)
        return LiftError("arguments in memory that are not understood")

    def _external(self, name: str) -> Signature:
        found = self.externals.get(name)
        if found is None:
            found = self.prototype(name)
            if found is None:
                integers, floats = self.bounds.get(name, (0, 0))
                if self.likely:
                    integers = min(integers, self.evidence.get(name, 0))
                    floats = min(floats, self.vector_evidence.get(name, 0))
                integers = max(integers, self.needed.get(name, 0))
                found = Signature(name=name)
                for unit in INTEGER_ARGUMENTS[:integers]:
                    narrow = self.likely and self.guess.narrow and self.widths.get((name, unit), 64) <= 32
                    self._append(found, name, unit, "i32" if narrow else "i64")
                for unit in FLOAT_ARGUMENTS[:floats]:
                    width = self.widths.get((name, unit), 64)
                    found.params.append((unit, "float" if width <= 32 else "double" if width <= 64 else "<2 x double>"))
            self.externals[name] = found
        return found

    def _append(self, signature: Signature, key: str, unit: str, ty: str) -> None:
        """Add a parameter: narrower than 32 bits where callers extend it."""
        if (key, unit) in self.wide and self.guess.narrow:
            ty = "i64"
        how = agreed(self.ways.get((key, unit), ())) if ty == "i32" else ""
        if how:
            ty, signature.attributes[len(signature.params)] = as_parameter(how)
        signature.params.append((unit, ty))

    def _variadic(self, lifted: Lifted, call: Call, declared: Signature, slots: list[int]) -> Signature:
        """A variadic callee's signature with the arguments that this call has for it."""
        assert lifted.available is not None
        status = lifted.available.at_call.get(call.index, {})
        own, own_floats = self.bounds.get(lifted.code.name, (6, 8))
        vectors = call.num_vectors if call.num_vectors >= 0 else _prefix(status, FLOAT_ARGUMENTS, own_floats)
        found = replace(declared, params=list(declared.params), returns=declared.returns)
        fixed = [unit for unit, _ in declared.params]
        if any(unit.startswith("area.") for unit in fixed):
            raise LiftError(f"a call of {call.name}, which is variadic and has parameters with names in memory")
        status = {**status, **dict.fromkeys(fixed, DEFINED)}  # a callee of this file may have some that nobody sets
        limit = widest = _prefix(status, INTEGER_ARGUMENTS, own)
        if self.likely:
            limit = min(limit, _evidence(status, lifted.unread.get(call.index, set())))
        known = self._by_format(lifted, call, fixed)
        if known is not None:
            limit = min(limit_known := sum(unit in INTEGER_ARGUMENTS for unit in fixed) + len(known), 6, widest)
            limit = limit if limit_known > 6 or limit == limit_known else widest
        integers = [unit for unit in INTEGER_ARGUMENTS[:limit] if unit not in fixed]
        types = dict(zip(integers, known or (), strict=False))
        found.params += [(unit, types.get(unit) or self._narrow(status, unit)) for unit in integers]
        floats = [unit for unit in FLOAT_ARGUMENTS[:vectors] if unit not in fixed]
        found.params += [(unit, "double") for unit in floats]
        if slots and limit < 6 and self.likely:
            slots = []  # the push makes room
        if slots and (limit < 6 or call.is_tail):
            raise self._want_area(lifted, call)
        found.params += _in_memory(lifted, call, slots)
        return found

    def _by_format(self, lifted: Lifted, call: Call, fixed: list[str]) -> list[str] | None:
        """Types of the integer arguments that a format string tells of."""
        if not self.likely or not fixed or lifted.flow is None:
            return None
        if not lifted.call_places:
            blocks = lifted.flow.blocks
            lifted.call_places = {
                effect.aux.index: (index, number)
                for index in lifted.flow.order
                for number, step in enumerate(blocks[index].steps)
                for effect in step.effects
                if effect.kind == "call"
            }
        place = lifted.call_places[call.index]
        types = variadic_types(self.program, self.symbols, lifted.flow, place, call.name, fixed[-1])
        return None if types is None else [ty for ty in types if ty != "double"]

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
            return _prefix(status, FLOAT_ARGUMENTS, own)
        return _prefix({u: DEFINED if k == RESULT else k for u, k in status.items()}, FLOAT_ARGUMENTS, own)

    def _narrow(self, status: dict[str, str], unit: str) -> str:
        return "i32" if self.likely and self.guess.narrow and int(status.get(f"{unit}.width", "64")) <= 32 else "i64"

    def _at_site(self, lifted: Lifted, call: Call) -> Signature:
        assert lifted.available is not None
        status = lifted.available.at_call.get(call.index, {})
        bound = self.bounds.get(lifted.code.name, (6, 8))
        integers = _prefix(status, INTEGER_ARGUMENTS, bound[0])
        if self.likely:
            given = min(integers, 2) if lifted.flow is not None and is_loaded_before(lifted.flow, call) else 0
            integers = max(given, min(integers, _evidence(status, lifted.unread.get(call.index, set()))))
        floats = self._floats(status, bound[1])
        if self.likely:
            floats = min(floats, _vector_evidence(status, lifted.zeroed.get(call.index, set())))
        pointer = {node.aux for node in ([call.pointer] if call.pointer is not None else []) if node.op == "reg"}
        while integers and INTEGER_ARGUMENTS[integers - 1] in pointer:
            integers -= 1
        found = Signature()
        for unit in INTEGER_ARGUMENTS[:integers]:
            self._append(found, _key(lifted.code.name, call), unit, self._narrow(status, unit))
        found.params += [(unit, "double") for unit in FLOAT_ARGUMENTS[:floats]]
        return found

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
                lifted.flow, lambda at, name=name: (_key(name, at[0]), at[1]), self._is_open, self._has_32_bits
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
                        min(limit[0], _prefix(status, INTEGER_ARGUMENTS, own[0])),
                        min(limit[1], self._floats(status, own[1])),
                    )
            if bounds == before:
                break

    def _collect_evidence(self, lifted: Lifted) -> None:
        """Argument registers that are set before a call and read by nothing, if the call does not."""
        assert lifted.flow is not None and lifted.available is not None
        flow = lifted.flow
        analysis = Analysis(flow, {call.index: Signature() for call in flow.calls}, (("rax", 64), ("xmm0", 128)), set())
        analysis.demands()
        zeroes = _only_zeroed(flow)
        for index in flow.order:
            live = dict(analysis.live_out[index])
            pending: list[int] = []
            done: set[tuple[int, str]] = set()
            is_count = False
            """rcx holds how far something is shifted"""
            named: set[str] = set()
            """what instructions between here and the call read, needed or not"""
            for step in reversed(flow.blocks[index].steps):
                for effect in step.effects:
                    if effect.kind == "call":
                        pending, named, is_count = [effect.aux.index], set[str](), False
                        lifted.zeroed[effect.aux.index] = set(zeroes)
                    elif effect.kind == "set" and effect.unit in FLOAT_ARGUMENTS and pending:
                        if (pending[0], effect.unit) not in done:
                            is_other = _is_zero(step.insn) and live.get(effect.unit)
                            (lifted.zeroed[pending[0]].add if is_other else lifted.zeroed[pending[0]].discard)(
                                effect.unit
                            )
                        done.add((pending[0], effect.unit))
                    elif effect.kind == "set" and effect.unit in (*INTEGER_ARGUMENTS, "rax") and pending:
                        is_dead = not live.get(effect.unit) and not (effect.unit == "rax" and "rax" in named)
                        is_dead = is_dead and step.insn.prefix not in ("rep", "repne")
                        is_dead = is_dead and not (effect.unit == "rcx" and is_count)
                        if is_dead and (pending[0], effect.unit) not in done:
                            lifted.unread.setdefault(pending[0], set()).add(effect.unit)
                            if effect.unit not in named:
                                lifted.given.setdefault(pending[0], set()).add(effect.unit)
                        done.add((pending[0], effect.unit))
                named |= {node.aux for e in step.effects for node in walk(e.value) if node.op == "reg"}
                is_count = any(op == Reg("rcx", 8) for op in step.insn.operands[1:]) or (is_count and "rcx" in named)
                analysis.before(step.effects, live)
        if self.likely:
            ways = settings(flow)
            for call in flow.calls:
                for unit, how in ways.get(call.index, {}).items():
                    self.ways.setdefault((_key(lifted.code.name, call), unit), set()).add(how)
            for index, unit in unread_at_end(flow, analysis):
                for call in first_calls(flow, index, unit):
                    lifted.unread.setdefault(call.index, set()).add(unit)
        for call in flow.calls:
            if call.name:
                status = lifted.available.at_call.get(call.index, {})
                unread = lifted.unread.get(call.index, set())
                self.evidence[call.name] = max(self.evidence.get(call.name, 0), _evidence(status, unread))
                vectors = _vector_evidence(status, lifted.zeroed.get(call.index, set()))
                self.vector_evidence[call.name] = max(self.vector_evidence.get(call.name, 0), vectors)
                given = lifted.given.get(call.index, set())
                needed = max((n for n, unit in enumerate(INTEGER_ARGUMENTS, 1) if unit in given), default=0)
                self.needed[call.name] = max(self.needed.get(call.name, 0), needed)

    def _analysis(self, lifted: Lifted) -> Analysis:
        assert lifted.flow is not None and lifted.frame is not None
        signatures: dict[int, Signature] = {}
        problem: LiftError | None = None
        for call in lifted.flow.calls:
            try:
                signatures[call.index] = self.signature_of(lifted, call)
            except LiftError as error:  # calls that want more of the frame are found all at once
                problem = problem or error
        if problem is not None:
            raise problem
        returns = tuple((unit, bits(ty)) for unit, ty in lifted.signature.returns)
        analysis = Analysis(lifted.flow, signatures, returns, lifted.frame.slots)
        analysis.areas = lifted.frame.areas
        analysis.may_keep = self.may_keep
        analysis.whole_copies = self.guess.whole_copies
        analysis.gives = self._gives
        return analysis

    def _gives(self, call: Call, unit: str) -> bool:
        """Whether a callee may leave a result in a register: one of this file only where it is there at each return."""
        own = self.functions.get(call.name)
        if own is None or own.problem or own.available is None:
            return True
        return all(unit in site for site in own.available.at_return)


def _key(name: str, call: Call) -> str:
    """What calls of one callee share; an indirect call is alone in its function."""
    return call.name or f"{name} {call.index}"


def area_attribute(size: int) -> str:
    """What LLVM calls a parameter of so many bytes in memory."""
    return f"byval([{size} x i8]) align 8"


def _in_memory(lifted: Lifted, call: Call, slots: list[int]) -> list[tuple[str, str]]:
    """Parameters for the slots that hold a call's arguments."""
    assert lifted.frame is not None
    widths = lifted.frame.outgoing_bits
    return [(f"stack.{at - call.stack}", f"i{widths.get(at, 64)}") for at in slots]


def _evidence(status: dict[str, str], unread: set[str]) -> int:
    """How many argument registers look as if set for this call."""
    count = 0
    is_handed_on = False
    """what lies in a register before came from a caller: then one that others read as well holds no argument"""
    for number, unit in enumerate(INTEGER_ARGUMENTS):
        if unit in unread or (status.get(unit) == DEFINED and unit not in ("rcx", "rdx") and not is_handed_on):
            count = number + 1
        is_handed_on |= status.get(unit) == ENTRY
    return count


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


def _vector_evidence(status: dict[str, str], zeroed: set[str]) -> int:
    """How many vector registers look as if set for this call: zeroes that something else stores are not."""
    found = [n for n, unit in enumerate(FLOAT_ARGUMENTS, 1) if status.get(unit) == DEFINED and unit not in zeroed]
    return max(found, default=0)


def _prefix(status: dict[str, str], units: tuple[str, ...], own: int) -> int:
    """How many of the argument registers hold something that could be an argument."""
    for number, unit in enumerate(units):
        kind = status.get(unit)
        if kind == DEFINED or (kind == ENTRY and number < own) or kind == "part":
            continue
        return number
    return len(units)
