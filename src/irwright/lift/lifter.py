"""A whole file lifted: signatures of all its functions found together, then each function as IR.

Upper bounds of what unknown callees take come from what every call site has to offer; what the file's own
functions take from what they read. Both are solved to a fixpoint over the call graph before anything is emitted.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from irwright.errors import LiftError
from irwright.lift.emit import Emitter, Options
from irwright.lift.expressions import Ref, bits
from irwright.lift.flow import Call, Flow, FlowBuilder
from irwright.lift.inference import DEFINED, ENTRY, RESULT, Available, Frame, Typing, availability, frame_use
from irwright.lift.names import ModuleNames
from irwright.lift.objects import Decoder
from irwright.lift.program import Code, Program
from irwright.lift.prototypes import prototype
from irwright.lift.signatures import (
    FLOAT_ARGUMENTS,
    INTEGER_ARGUMENTS,
    RESULTS,
    Signature,
    parameter_type,
    result_type,
)
from irwright.lift.variadic import Variadic, find_variadic
from irwright.lift.webs import Analysis, Web

IMPLICIT_RESULTS = frozenset(
    ["div", "idiv", "mul", "imul", "cdq", "cqo", "cwd", "xchg", "cmpxchg", "xadd", "pop", "leave"]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """How to decide what machine code leaves open. The default allows everything any use could mean."""

    likely: bool = False
    """signatures, widths and frames as compilers most often make them"""
    split: bool = False
    """every frame address that is taken begins an object"""
    narrow: bool = True
    """arguments of unknown functions that are set with 32 bits have 32"""
    whole_copies: bool = True


SOUND = Guess()
LIKELY = Guess(likely=True)


@dataclass(slots=True)
class Lifted:
    """What is known of one function of the file."""

    code: Code
    flow: Flow | None = None
    frame: Frame | None = None
    signature: Signature = field(default_factory=Signature)
    available: Available | None = None
    analysis: Analysis | None = None
    webs: dict[int, Web] | None = None
    problem: str = ""
    callees: set[str] = field(default_factory=set[str])
    call_signatures: dict[int, Signature] = field(default_factory=dict[int, Signature])
    variadic: Variadic | None = None
    memory_calls: list[str] = field(default_factory=list[str])
    unread: dict[int, set[str]] = field(default_factory=dict[int, set[str]])
    """by call: argument registers set before it that nothing else reads"""


class FileLifter:
    """Lifts the functions of one program."""

    def __init__(self, program: Program, guess: Guess = SOUND) -> None:
        self.program = program
        self.guess = guess
        self.likely = guess.likely
        self.widths: dict[tuple[str, str], int] = {}
        self.evidence: dict[str, int] = {}
        self.functions: dict[str, Lifted] = {code.name: Lifted(code) for code in program.functions}
        self.by_place = {(code.pieces[0][0], code.pieces[0][1]): code.name for code in program.functions}
        self.externals: dict[str, Signature] = {}
        self.bounds: dict[str, tuple[int, int]] = {}
        self.uses_floats = False
        self.settled = False
        """the results of the file's own functions are known"""

    # Phases

    def analyse(self) -> None:
        """Everything up to emission; problems are kept per function.

        A function that turns out not to be liftable tells its callers nothing: all is done again without it.
        """
        known: dict[str, str] = {}
        for _ in range(12):
            self._analyse(known)
            found = {name: lifted.problem for name, lifted in self.functions.items() if lifted.problem}
            if found.keys() == known.keys():
                return
            known = found
        for lifted in self.functions.values():
            lifted.problem = lifted.problem or "signatures that do not settle"

    def _analyse(self, known: dict[str, str]) -> None:
        self.functions = {code.name: Lifted(code, problem=known.get(code.name, "")) for code in self.program.functions}
        self.externals, self.bounds, self.widths, self.evidence = {}, {}, {}, {}
        self.settled = False
        decoder = Decoder(self.program)
        for lifted in self.functions.values():
            if not lifted.code.instructions and not lifted.code.problem:
                decoder.decode(lifted.code)
            lifted.problem = lifted.problem or lifted.code.problem
        self.uses_floats = any(
            i.mnemonic.endswith(("ss", "sd", "si")) and "xmm" in i.text
            for lifted in self.functions.values()
            for i in lifted.code.instructions
        )
        self._find_noreturn()
        for name, lifted in self.functions.items():
            lifted.signature.name = name
            if not lifted.problem:
                self._guard(lifted, self._build)
        good = self.good()
        self._bound_arities(good)
        for _ in range(3):
            for lifted in good:
                assert lifted.flow is not None
                lifted.available = availability(lifted.flow, self._resolve, likely=self.likely)
            before = [list(lifted.signature.returns) for lifted in good]
            for lifted in good:
                self._guard(lifted, self._infer_returns)
            changed = [old != lifted.signature.returns for old, lifted in zip(before, good, strict=True)]
            self.settled = True
            if not any(changed):
                break
        self._infer_parameters([lifted for lifted in good if not lifted.problem])
        for lifted in self.good():
            if lifted.variadic is not None:
                lifted.signature.is_variadic = True
                lifted.signature.num_fixed = len(lifted.signature.params)
            self._guard(lifted, self._solve)
        for lifted in self.good():
            self._guard(lifted, self._type)
        for lifted in self.good():
            self._guard(lifted, self._type)

    def good(self) -> list[Lifted]:
        """Functions without a problem so far."""
        return [lifted for lifted in self.functions.values() if not lifted.problem]

    def _guard(self, lifted: Lifted, phase: object) -> None:
        assert callable(phase)
        try:
            phase(lifted)
        except LiftError as error:
            lifted.problem = str(error)
        except RecursionError:
            lifted.problem = "too deeply nested"
        except (AssertionError, KeyError, IndexError, ValueError) as error:  # a form nobody thought of
            lifted.problem = f"not understood ({type(error).__name__}: {error})"

    def _find_noreturn(self) -> None:
        self.noreturn: set[str] = set()

    def is_noreturn(self, ref: Ref) -> bool:
        """True for callees that are known not to come back."""
        name = self.name_of(ref)
        if name in self.functions:
            return False
        known = prototype(name)
        return known is not None and known.is_noreturn

    def name_of(self, ref: Ref) -> str:
        """The function a reference in a call means."""
        if ref.symbol is not None:
            return ref.symbol
        name = self.by_place.get((ref.section, ref.offset))
        if name is None:
            raise LiftError("a call to a place that is no function")
        return name

    def _build(self, lifted: Lifted) -> None:
        lifted.flow = FlowBuilder(self.program, lifted.code, self.is_noreturn).build()
        lifted.variadic = find_variadic(lifted.flow)
        lifted.frame = frame_use(lifted.flow, trim=self.likely, split=self.guess.split)
        if lifted.variadic is not None:
            # Known before any call of it is looked at: its callers must not drop what has no name.
            counts = ((INTEGER_ARGUMENTS, lifted.variadic.num_integers), (FLOAT_ARGUMENTS, lifted.variadic.num_floats))
            lifted.signature.params = [
                (unit, "i64" if names is INTEGER_ARGUMENTS else "double") for names, n in counts for unit in names[:n]
            ]
            lifted.signature.is_variadic = True
            lifted.signature.num_fixed = len(lifted.signature.params)
            lifted.frame.top = min(lifted.frame.top, lifted.variadic.save_area)
        for call in lifted.flow.calls:
            if call.target is not None:
                if call.target.kind != "direct" or (call.target.symbol and call.target.offset):
                    raise LiftError("a call to a place that is no function")
                call.name = self.name_of(call.target)
                lifted.callees.add(call.name)

    # Signatures

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
            if takes_memory and all(status.get(unit) is not None for unit in INTEGER_ARGUMENTS):
                raise LiftError("arguments in memory that are not understood")
        if found.is_variadic:
            found = self._variadic(lifted, call, found, slots)
        elif slots and not found.is_known and call.name not in self.functions:
            found = replace(found, params=list(found.params), returns=found.returns)
            if sum(unit in INTEGER_ARGUMENTS for unit, _ in found.params) < 6:
                missing = INTEGER_ARGUMENTS[sum(unit in INTEGER_ARGUMENTS for unit, _ in found.params) :]
                status = lifted.available.at_call.get(call.index, {}) if lifted.available is not None else {}
                if any(status.get(unit) is None for unit in missing):
                    raise LiftError("a call with arguments in memory before those in registers are used up")
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
                raise LiftError("a variadic call with arguments in memory before those in registers are used up")
            here += _in_memory(lifted, call, slots)
            found = replace(found, params=here, returns=found.returns, is_variadic=True, num_fixed=0)
        lifted.call_signatures[call.index] = found
        return found

    def _external(self, name: str) -> Signature:
        found = self.externals.get(name)
        if found is None:
            found = prototype(name)
            if found is None:
                integers, floats = self.bounds.get(name, (0, 0))
                if self.likely:
                    integers = min(integers, self.evidence.get(name, 0))
                found = Signature(name=name)
                for unit in INTEGER_ARGUMENTS[:integers]:
                    narrow = self.likely and self.guess.narrow and self.widths.get((name, unit), 64) <= 32
                    found.params.append((unit, "i32" if narrow else "i64"))
                for unit in FLOAT_ARGUMENTS[:floats]:
                    width = self.widths.get((name, unit), 64)
                    found.params.append((unit, "float" if width <= 32 else "double" if width <= 64 else "<2 x double>"))
            self.externals[name] = found
        return found

    def _variadic(self, lifted: Lifted, call: Call, declared: Signature, slots: list[int]) -> Signature:
        """A variadic callee's signature with the arguments that this call has for it."""
        assert lifted.available is not None
        status = lifted.available.at_call.get(call.index, {})
        if call.num_vectors < 0:
            raise LiftError(f"a variadic call of {call.name} without a constant in al")
        own = self.bounds.get(lifted.code.name, (6, 8))[0]
        found = replace(declared, params=list(declared.params), returns=declared.returns)
        fixed = [unit for unit, _ in declared.params]
        limit = _prefix(status, INTEGER_ARGUMENTS, own)
        if self.likely:
            limit = min(limit, _evidence(status, lifted.unread.get(call.index, set())))
        integers = [unit for unit in INTEGER_ARGUMENTS[:limit] if unit not in fixed]
        found.params += [(unit, self._narrow(status, unit)) for unit in integers]
        floats = [unit for unit in FLOAT_ARGUMENTS[: call.num_vectors] if unit not in fixed]
        found.params += [(unit, "double") for unit in floats]
        if slots and (limit < 6 or call.is_tail):
            raise LiftError("a variadic call with arguments in memory before those in registers are used up")
        found.params += _in_memory(lifted, call, slots)
        return found

    def _narrow(self, status: dict[str, str], unit: str) -> str:
        return "i32" if self.likely and self.guess.narrow and int(status.get(f"{unit}.width", "64")) <= 32 else "i64"

    def _at_site(self, lifted: Lifted, call: Call) -> Signature:
        assert lifted.available is not None
        status = lifted.available.at_call.get(call.index, {})
        bound = self.bounds.get(lifted.code.name, (6, 8))
        integers = _prefix(status, INTEGER_ARGUMENTS, bound[0])
        if self.likely:
            integers = min(integers, _evidence(status, lifted.unread.get(call.index, set())))
        floats = _prefix(status, FLOAT_ARGUMENTS, bound[1])
        pointer = {node.aux for node in ([call.pointer] if call.pointer is not None else []) if node.op == "reg"}
        params = [(unit, self._narrow(status, unit)) for unit in INTEGER_ARGUMENTS[:integers]]
        while params and params[-1][0] in pointer:
            params.pop()
        return Signature(params=params + [(unit, "double") for unit in FLOAT_ARGUMENTS[:floats]])

    def _resolve(self, call: Call) -> Signature | None:
        if call.target is None:
            return None
        if call.name in self.functions:
            signature = self.functions[call.name].signature
            return signature if signature.returns or (self.settled and not self.functions[call.name].problem) else None
        return prototype(call.name)

    def _bound_arities(self, good: list[Lifted]) -> None:
        """Upper bounds of (integer, float) arguments by what each site offers; decreasing to a fixpoint."""
        floats = 8 if self.uses_floats else 0
        bounds: dict[str, tuple[int, int]] = dict.fromkeys(self.functions, (6, floats))
        for lifted in good:
            assert lifted.flow is not None
            lifted.available = availability(lifted.flow, lambda _: None)
        for name in self.functions:
            if name == "main":
                bounds[name] = (3, 0)
        for _ in range(10):
            before = dict(bounds)
            for lifted in good:
                assert lifted.flow is not None and lifted.available is not None
                own = bounds[lifted.code.name]
                for call in lifted.flow.calls:
                    if not call.name:
                        continue
                    status = lifted.available.at_call.get(call.index)
                    if status is None:
                        continue
                    for unit in (*INTEGER_ARGUMENTS, *FLOAT_ARGUMENTS):
                        if unit in status:
                            wide = int(status.get(f"{unit}.width", "64"))
                            self.widths[call.name, unit] = max(self.widths.get((call.name, unit), 0), wide)
                    limit = bounds.get(call.name, (6, 8))
                    bounds[call.name] = (
                        min(limit[0], _prefix(status, INTEGER_ARGUMENTS, own[0])),
                        min(limit[1], _prefix(status, FLOAT_ARGUMENTS, own[1])),
                    )
            if bounds == before:
                break
        self.bounds = bounds
        for lifted in good:
            self._collect_evidence(lifted)

    def _collect_evidence(self, lifted: Lifted) -> None:
        """Argument registers that are set before a call and read by nothing, if the call does not."""
        assert lifted.flow is not None and lifted.available is not None
        flow = lifted.flow
        analysis = Analysis(flow, {call.index: Signature() for call in flow.calls}, (("rax", 64), ("xmm0", 128)), set())
        analysis.demands()
        for index in flow.order:
            live = dict(analysis.live_out[index])
            pending: list[int] = []
            done: set[tuple[int, str]] = set()
            for step in reversed(flow.blocks[index].steps):
                for effect in step.effects:
                    if effect.kind == "call":
                        pending = [effect.aux.index]
                    elif effect.kind == "set" and effect.unit in (*INTEGER_ARGUMENTS, "rax") and pending:
                        if not live.get(effect.unit) and (pending[0], effect.unit) not in done:
                            lifted.unread.setdefault(pending[0], set()).add(effect.unit)
                        done.add((pending[0], effect.unit))
                analysis.before(step.effects, live)
        for call in flow.calls:
            if call.name:
                status = lifted.available.at_call.get(call.index, {})
                found = _evidence(status, lifted.unread.get(call.index, set()))
                self.evidence[call.name] = max(self.evidence.get(call.name, 0), found)

    def _analysis(self, lifted: Lifted) -> Analysis:
        assert lifted.flow is not None and lifted.frame is not None
        signatures = {call.index: self.signature_of(lifted, call) for call in lifted.flow.calls}
        returns = tuple((unit, bits(ty)) for unit, ty in lifted.signature.returns)
        analysis = Analysis(lifted.flow, signatures, returns, lifted.frame.slots)
        analysis.whole_copies = self.guess.whole_copies
        return analysis

    def _infer_returns(self, lifted: Lifted) -> bool:
        """Results by what is available and unread at the returns; True if that changed."""
        available, flow = lifted.available, lifted.flow
        assert available is not None and flow is not None
        before = list(lifted.signature.returns)
        sites = available.at_return
        if not sites:
            lifted.signature.is_noreturn = True
            return False
        lifted.signature.returns = []
        unread = self._unread(lifted)

        def everywhere(unit: str, *kinds: str) -> bool:
            return all(site.get(unit) in kinds for site in sites)

        def width(unit: str) -> int:
            widths = [int(site.get(f"{unit}.width", "64")) for site in sites]
            parts = [int(site.get(f"{unit}.width", "8")) for site in sites if site.get(unit) == "part"]
            return min(parts) if parts else max(widths) or 64

        integer = everywhere("rax", DEFINED, RESULT, "part")
        float_ = everywhere("xmm0", DEFINED, RESULT) and ("xmm0" in unread or everywhere("xmm0", DEFINED))
        if float_ and "xmm0" in unread and "rax" not in unread:
            integer = False
        elif integer and "rax" in unread and "xmm0" not in unread:
            float_ = False
        if self.likely and integer and "rax" not in unread and not self._deallocates_around_result(flow):
            integer = not everywhere("rax", DEFINED, "part") or not _has_side_effects(flow)
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
        return lifted.signature.returns != before

    def _deallocates_around_result(self, flow: Flow) -> bool:
        """`pop rcx` where rax would do says that rax holds the result."""
        return any(
            step.insn.mnemonic == "pop" and any(e.kind == "kill" and e.unit in ("rcx", "rdx") for e in step.effects)
            for index in flow.order
            for step in flow.blocks[index].steps
        )

    def _unread(self, lifted: Lifted) -> set[str]:
        """Result registers with a definition that nothing reads, so that only the caller can."""
        assert lifted.flow is not None
        analysis = self._analysis(lifted)
        lifted.call_signatures.clear()
        analysis.returns = ()
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
                        later.update(RESULTS)
                    if effect.kind == "set" and effect.unit in RESULTS:
                        if step.insn.mnemonic == "pop" and effect.value is not None and effect.value.op == "const":
                            mnemonic = "mov"
                        else:
                            mnemonic = step.insn.mnemonic
                        is_dead = not live.get(effect.unit) and effect.unit not in later
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
            params = self._parameters(lifted, entry)
            if params != lifted.signature.params and not lifted.signature.is_known:
                lifted.signature.params = params
                todo += [c for c in callers.get(lifted.code.name, []) if c not in todo]

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

    # Webs

    def _solve(self, lifted: Lifted) -> None:
        assert lifted.flow is not None
        analysis = lifted.analysis = self._analysis(lifted)
        analysis.demands()
        analysis.webs()
        params = tuple(
            unit if not unit.startswith("stack.") else f"s{8 + int(unit[6:])}" for unit, _ in lifted.signature.params
        )
        lifted.webs = analysis.variables(params)

    def _type(self, lifted: Lifted) -> None:
        assert lifted.flow is not None and lifted.analysis is not None and lifted.webs is not None
        typing = Typing(lifted.flow, lifted.analysis, lifted.webs, lifted.signature)
        typing.guesses = self.likely
        typing.solve()
        self._learn_pointers(lifted)

    def _learn_pointers(self, lifted: Lifted) -> None:
        """Parameters, arguments and results become pointers where the webs they live in are."""
        analysis, webs, flow = lifted.analysis, lifted.webs, lifted.flow
        assert analysis is not None and webs is not None and flow is not None
        entry = {unit: webs[analysis.find(node)] for node, unit in analysis.entry_nodes.items()}
        signature = lifted.signature
        if not signature.is_known:
            for number, (unit, ty) in enumerate(signature.params):
                web = entry.get(unit)
                if ty == "i64" and web is not None and web.ty == "ptr":
                    signature.params[number] = (unit, "ptr")
        for index in flow.order:
            for number, step in enumerate(flow.blocks[index].steps):
                for effect in step.effects:
                    if effect.kind == "call":
                        callee = analysis.signatures[effect.aux.index]
                        if callee.is_known:
                            continue
                        for place, (unit, ty) in enumerate(callee.params):
                            web = self._web(lifted, analysis.read_nodes, index, number, unit)
                            if ty == "i64" and web is not None and web.ty == "ptr":
                                callee.params[place] = (unit, "ptr")
                            elif ty == "double" and web is not None and web.ty == "float" and not effect.aux.name:
                                callee.params[place] = (unit, "float")
                        for place, (unit, ty) in enumerate(callee.returns):
                            web = self._web(lifted, analysis.write_nodes, index, number, unit)
                            if ty == "i64" and web is not None and web.ty == "ptr":
                                callee.returns[place] = (unit, "ptr")
                    elif effect.kind == "ret" and not signature.is_known:
                        for place, (unit, ty) in enumerate(signature.returns):
                            web = self._web(lifted, analysis.read_nodes, index, number, unit)
                            if ty == "i64" and web is not None and web.ty == "ptr":
                                signature.returns[place] = (unit, "ptr")

    def _web(
        self, lifted: Lifted, nodes: dict[tuple[int, int, str], int], index: int, number: int, unit: str
    ) -> Web | None:
        assert lifted.analysis is not None and lifted.webs is not None
        node = nodes.get((index, number, unit))
        return None if node is None else lifted.webs[lifted.analysis.find(node)]

    @contextmanager
    def returning(self, name: str, ty: str) -> Generator[None]:
        """Within, the function returns another type than was inferred; calls of it stay as they are."""
        lifted = self.functions[name]
        kept = (lifted.signature, lifted.analysis, lifted.webs)
        unit = "xmm0" if ty in ("float", "double") else "rax"
        results = [] if ty == "void" else [(unit, ty)]
        lifted.signature = replace(lifted.signature, params=list(lifted.signature.params), returns=results)
        try:
            self._solve(lifted)
            self._type(lifted)
            self._type(lifted)
            yield
        finally:
            lifted.signature, lifted.analysis, lifted.webs = kept

    # Emission

    def emit(self, name: str, names: ModuleNames, options: Options) -> str:
        """The definition of one function, or LiftError."""
        lifted = self.functions[name]
        assert lifted.flow is not None and lifted.analysis is not None and lifted.webs is not None
        assert lifted.frame is not None
        emitter = Emitter(lifted.flow, lifted.analysis, lifted.webs, lifted.signature, names, options, lifted.frame)
        result = lifted.signature.result_text()
        dots = ["..."] if lifted.signature.is_variadic else []
        return emitter.function(
            lambda params: f"define dso_local {result} {names.symbol(name)}({', '.join([*params, *dots])}) #0"
        )


def _in_memory(lifted: Lifted, call: Call, slots: list[int]) -> list[tuple[str, str]]:
    """Parameters for the slots that hold a call's arguments."""
    assert lifted.frame is not None
    widths = lifted.frame.outgoing_bits
    return [(f"stack.{at - call.stack}", f"i{widths.get(at, 64)}") for at in slots]


def _has_side_effects(flow: Flow) -> bool:
    return any(
        effect.kind in ("store", "call", "atomic", "cmpxchg", "string")
        for index in flow.order
        for step in flow.blocks[index].steps
        for effect in step.effects
    )


def _evidence(status: dict[str, str], unread: set[str]) -> int:
    """How many argument registers look as if set for this call."""
    count = 0
    for number, unit in enumerate(INTEGER_ARGUMENTS):
        if unit in unread or (status.get(unit) == DEFINED and unit not in ("rcx", "rdx")):
            count = number + 1
    return count


def _prefix(status: dict[str, str], units: tuple[str, ...], own: int) -> int:
    """How many of the argument registers hold something that could be an argument."""
    for number, unit in enumerate(units):
        kind = status.get(unit)
        if kind == DEFINED or (kind == ENTRY and number < own) or kind == "part":
            continue
        return number
    return len(units)
