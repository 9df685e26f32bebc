"""What a compile worker does: builds of loaded modules, measured or emitted.

The module after every step of a build (builds.py) but the last is kept for later calls that begin with the same
steps. A step always runs on a clone of the state before it, so a kept state and a recomputed one give the same code.

`serve` is what a worker process does; worker.py starts it and talks to it.
"""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path

from irwright.digests import blake2b
from irwright.errors import IrwrightError, LLVMError
from irwright.llvm.bodies import hash_bodies, split_text
from irwright.llvm.builds import (
    CODEGEN_DEFAULTS,
    OK,
    Build,
    FunctionsMeasured,
    InlineStatics,
    Lower,
    Measured,
    ModuleFacts,
    Outcome,
    OutcomeKind,
    Passes,
    Promote,
    Step,
    Steps,
)
from irwright.llvm.codegen import CodegenLevel, FileType, FunctionSize, TargetMachines, emit, read_object
from irwright.llvm.library import open_library
from irwright.llvm.lowering import Lowered, assemble, link, lower
from irwright.llvm.module import Context, Linkage, Module
from irwright.llvm.pieces import PREPARATIONS, Promoted, inline_statics, join, keep, promote, references
from irwright.llvm.undefined import trapping

PROMISES = re.compile(
    rb"^(  %\S+ = (?:add|sub|mul|shl|lshr|ashr|udiv|sdiv|trunc|zext|or|icmp|getelementptr))"
    rb"(?: (?:nuw|nsw|exact|inbounds|nusw|nneg|disjoint|samesign))+(?= )",
    re.MULTILINE,
)
"""flags by which an instruction promises that nothing overflows, or leaves its object"""
FRAME_IN_ASSEMBLY = re.compile(rb" asm [^\n]*\b(?:[re]?bp|[xw]29|fp)\b")
"""inline assembly that names the frame pointer of x86 or AArch64"""
NEIGHBOURS = 32
"""functions of a large module that are cut out of it together"""
REFERENCE_PASSES = "function(mem2reg),cgscc(inline),function(mem2reg),function(bounds-checking)"


