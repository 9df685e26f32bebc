"""Signatures at calls: what callees take, from prototypes and from what every call site has to offer."""

from __future__ import annotations

from dataclasses import replace

from irwright.errors import LiftError
from irwright.lift.blocks import Call
from irwright.lift.evidence import CallEvidence, key_of, offered, set_for_call, vectors_set_for_call
from irwright.lift.expressions import bits
from irwright.lift.format_strings import variadic_types
from irwright.lift.inference import DEFINED, is_loaded_before
from irwright.lift.lifted import SOUND, Guess, Lifted
from irwright.lift.narrow_arguments import agreed, as_parameter
from irwright.lift.program import Program
from irwright.lift.signatures import FLOAT_ARGUMENTS, INTEGER_ARGUMENTS, Signature
from irwright.lift.webs import Analysis


class CallSites(CallEvidence):
    """Signatures of what the functions of one program call."""

    def __init__(self, program: Program, guess: Guess = SOUND) -> None:
        super().__init__(program, guess)
        self.symbols = {symbol.name: symbol for symbol in program.symbols if symbol.section >= 0}
        self.externals: dict[str, Signature] = {}
        """by name: what functions of other files take and give back"""
        self.wanted_areas: dict[str, set[int]] = {}
        """by function: calls that turned out to need what lies at the stack pointer"""

    def forget(self) -> None:
        super().forget()
        self.externals, self.wanted_areas = {}, {}

    def signature_of(self, lifted: Lifted, call: Call) -> Signature:
        """The signature of a call's callee; one object for all calls of a named function, where none has more."""
        known = lifted.call_signatures.get(call.index)
        if known is not None:
            return known
        assert lifted.frame is not None
        found = self._callee(lifted, call)
        if call.index in lifted.frame.suspects:
            self._check_suspect(lifted, call, found)
        slots = [] if call.index in lifted.frame.areas else lifted.frame.outgoing.get(call.index, [])
        is_own = call.name in self.functions
        if found.is_variadic:
            found = self._variadic(lifted, call, found, slots)
        elif slots and not found.is_known and not is_own:
            found, slots = self._with_slots(lifted, call, found, slots)
        elif slots and is_own and not any(unit.startswith("stack") for unit, _ in found.params):
            lifted.memory_calls.append(call.name)
        is_open = not found.is_known and not self._is_lifted(call) and call.num_vectors >= 0
        if is_open and "rax" in lifted.unread.get(call.index, set()):
            found = self._without_prototype(lifted, call, found, slots)
        if call.x87_results and not any(unit[0] == "f" for unit, _ in found.returns):
            returns = [(f"f{n}", "x86_fp80") for n in reversed(range(call.x87_results))]
            found = replace(found, params=list(found.params), returns=returns)
        found = self._with_area(lifted, call, found)
        lifted.call_signatures[call.index] = found
        return found

    def _callee(self, lifted: Lifted, call: Call) -> Signature:
        """What is known of a callee from all of its calls; of an indirect one from this call."""
        if call.target is None:
            return self._at_site(lifted, call)
        return self.functions[call.name].signature if self._is_lifted(call) else self._external(call.name)

    def _is_lifted(self, call: Call) -> bool:
        """The callee is a function of this file, and so far one that can be lifted."""
        return call.name in self.functions and not self.functions[call.name].problem

    def _check_suspect(self, lifted: Lifted, call: Call, found: Signature) -> None:
        """Ask for the area of a call that may have arguments in memory, where its registers leave that open."""
        if lifted.available is None:
            return
        status = lifted.available.at_call.get(call.index, {})
        takes_memory = found.is_variadic or not found.is_known
        if self.likely:
            takes_memory &= offered(status, INTEGER_ARGUMENTS, len(lifted.signature.params)) == 6
        if takes_memory and all(status.get(unit) is not None for unit in INTEGER_ARGUMENTS):
            raise self._want_area(lifted, call)

    def _with_slots(
        self, lifted: Lifted, call: Call, found: Signature, slots: list[int]
    ) -> tuple[Signature, list[int]]:
        """An unknown callee's signature with arguments in memory; which of the slots do hold some.

        Those come after six in registers: where fewer are set, a push made room and nothing else.
        """
        found = replace(found, params=list(found.params), returns=found.returns)
        count = sum(unit in INTEGER_ARGUMENTS for unit, _ in found.params)
        missing = INTEGER_ARGUMENTS[count:]
        status = lifted.available.at_call.get(call.index, {}) if lifted.available is not None else {}
        if any(status.get(unit) != DEFINED if self.likely else status.get(unit) is None for unit in missing):
            if not self.likely:
                raise self._want_area(lifted, call)
            return found, []
        found.params[count:count] = [(unit, "i64") for unit in missing]
        found.params += _in_memory(lifted, call, slots)
        return found, slots

    def _without_prototype(self, lifted: Lifted, call: Call, found: Signature, slots: list[int]) -> Signature:
        """The signature of a callee for which something was put into al: it is variadic, or has no prototype.

        Other calls of it tell nothing of this one.
        """
        here = [param for param in self._at_site(lifted, call).params if not param[0].startswith("xmm")]
        here += [(unit, "double") for unit in FLOAT_ARGUMENTS[: call.num_vectors]]
        if slots and sum(unit in INTEGER_ARGUMENTS for unit, _ in here) < 6:
            raise self._want_area(lifted, call)
        here += _in_memory(lifted, call, slots)
        return replace(found, params=here, returns=found.returns, is_variadic=True, num_fixed=0)

    def _with_area(self, lifted: Lifted, call: Call, found: Signature) -> Signature:
        """The signature with what a call hands over in memory, where nobody knows what of it is an argument."""
        assert lifted.frame is not None
        size = lifted.frame.areas.get(call.index, 0)
        says_all = self._is_lifted(call) or found.is_known
        if not size:
            stored = lifted.frame.outgoing.get(call.index, [])
            missing = [
                unit
                for unit, ty in found.params
                if unit[:6] == "stack." and (ty == "x86_fp80" or call.stack + int(unit[6:]) not in stored)
            ]
            has_area = any(unit[:5] == "area." for unit, _ in found.params)
            if says_all and not call.is_tail and (missing or has_area):
                raise self._want_area(lifted, call)
            return found
        if call.is_tail:
            raise LiftError("a tail call with a struct in memory")
        if says_all and not found.is_variadic:
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
        vectors = call.num_vectors if call.num_vectors >= 0 else offered(status, FLOAT_ARGUMENTS, own_floats)
        found = replace(declared, params=list(declared.params), returns=declared.returns)
        fixed = [unit for unit, _ in declared.params]
        if any(unit.startswith("area.") for unit in fixed):
            raise LiftError(f"a call of {call.name}, which is variadic and has parameters with names in memory")
        status = {**status, **dict.fromkeys(fixed, DEFINED)}  # a callee of this file may have some that nobody sets
        limit = widest = offered(status, INTEGER_ARGUMENTS, own)
        if self.likely:
            limit = min(limit, set_for_call(status, lifted.unread.get(call.index, set())))
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

    def _narrow(self, status: dict[str, str], unit: str) -> str:
        return "i32" if self.likely and self.guess.narrow and int(status.get(f"{unit}.width", "64")) <= 32 else "i64"

    def _at_site(self, lifted: Lifted, call: Call) -> Signature:
        assert lifted.available is not None
        status = lifted.available.at_call.get(call.index, {})
        bound = self.bounds.get(lifted.code.name, (6, 8))
        integers = offered(status, INTEGER_ARGUMENTS, bound[0])
        if self.likely:
            given = min(integers, 2) if lifted.flow is not None and is_loaded_before(lifted.flow, call) else 0
            integers = max(given, min(integers, set_for_call(status, lifted.unread.get(call.index, set()))))
        floats = self._floats(status, bound[1])
        if self.likely:
            floats = min(floats, vectors_set_for_call(status, lifted.zeroed.get(call.index, set())))
        pointer = {node.aux for node in ([call.pointer] if call.pointer is not None else []) if node.op == "reg"}
        while integers and INTEGER_ARGUMENTS[integers - 1] in pointer:
            integers -= 1
        found = Signature()
        for unit in INTEGER_ARGUMENTS[:integers]:
            self._append(found, key_of(lifted.code.name, call), unit, self._narrow(status, unit))
        found.params += [(unit, "double") for unit in FLOAT_ARGUMENTS[:floats]]
        return found

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


def area_attribute(size: int) -> str:
    """What LLVM calls a parameter of so many bytes in memory."""
    return f"byval([{size} x i8]) align 8"


def _in_memory(lifted: Lifted, call: Call, slots: list[int]) -> list[tuple[str, str]]:
    """Parameters for the slots that hold a call's arguments."""
    assert lifted.frame is not None
    widths = lifted.frame.outgoing_bits
    return [(f"stack.{at - call.stack}", f"i{widths.get(at, 64)}") for at in slots]
