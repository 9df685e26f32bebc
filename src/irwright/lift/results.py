"""Signatures of the file's own functions: results by what is there at returns, parameters by what is read at entry."""

from __future__ import annotations

from irwright.errors import LiftError
from irwright.lift.arguments import CallSites, area_attribute
from irwright.lift.blocks import Call, Flow
from irwright.lift.expressions import CC_UNITS
from irwright.lift.inference import DEFINED, ENTRY, MIXED, RESULT, availability, widen_by_order
from irwright.lift.lifted import SOUND, Guess, Lifted, guard
from irwright.lift.narrow_arguments import as_parameter, masks, taken_narrow
from irwright.lift.program import Program
from irwright.lift.signatures import (
    FLOAT_ARGUMENTS,
    INTEGER_ARGUMENTS,
    RESULTS,
    Signature,
    parameter_type,
    result_type,
)

OPEN_BYTES = 1 << 16
"""of a parameter in memory whose size nobody in the file knows"""
MAX_ROUNDS = 20
"""after which callers believe what they know of their callees"""
IMPLICIT_RESULTS = frozenset(
    ["div", "idiv", "mul", "imul", "cdq", "cqo", "cwd", "xchg", "cmpxchg", "xadd", "pop", "leave"]
)

FOR_FLAGS = frozenset(["or", "xor", "add", "adc", "sbb", "shl", "shr", "sar", "neg", "inc", "dec"])
"""instructions without a form that sets flags alone, as `cmp` is of `sub`"""


PACKED = frozenset(
    ["addps", "addpd", "subps", "subpd", "mulps", "mulpd", "divps", "divpd", "shufps", "unpcklpd", "paddd"]
)
"""instructions that only vectors of numbers need"""