class Compiler:
    """The operations of a worker; lives in the worker process alone."""

    def __init__(self, library: Path, state_bytes: int) -> None:
        self.library = open_library(library)
        self.context = Context(self.library)
        self.machines = TargetMachines(self.library)
        self.modules: dict[str, Module] = {}
        self.module_bytes: dict[str, int] = {}
        self.module_salts: dict[str, bytes] = {}
        self.states: OrderedDict[tuple[str, Steps], Module] = OrderedDict()
        self.promoted: dict[tuple[str, str], Promoted] = {}
        self.neighbours: tuple[str, frozenset[str], Module] | None = None
        """of a large module: the functions that were extracted from last, without all others"""
        self.left_by_oz: dict[str, frozenset[str]] = {}
        self.named_frames: dict[str, bool] = {}
        """modules with assembly that names the frame pointer"""
        self.known: set[bytes] = set()
        self.known_generation = 0
        self.given: dict[str, set[bytes]] = {}
        self.last_built: tuple[str, Build, Module] | None = None
        """what was measured last: most often the next to be asked for"""
        self.options_set: tuple[str, ...] = ()
        self.state_bytes = state_bytes

    def load(
        self, key: str, data: bytes, name: str, keep_debug: bool, left_by_oz: frozenset[str] | None = None
    ) -> None:
        """Parse a module; `left_by_oz` names the functions that have code after -Oz, where that is known."""
        module = self.context.parse(data, name=name)
        if not keep_debug:
            module.strip_debug_info()
        if not module.triple:  # written by hand: for this machine, as clang takes it
            module.triple = self.library.default_triple()
        machine = self.machines.get(module, CodegenLevel.DEFAULT)  # a target without backend fails here, by name
        if not module.data_layout:
            module.set_data_layout(self.machines.data_layout(machine))
        self.modules[key] = module
        self.module_bytes[key] = len(data)
        self.module_salts[key] = blake2b(data, digest_size=8).digest()
        if left_by_oz is not None:
            self.left_by_oz[key] = left_by_oz

    def drop(self, key: str) -> None:
        self._keep_built(None)
        if self.neighbours is not None and self.neighbours[0] == key:
            self._keep_neighbours(None)
        for state in [state for state in self.states if state[0] == key]:
            self.states.pop(state).close()
        self.left_by_oz.pop(key, None)
        self.named_frames.pop(key, None)
        self.given.pop(key, None)
        for preparation in PREPARATIONS:
            self.promoted.pop((key, preparation), None)
        module = self.modules.pop(key, None)
        if module is not None:
            module.close()
        # Parsed types and constants stay in a context for ever: start afresh when nothing lives in it.
        if not self.modules:
            self.context.close()
            self.context = Context(self.library)

    def facts(self, key: str) -> ModuleFacts:
        module = self.modules[key]
        definitions = module.definitions()
        counts = module.instructions_by_function()
        return ModuleFacts(
            functions=tuple(name for name, _ in definitions),
            internal=tuple(
                name for name, ref in definitions if module.linkage(ref) in (Linkage.INTERNAL, Linkage.PRIVATE)
            ),
            triple=module.triple,
            num_instructions=sum(counts.values()),
            instructions_by_function=counts,
            has_always_inline=module.has_always_inline(),
            has_coroutines=module.has_coroutines(),
            aliases=tuple(name for name, _ in module.alias_refs()),
        )

    def learn(self, generation: int, known: Sequence[bytes]) -> None:
        """Take over states whose sizes the parent knows; a new generation means it has forgotten the old ones."""
        if generation != self.known_generation:
            self.known_generation = generation
            self.known.clear()
        self.known.update(known)

    def evaluate(self, key: str, build: Build, count_instructions: bool = False) -> Measured:
        """Run the steps, hash, and (unless the state is known) generate an object and read its sizes."""
        started = time.perf_counter()
        module = self._run(key, build)
        self._keep_built((key, build, module))
        state = module.state_hash() + _codegen_key(build)
        num_instructions = module.num_instructions() if count_instructions else 0
        ran = time.perf_counter()
        info = None
        if state not in self.known:
            info = read_object(self._emit(module, build, FileType.OBJECT))
            self.known.add(state)
        return Measured(
            state=state,
            info=info,
            num_instructions=num_instructions,
            pass_seconds=ran - started,
            emit_seconds=time.perf_counter() - ran,
        )

    def evaluate_functions(self, key: str, build: Build) -> FunctionsMeasured:
        """Run the steps and measure each function by itself; code is generated only for those not seen before."""
        started = time.perf_counter()
        with self._run(key, build) as module:
            salt = self.module_salts[key] + _codegen_key(build)  # data functions point at differs between modules
            text = module.text().encode(errors="surrogateescape")
            bodies = split_text(text)
            states = {name: state + salt for name, state in hash_bodies(text, bodies).items()}
            named = {name: references(body).intersection(bodies) - {name} for name, body in bodies.items()}
            definitions = [(name, ref) for name, ref in module.definitions() if name in states]
            ran = time.perf_counter()
            fresh = {name for name, _ in definitions if states[name] not in self.known}
            sizes: dict[str, FunctionSize] = {}
            if fresh:
                for name, ref in definitions:
                    if name not in fresh:
                        module.hide(ref)
                if len(fresh) < len(definitions):
                    module.run_passes("elim-avail-extern")
                functions = read_object(self._emit(module, build, FileType.OBJECT)).functions
                sizes = {name: size for name, size in functions.items() if name in fresh}
                self.known.update(states[name] for name in sizes)
        return FunctionsMeasured(
            states=states,
            sizes=sizes,
            references=named,
            pass_seconds=ran - started,
            emit_seconds=time.perf_counter() - ran,
        )

    def compile(self, key: str, build: Build, kind: str) -> bytes:
        """The result of a build as `obj`, `asm`, `ll` or `bc`; the IR is verified first."""
        with self._run(key, build) as module:
            problem = module.verify()
            if problem is not None:
                raise LLVMError(f"the pass list leaves broken IR: {problem.strip().splitlines()[0]}")
            if kind == "bc":
                return module.bitcode()
            if kind == "ll":
                return module.text().encode(errors="surrogateescape")
            return self._emit(module, build, FileType.OBJECT if kind == "obj" else FileType.ASSEMBLY)

    def compile_new(self, key: str, build: Build) -> tuple[bytes, bytes | None]:
        """The state a build ends in, and its object where this worker has not given that of this state before."""
        with self._run(key, build) as module:
            state = module.state_hash() + _codegen_key(build)
            given = self.given.setdefault(key, set())
            if state in given:
                return state, None
            problem = module.verify()
            if problem is not None:
                raise LLVMError(f"the pass list leaves broken IR: {problem.strip().splitlines()[0]}")
            data = self._emit(module, build, FileType.OBJECT)
        given.add(state)
        return state, data

    def reference(self, key: str, level: CodegenLevel) -> bytes:
        """An object of the module as it came, that traps where code leaves a variable whose size is known.

        Functions are inlined, so that sizes are known where addresses are passed on; variables that are not in use at
        the same time have places of their own. Signed numbers that overflow trap, and others wrap, since code that may
        count on it that they don't can do anything there.
        """
        text = PROMISES.sub(rb"\1", trapping(self.modules[key].text().encode(errors="surrogateescape")))
        with self.context.parse(text, name=self.modules[key].name) as module:
            machine = self.machines.get(module, level)
            module.remove_attributes(b"minsize", b"optsize")  # which leave little to be inlined
            module.run_passes(REFERENCE_PASSES, target_machine=machine)
            return self._emit(module, Build(level=level, options=("-no-stack-coloring=1",)), FileType.OBJECT)

    def extract(self, key: str, function: str) -> bytes:
        """Bitcode of `function` as its own translation unit.

        Cloning a module of thousands of functions for each of them takes quadratic time: of large ones, some
        neighbours are cut out first, and functions from these.
        """
        with self._around(key, function).clone() as module:
            module.extract(function)
            return module.bitcode()

    def _around(self, key: str, function: str) -> Module:
        """A module with the function and everything it names: the whole one, or its neighbours alone."""
        whole = self.modules[key]
        if self.neighbours is not None and self.neighbours[0] == key and function in self.neighbours[1]:
            return self.neighbours[2]
        names = whole.functions()
        if len(names) < 2 * NEIGHBOURS or function not in names:
            return whole
        start = names.index(function) // NEIGHBOURS * NEIGHBOURS
        some = frozenset(names[start : start + NEIGHBOURS])
        module = whole.clone()
        module.cut_out(some)
        self._keep_neighbours((key, some, module))
        return module

    def _keep_neighbours(self, neighbours: tuple[str, frozenset[str], Module] | None) -> None:
        if self.neighbours is not None:
            self.neighbours[2].close()
        self.neighbours = neighbours

    def ping(self, key: str | None = None) -> tuple[str, tuple[str, ...]]:
        """Version and backends of the library."""
        return ".".join(map(str, self.library.version)), self.library.backends

    def lower(self, jobs: Sequence[tuple[str, str]], keep_ir: bool = True) -> list[Lowered]:
        """(textual IR, pipeline) pairs optimised and lowered to assembly."""
        return lower(self.library, self.machines, jobs, keep_ir=keep_ir)

    def assemble(self, text: str) -> bytes:
        """The object of textual IR that holds `module asm`."""
        return assemble(self.library, self.machines, text)

    def link(self, texts: Sequence[str]) -> Lowered:
        """Modules linked into one, and its assembly."""
        return link(self.library, self.machines, texts)

    def survey(self, key: str, preparation: str) -> Promoted:
        """What can be promoted in a module; `LLVMError` where it can't be made of pieces."""
        if (key, preparation) not in self.promoted:
            with self._run_steps(key, (Promote(preparation),), CodegenLevel.DEFAULT):
                pass
        return self.promoted[key, preparation]

    def _run(self, key: str, build: Build) -> Module:
        """A module of the caller's own, with everything the build says done to it."""
        if self.last_built is not None and self.last_built[:2] == (key, build):
            module, self.last_built = self.last_built[2], None
            return module
        if not build.parts:
            return self._run_steps(key, build.steps, build.level)
        modules: list[Module] = []
        try:
            for part in build.parts:
                module = self._run_steps(key, part.steps, build.level)
                modules.append(module)
                keep(module, part.functions, owns_data=module is modules[0])
            promoted = self.promoted[key, _preparation(build.parts[0].steps)]
            required = [name for name in promoted.roots if name not in promoted.functions]
            whole = join(modules, promoted, required, self.machines.get(modules[0], build.level))
            for step in build.steps:
                self._step(key, whole, step, build.level, build.parts[0].steps)
        except LLVMError:
            for module in modules:
                module.close()
            raise
        return whole

    def _keep_built(self, built: tuple[str, Build, Module] | None) -> None:
        if self.last_built is not None:
            self.last_built[2].close()
        self.last_built = built

    def _run_steps(self, key: str, steps: Steps, level: CodegenLevel) -> Module:
        base, done = self.modules[key], 0
        for length in range(len(steps) - 1, 0, -1):
            state = self.states.get((key, steps[:length]))
            if state is not None:
                self.states.move_to_end((key, steps[:length]))
                base, done = state, length
                break
        module = base.clone()
        for position in range(done, len(steps)):
            try:
                self._step(key, module, steps[position], level, steps)
            except LLVMError:
                module.close()
                raise
            if position < len(steps) - 1:
                self._keep((key, steps[: position + 1]), module)
                module = module.clone()
        return module

    def _keep(self, state: tuple[str, Steps], module: Module) -> None:
        self.states[state] = module
        # The size of a module in memory is not told by LLVM; 20 times its bitcode is a safe guess.
        total = sum(20 * self.module_bytes[key] for key, _ in self.states)
        while total > self.state_bytes and len(self.states) > 1:
            (key, _), oldest = self.states.popitem(last=False)
            oldest.close()
            total -= 20 * self.module_bytes[key]

    def _step(self, key: str, module: Module, step: Step, level: CodegenLevel, steps: Steps) -> None:
        machine = self.machines.get(module, level)
        if isinstance(step, Promote):
            module.run_passes(PREPARATIONS[step.preparation], target_machine=machine)
            self.promoted[key, step.preparation] = promote(module, self._left_by_oz(key, machine))
            return
        if isinstance(step, InlineStatics):
            inline_statics(module, self.promoted[key, _preparation(steps)].inlined[step.reason])
            return
        if isinstance(step, Lower):
            self._lower(key, module, step)
            return
        if isinstance(step, Passes):
            module.run_passes(step.pipeline, target_machine=machine, inliner_threshold=step.inliner_threshold)
            return
        pipelines = dict(step.pipelines)
        names = module.functions()
        chosen = {name: pipelines.get(name, step.default) for name in names}
        if len(set(chosen.values())) == 1 and names:
            # One pipeline for all: one call, since each call builds LLVM's pass and analysis managers anew.
            pipeline = chosen[names[0]]
            module.run_passes(f"function({pipeline})" if pipeline else "", target_machine=machine)
            return
        module.run_function_passes(chosen, target_machine=machine)

    def _lower(self, key: str, module: Module, step: Lower) -> None:
        named = dict(step.named)
        ways = {name: named.get(name, step.ways) for name in module.functions()}
        optsize = {name for name, way in ways.items() if "optsize" in way}
        frame = {name for name, way in ways.items() if "frame" in way}
        if optsize:
            module.remove_attributes(b"minsize", functions=optsize)
        if frame and not self._names_frame_pointer(key):
            module.set_attribute(b"frame-pointer", b"all", frame)

    def _names_frame_pointer(self, key: str) -> bool:
        """Assembly in some function reads or changes the register, which not every LLVM saves around it."""
        if key not in self.named_frames:
            text = self.modules[key].text().encode(errors="surrogateescape")
            self.named_frames[key] = FRAME_IN_ASSEMBLY.search(text) is not None
        return self.named_frames[key]

    def _left_by_oz(self, key: str, machine: int) -> frozenset[str]:
        """Functions with code after -Oz."""
        if key not in self.left_by_oz:
            with self.modules[key].clone() as module:
                module.run_passes(oz_pipeline(self.library.major), target_machine=machine)
                self.left_by_oz[key] = frozenset(module.functions())
        return self.left_by_oz[key]

    def _emit(self, module: Module, build: Build, file_type: FileType) -> bytes:
        """Generate code from a clone, which has the order of uses that reading bitcode gives.

        Code depends on that order, which no text shows: from the module as the passes left it, modules of equal
        state would differ in size, and the compiler that lowers the result would make another object.
        """
        self._set_options(build.options)
        with module.clone() as fresh:
            return emit(fresh, self.machines.get(fresh, build.level), file_type)

    def _set_options(self, options: tuple[str, ...]) -> None:
        if options == self.options_set:
            return
        named = {option.partition("=")[0]: option for option in options}
        unknown = named.keys() - CODEGEN_DEFAULTS.keys()
        if unknown:
            raise LLVMError(f"unknown code generation option {sorted(unknown)[0]!r}")
        stale = {option.partition("=")[0] for option in self.options_set} - named.keys()
        self.library.set_options((*options, *(f"{name}={CODEGEN_DEFAULTS[name]}" for name in sorted(stale))))
        self.options_set = options


def oz_pipeline(llvm_major: int) -> str:
    """LLVM's -Oz as text; from 23 on, O2 takes functions that carry minsize to mean it."""
    return "default<Oz>" if llvm_major < 23 else "default<O2>"


def _preparation(steps: Steps) -> str:
    """How the module of a build in pieces was prepared."""
    return next((step.preparation for step in steps if isinstance(step, Promote)), "raw")


def _codegen_key(build: Build) -> bytes:
    return f"{int(build.level)}{build.options}".encode()


def serve(connection: Connection, words: Sequence[str]) -> None:
    """Answer calls until the other end is closed; words: path of the library, bytes of states to keep."""
    compiler = Compiler(Path(words[0]), int(words[1]))
    connection.send((OK, compiler.ping()))
    while True:
        try:
            operation, arguments, generation, known = connection.recv()
        except EOFError:
            return
        try:
            compiler.learn(generation, known)
            value = getattr(compiler, operation)(**arguments)
            connection.send((OK, value))
        except IrwrightError as error:
            connection.send((Outcome(kind=OutcomeKind.INVALID, detail=str(error), error=error), None))
        except MemoryError:
            connection.send((Outcome(kind=OutcomeKind.MEMORY, detail="out of memory"), None))
