"""A whole file lifted: signatures of all its functions found together, then each function as IR.

Upper bounds of what unknown callees take come from what every call site has to offer; what the file's own
functions take from what they read. Both are solved to a fixpoint over the call graph before anything is emitted.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace

from irwright.errors import LiftError
from irwright.lift.clobbers import ALL, Clobbers, apply_clobbers, counted_on, find_clobbers
from irwright.lift.decoder import Decoder
from irwright.lift.emit import Emitter
from irwright.lift.expressions import Ref
from irwright.lift.flow import COMPUTED_STACK, FlowBuilder
from irwright.lift.frames import frame_use
from irwright.lift.inference import reads_what_is_gone, returns
from irwright.lift.lifted import SOUND, Guess, Lifted, guard
from irwright.lift.names import ModuleNames
from irwright.lift.options import Options
from irwright.lift.program import Code, Imm, Instruction, Program
from irwright.lift.results import OwnSignatures
from irwright.lift.signatures import FLOAT_ARGUMENTS, INTEGER_ARGUMENTS
from irwright.lift.variadic import find_variadic
from irwright.lift.volatile import is_smallest, mark_frame, mark_plain_stores, mark_waiting_loads
from irwright.lift.web_types import Typing
from irwright.lift.webs import Web

PROFILERS = ("__fentry__", "mcount", "_mcount")
"""called before anything else, these leave all registers alone"""


class FileLifter(OwnSignatures):
    """Lifts the functions of one program."""

    def __init__(self, program: Program, guess: Guess = SOUND) -> None:
        super().__init__(program, guess)
        self.by_place = {(code.pieces[0][0], code.pieces[0][1]): code.name for code in program.functions}
        self.areas: dict[str, set[int]] = {}
        """by function: calls that get what lies at the stack pointer, as earlier analyses wanted"""
        self.noreturn: set[str] = set()
        """functions of the file that never return"""
        self.x87_functions: set[str] = set()
        """functions of the file that give back a long double"""
        self.table_jumps: dict[str, frozenset[tuple[int, int]]] = {}
        """by function whose flow is understood, lifted or not: (section, address) of jumps through tables"""
        self.clobbers = Clobbers({}, frozenset())
        self.is_smallest = False
        """compiled for the smallest code: constants are stored by `and` and `or`"""

    def analyse(self) -> None:
        """Everything up to emission; problems are kept per function.

        A function that turns out not to be liftable tells its callers nothing: all is done again without it.
        """
        known: dict[str, str] = {}
        for _ in range(12):
            self._analyse(known)
            if self._find_strangers():
                continue
            found = {name: lifted.problem for name, lifted in self.functions.items() if lifted.problem}
            for name, calls in self.wanted_areas.items():
                if not calls <= self.areas.get(name, set()):
                    self.areas[name] = self.areas.get(name, set()) | calls
                    found.pop(name, None)
            if not self.wanted_areas:
                found = self.with_callees(found)
            if found.keys() == known.keys() and not self.wanted_areas:
                return
            known = found
        for lifted in self.functions.values():
            lifted.problem = lifted.problem or "signatures that do not settle"

    def _analyse(self, known: dict[str, str]) -> None:
        """Find all signatures, without the functions that are known to have problems."""
        self.functions = {code.name: Lifted(code, problem=known.get(code.name, "")) for code in self.program.functions}
        for name, lifted in self.functions.items():
            lifted.signature.name = name
        self.forget()
        self._decode()
        self._build_all()
        good = self.good()
        self._note_calls(good)
        self._bound_arities(good)
        self._infer_results(good)
        self._narrow_bounds_again(good)
        for lifted in good:
            lifted.call_signatures.clear()
        self._infer_parameters([lifted for lifted in good if not lifted.problem])
        for lifted in self.good():
            if lifted.variadic is not None:
                lifted.signature.is_variadic = True
                lifted.signature.num_fixed = len(lifted.signature.params)
            guard(lifted, self._solve)
        for _ in range(2):  # what the first round learns of callees, the second tells their callers
            for lifted in self.good():
                guard(lifted, self._type)

    def _decode(self) -> None:
        """Read the instructions of all functions, and what they say of the whole file."""
        decoder = Decoder(self.program)
        for lifted in self.functions.values():
            if not lifted.code.instructions and not lifted.code.problem:
                decoder.decode(lifted.code)
            lifted.problem = lifted.problem or lifted.code.problem
            tables = [self.program.unwinding.get(piece[:2]) for piece in lifted.code.pieces]
            if not lifted.problem and any(one is not None and one.lsda is not None for one in tables):
                lifted.problem = "landing pads for exceptions"
        instructions = [insn for lifted in self.functions.values() for insn in lifted.code.instructions]
        self.is_smallest = is_smallest(instructions)
        self.uses_floats = any(
            insn.mnemonic.endswith(("ss", "sd", "si")) and "xmm" in insn.text for insn in instructions
        )

    def _build_all(self) -> None:
        """Control flow and frames; again for callers of what turns out not to return, or to give back a long double."""
        todo = self.good()
        while todo:
            for lifted in todo:
                lifted.problem = ""
                guard(lifted, self._build)
            found = self._find_x87_results() | self._find_noreturn()
            todo = [one for one in todo if one.problem] if found else []
            todo += [one for one in self.good() if one.callees & found]
        codes = {name: lifted.code for name, lifted in self.functions.items()}
        self.clobbers = find_clobbers(codes, self._own_callee, self.table_jumps)
        for lifted in self.functions.values():
            if self.may_keep and lifted.problem == COMPUTED_STACK:  # kept in a register that a callee leaves alone
                lifted.problem = ""
                guard(lifted, self._build)

    def _note_calls(self, good: list[Lifted]) -> None:
        """What calls change, and how much they hand over in memory."""
        self.handed = {}
        for lifted in good:
            assert lifted.flow is not None and lifted.frame is not None
            apply_clobbers(lifted.flow.calls, self.clobbers)
            for call in lifted.flow.calls:
                size = lifted.frame.areas.get(call.index, 0)
                self.handed[call.name] = max(size, self.handed.get(call.name, 0))

    def _narrow_bounds_again(self, good: list[Lifted]) -> None:
        """By what own callees give back now, which is less than was allowed for."""
        self.widths = {}
        self._narrow_bounds(good)
        self.externals = {}

    def with_callees(self, kept: dict[str, str]) -> dict[str, str]:
        """Functions that stay machine code, by reason, with those that they may count on."""
        if not self.may_keep:
            return kept
        codes = {code.name: code for code in self.program.functions}
        return kept | counted_on(codes, self.clobbers.registers, self._own_callee, kept)

    def good(self) -> list[Lifted]:
        """Functions without a problem so far."""
        return [lifted for lifted in self.functions.values() if not lifted.problem]

    def _find_noreturn(self) -> set[str]:
        """Functions that turned out to have no way that leads to a return."""
        flows = {lifted.code.name: lifted.flow for lifted in self.good() if lifted.flow is not None}
        unsure = set(flows)
        while found := {name for name in unsure if returns(flows[name], unsure | self.noreturn)}:
            unsure -= found
        if self.likely:
            unsure |= self.ending()
        new = unsure - self.noreturn
        self.noreturn |= unsure
        return new

    def ending(self) -> set[str]:
        """Callees of other files after a call of which nothing follows: there at least, they do not return.

        Nothing but what reads registers that the call has lost is as good as nothing.
        """
        found: set[str] = set()
        for lifted in self.good():
            assert lifted.flow is not None
            for index in lifted.flow.order:
                block = lifted.flow.blocks[index]
                calls = [e.aux for step in block.steps for e in step.effects if e.kind == "call" and not e.aux.is_tail]
                last = block.steps[-1].effects[-1:] if block.steps and not block.successors else []
                for call in calls:
                    if call.name and call.name not in (*self.functions, *found, *PROFILERS):
                        is_last = bool(last) and last[0].aux is call
                        if is_last or reads_what_is_gone(lifted.flow, index, call):
                            found.add(call.name)
        return found

    def fewest(self) -> dict[str, int]:
        """By callee of other files whose calls set different numbers of integer arguments: how many each call sets."""
        found: dict[str, set[int]] = {}
        variadic: set[str] = set()
        for lifted in self.good():
            assert lifted.flow is not None
            for call in lifted.flow.calls:
                signature = lifted.call_signatures.get(call.index)
                if signature is None or not call.name or call.name in self.functions or signature.is_known:
                    continue
                found.setdefault(call.name, set()).add(sum(u in INTEGER_ARGUMENTS for u, _ in signature.params))
                variadic |= {call.name} if signature.is_variadic else set()
        return {name: min(found[name]) for name in variadic if len(found[name]) > 1}

    def is_noreturn(self, ref: Ref) -> bool:
        """True for callees that are known not to come back."""
        name = self.name_of(ref)
        if name in self.functions or name in self.noreturn:
            return name in self.noreturn
        known = self.prototype(name)
        return known is not None and known.is_noreturn

    def _clobbered(self, ref: Ref) -> frozenset[str]:
        """Registers that a callee may change, as far as is known."""
        return self.clobbers.registers.get(self.name_of(ref), ALL) if self.may_keep else ALL

    def returns_x87(self, ref: Ref) -> bool:
        """True for callees that are known to give back a long double."""
        name = self.name_of(ref)
        if name in self.functions:
            return name in self.x87_functions
        known = self.prototype(name)
        return known is not None and any(unit == "f0" for unit, _ in known.returns)

    def _own_callee(self, code: Code, insn: Instruction) -> str | None:
        """The function of this file that a direct call or jump leads to; None for others."""
        op = insn.operands[0]
        if not isinstance(op, Imm):
            return code.name if (insn.section, insn.address) in self.table_jumps.get(code.name, ()) else None
        ref = op.ref if op.ref is not None else Ref(None, insn.section, op.value)
        if ref.symbol is not None:
            return ref.symbol if ref.symbol in self.functions and not ref.offset else None
        if any(index == ref.section and low <= ref.offset < high for index, low, high in code.pieces):
            return code.name
        return self.by_place.get((ref.section, ref.offset))

    def name_of(self, ref: Ref) -> str:
        """The function a reference in a call means."""
        if ref.symbol is not None:
            return ref.symbol
        name = self.by_place.get((ref.section, ref.offset))
        if name is None:
            raise LiftError("a call to a place that is no function")
        return name

    def _build(self, lifted: Lifted) -> None:
        lifted.flow = FlowBuilder(
            self.program,
            lifted.code,
            self.is_noreturn,
            self.returns_x87,
            self._clobbered,
            tails=self.guess.tails,
            likely=self.likely,
        ).build()
        self.table_jumps[lifted.code.name] = lifted.flow.table_jumps
        for call in lifted.flow.calls:
            if call.target is not None:
                if call.target.kind != "direct" or (call.target.symbol and call.target.offset):
                    raise LiftError("a call to a place that is no function")
                call.name = self.name_of(call.target)
                lifted.callees.add(call.name)
        lifted.variadic = find_variadic(lifted.flow)
        mark_waiting_loads(lifted.flow)
        if self.likely and self.is_smallest:
            mark_plain_stores(lifted.flow)
        known = [self.prototype(name) for name in lifted.callees if name not in self.functions]
        is_volatile = any(one is not None and one.returns_twice for one in known)
        if is_volatile:
            mark_frame(lifted.flow)
        lifted.frame = frame_use(
            lifted.flow,
            trim=self.likely,
            split=self.guess.split,
            is_volatile=is_volatile,
            named_bytes=lifted.variadic.memory_bytes if lifted.variadic is not None else 0,
            with_area=self.areas.get(lifted.code.name, ()),
        )
        if lifted.variadic is not None:
            # Known before any call of it is looked at: its callers must not drop what has no name.
            counts = ((INTEGER_ARGUMENTS, lifted.variadic.num_integers), (FLOAT_ARGUMENTS, lifted.variadic.num_floats))
            lifted.signature.params = [
                (unit, "i64" if names is INTEGER_ARGUMENTS else "double") for names, n in counts for unit in names[:n]
            ]
            lifted.signature.is_variadic = True
            lifted.signature.num_fixed = len(lifted.signature.params)
            if lifted.frame.used_top <= lifted.variadic.save_area + 1:  # without optimisation, variables lie above it
                lifted.frame.top = min(lifted.frame.top, lifted.variadic.save_area)

    def _find_x87_results(self) -> set[str]:
        """Functions that turned out to give back a long double."""
        found = {lifted.code.name for lifted in self.good() if lifted.flow is not None and lifted.flow.x87_results == 1}
        new = found - self.x87_functions
        self.x87_functions |= found
        return new

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
                        if effect.aux.is_tail and not signature.is_known:
                            pointers = {unit for unit, ty in callee.returns if ty == "ptr"}
                            for place, (unit, ty) in enumerate(signature.returns):
                                if ty == "i64" and unit in pointers:
                                    signature.returns[place] = (unit, "ptr")
                        if effect.aux.is_tail and not callee.is_known and signature.returns == [("rax", "ptr")]:
                            callee.returns = [("rax", "ptr")] if callee.returns == [("rax", "i64")] else callee.returns
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

    def emit(self, name: str, names: ModuleNames, options: Options) -> str:
        """The definition of one function, or LiftError."""
        lifted = self.functions[name]
        assert lifted.flow is not None and lifted.analysis is not None and lifted.webs is not None
        assert lifted.frame is not None
        emitter = Emitter(lifted.flow, lifted.analysis, lifted.webs, lifted.signature, names, options, lifted.frame)
        emitter.is_likely = self.likely
        result = lifted.signature.result_text()
        dots = ["..."] if lifted.signature.is_variadic else []
        return emitter.function(
            lambda params: f"define dso_local {result} {names.symbol(name)}({', '.join([*params, *dots])}) #0"
        )