class OwnSignatures(CallSites):
    """Infers what the functions of one program take and give back."""

    def __init__(self, program: Program, guess: Guess = SOUND) -> None:
        super().__init__(program, guess)
        self.settled = False
        """the results of the file's own functions are known"""
        self.handed: dict[str, int] = {}
        """by callee: the most bytes that a call of it in this file hands over as they are"""

    def forget(self) -> None:
        super().forget()
        self.settled = False

    def _resolve(self, call: Call) -> Signature | None:
        if call.target is None:
            return None
        if call.name in self.functions:
            signature = self.functions[call.name].signature
            return signature if signature.returns or (self.settled and not self.functions[call.name].problem) else None
        return self.prototype(call.name)

    def _infer_results(self, good: list[Lifted]) -> None:
        """What functions give back, in rounds: what a callee gives is there at a return of its caller."""
        todo = good
        for number in range(MAX_ROUNDS):
            for lifted in todo:
                self._find_available(lifted)
            before = [(list(lifted.signature.returns), lifted.signature.is_capped) for lifted in todo]
            for lifted in todo:
                guard(lifted, self._infer_returns)
            self.settled = True
            after = [(lifted.signature.returns, lifted.signature.is_capped) for lifted in todo]
            changed = {one.code.name for old, new, one in zip(before, after, todo, strict=True) if old != new}
            if not changed:
                break
            todo = [lifted for lifted in good if not number or lifted.callees & changed]

    def _find_available(self, lifted: Lifted) -> None:
        assert lifted.flow is not None
        resolvers, likely = (self._resolve, self._may_end), self.likely
        lifted.available = availability(lifted.flow, *resolvers, keeps=self.may_keep, likely=likely)
        if self.may_keep:
            plain = availability(lifted.flow, *resolvers, keeps=False, likely=likely)
            for kept, site in zip(lifted.available.at_return, plain.at_return, strict=True):
                for unit in ("xmm0", "xmm1"):  # used before a call that leaves them alone, and no result
                    if unit not in site:
                        kept.pop(unit, None)
        if likely:
            widen_by_order(lifted.flow, lifted.available)

    def _infer_returns(self, lifted: Lifted) -> bool:
        """Results by what is available and unread at the returns; True if that changed."""
        available, flow = lifted.available, lifted.flow
        assert available is not None and flow is not None
        before = list(lifted.signature.returns)
        sites = available.at_return
        if not sites:
            lifted.signature.is_noreturn = True
            return False
        if flow.x87_results:
            lifted.signature.returns = [(f"f{n}", "x86_fp80") for n in reversed(range(flow.x87_results))]
            return lifted.signature.returns != before
        lifted.signature.returns = []
        unread = self._unread(lifted)
        if self.likely:
            unread -= self._read_for_others(lifted, unread)

        def everywhere(unit: str, *kinds: str) -> bool:
            return all(site.get(unit) in kinds for site in sites)

        def width(unit: str) -> int:
            widths = [int(site.get(f"{unit}.width", "64")) for site in sites]
            parts = [int(site.get(f"{unit}.width", "8")) for site in sites if site.get(unit) == "part"]
            caps = [int(site[f"{unit}.cap"]) for site in sites if f"{unit}.cap" in site]
            found = min([*(parts or [max(widths) or 64]), *caps])
            return min(found, scalar) if unit.startswith("xmm") else found

        scalar = _scalar_width(flow) if self.likely else 128

        integer = everywhere("rax", DEFINED, RESULT, "part")
        # A parameter that some paths change and give back, where others give it back as it is.
        float_ = everywhere("xmm0", DEFINED, RESULT, ENTRY) and "xmm0" in unread
        float_ = float_ or everywhere("xmm0", DEFINED)
        if float_ and "xmm0" in unread and "rax" not in unread:
            integer = False
        elif integer and "rax" in unread and "xmm0" not in unread:
            float_ = False
        if self.likely and integer and "rax" not in unread and not self._deallocates_around_result(flow):
            # Every definition is read by something: then rax is left over, unless nothing but results come there.
            scratch = any(site.get("rax") != RESULT or MIXED + "rax" in site for site in sites)
            integer = not scratch or not _has_side_effects(flow)
            float_ = float_ and "xmm0" in unread
        results: list[str] = []
        if integer:
            results.append("rax")
            if "rdx" in unread and everywhere("rdx", DEFINED, RESULT):
                results.append("rdx")
        if float_:
            results.append("xmm0")
            if "xmm1" in unread and everywhere("xmm1", DEFINED, RESULT):
                results.append("xmm1")
        lifted.signature.returns = [(unit, result_type(unit, width(unit))) for unit in results]
        lifted.signature.is_capped = integer and any(site.get("rax.cap") == str(width("rax")) for site in sites)
        return lifted.signature.returns != before

    def _deallocates_around_result(self, flow: Flow) -> bool:
        """`pop rcx` where rax would do says that rax holds the result."""
        return any(
            step.insn.mnemonic == "pop" and any(e.kind == "kill" and e.unit in ("rcx", "rdx") for e in step.effects)
            for index in flow.order
            for step in flow.blocks[index].steps
        )

    def _read_for_others(self, lifted: Lifted, unread: set[str]) -> set[str]:
        """Result registers that are read where another one is given back: then that one alone is."""
        dropped: set[str] = set()
        integer = self._unread(lifted, "rax") if "rax" in unread and len(unread) > 1 else unread
        vector = self._unread(lifted, "xmm0") if "xmm0" in unread and len(unread) > 1 else unread
        if "rax" in unread and "xmm0" in unread and ("xmm0" in integer) != ("rax" in vector):
            dropped.add("rax" if "xmm0" in integer else "xmm0")
        if "rax" not in dropped:
            dropped |= {"rdx"} - integer
        if "xmm0" not in dropped:
            dropped |= {"xmm1"} - vector
        return dropped

    def _unread(self, lifted: Lifted, given: str = "") -> set[str]:
        """Result registers with a definition that nothing reads, so that only the caller can; one is `given` back."""
        assert lifted.flow is not None
        analysis = self._analysis(lifted)
        lifted.call_signatures.clear()
        analysis.returns = ((given, 128 if given == "xmm0" else 64),) if given else ()
        analysis.demands()
        found: set[str] = set()
        for index in lifted.flow.order:
            block = lifted.flow.blocks[index]
            live = dict(analysis.live_out[index])
            later: set[str] = set()
            """units set or clobbered again in this block"""
            for step in reversed(block.steps):
                for effect in step.effects:
                    if effect.kind == "call" and not effect.aux.is_tail:
                        later.update(unit for unit in RESULTS if unit in effect.aux.clobbered)
                    if effect.kind == "set" and effect.unit in RESULTS:
                        if step.insn.mnemonic == "pop" and effect.value is not None and effect.value.op == "const":
                            mnemonic = "mov"
                        else:
                            mnemonic = step.insn.mnemonic
                        is_dead = not live.get(effect.unit) and effect.unit not in later
                        if self.likely and mnemonic in FOR_FLAGS and any(live.get(unit) for unit in CC_UNITS):
                            is_dead = False
                        if is_dead and mnemonic not in IMPLICIT_RESULTS:
                            found.add(effect.unit)
                        later.add(effect.unit)
                analysis.before(step.effects, live)
        return found

    def _infer_parameters(self, good: list[Lifted]) -> None:
        """Parameters by what is read at entry, to a fixpoint over the call graph."""
        callers: dict[str, list[Lifted]] = {}
        for lifted in good:
            for name in lifted.callees:
                callers.setdefault(name, []).append(lifted)
        todo = list(good)
        rounds = 0
        while todo and rounds < 20 * len(good) + 20:
            rounds += 1
            lifted = todo.pop(0)
            try:
                analysis = self._analysis(lifted)
            except LiftError as error:
                lifted.problem = str(error)
                continue
            entry = analysis.demands()
            for name in analysis.note_results():
                if name in self.functions and name != lifted.code.name:
                    callee = self.functions[name]
                    if not callee.problem and callee not in todo:
                        todo.append(callee)
                elif name == lifted.code.name:
                    todo.append(lifted)
            try:
                params = self._parameters(lifted, entry)
            except LiftError as error:
                lifted.problem = str(error)
                continue
            if params != lifted.signature.params and not lifted.signature.is_known:
                lifted.signature.params = params
                todo += [c for c in callers.get(lifted.code.name, []) if c not in todo]

    def _narrow_parameters(self, lifted: Lifted, entry: dict[str, int], params: list[tuple[str, str]]) -> None:
        """Parameters of 8 and 16 bits, which callers extend."""
        assert lifted.flow is not None
        lifted.signature.attributes.clear()
        masked = entry
        if masks(lifted.flow.blocks):
            analysis = self._analysis(lifted)
            analysis.by_mask = True
            masked = analysis.demands()
        for number, (unit, ty) in enumerate(params):
            if ty != "i32" or masked.get(unit, 32) > 16:
                continue
            is_masked = entry.get(unit, 32) > masked[unit]
            if how := taken_narrow(lifted.flow, unit, masked[unit], masked=is_masked):
                ty, lifted.signature.attributes[number] = as_parameter(how)
                params[number] = (unit, ty)

    def _parameters(self, lifted: Lifted, entry: dict[str, int]) -> list[tuple[str, str]]:
        params: list[tuple[str, str]] = []
        variadic = lifted.variadic
        for names in (INTEGER_ARGUMENTS, FLOAT_ARGUMENTS):
            used = [n for n, unit in enumerate(names) if unit in entry]
            count = max(used) + 1 if used else 0
            if variadic is not None:
                count = variadic.num_integers if names is INTEGER_ARGUMENTS else variadic.num_floats
            for unit in names[:count]:
                params.append((unit, parameter_type(unit, entry.get(unit, 32))))
        assert lifted.frame is not None
        if self.likely and self.guess.narrow and variadic is None and not lifted.frame.incoming:
            self._narrow_parameters(lifted, entry, params)
        if variadic is not None and variadic.memory_bytes and lifted.frame.incoming != variadic.memory_bytes:
            raise LiftError("a variadic function with parameters in memory that are not understood")
        if lifted.frame.incoming and (variadic is None or variadic.memory_bytes):
            size = lifted.frame.incoming
            if lifted.frame.incoming_escapes:
                # What callers hand over is as much as there can be; without one in this file nobody copies it.
                size = max(size, self.handed.get(lifted.code.name, 0) or size + OPEN_BYTES)
            lifted.signature.attributes.clear()
            lifted.signature.attributes[len(params)] = area_attribute(size)
            return [*params, (f"area.{size}", "ptr")]
        stacked = sorted(
            int(unit[1:]) for unit in entry if unit[0] == "s" and unit[1:].isdigit() and int(unit[1:]) >= 8
        )
        if stacked:
            integers = sum(unit in INTEGER_ARGUMENTS for unit, _ in params)
            for unit in INTEGER_ARGUMENTS[integers:]:
                params.insert(integers, (unit, "i32"))
                integers += 1
            for offset in range(8, max(stacked) + 1, 8):
                params.append((f"stack.{offset - 8}", "i32" if entry.get(f"s{offset}", 32) <= 32 else "i64"))
        return params


def _scalar_width(flow: Flow) -> int:
    """The width of the numbers that a function computes with in vector registers; 128 for vectors of them."""
    names = {step.insn.mnemonic for index in flow.order for step in flow.blocks[index].steps}
    if names & PACKED:
        return 128
    ends = {name[-2:] for name in names if name not in ("movss", "movsd", "movsxd")}
    return 32 if "ss" in ends and "sd" not in ends else 64


def _has_side_effects(flow: Flow) -> bool:
    return any(
        effect.kind in ("store", "call", "atomic", "cmpxchg", "string")
        for index in flow.order
        for step in flow.blocks[index].steps
        for effect in step.effects
    )
