"""What a worker computes: kept states, memo and per-function sizes give what a straight run gives."""

from __future__ import annotations

import random
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import LLVM, SEEDS, Seeds
from irwright.errors import LLVMError
from irwright.llvm.builds import Build, FunctionPasses, Lower, Outcome, OutcomeKind, Passes, Step
from irwright.llvm.clang import seed_bitcode
from irwright.llvm.codegen import CodegenLevel, FunctionSize, read_object
from irwright.llvm.compiler import PROMISES, Compiler
from irwright.llvm.toolchain import Toolchain
from irwright.llvm.worker import Call, WorkerPool
from irwright.passes import PassList, PassSpace, oz_pipeline

HALVES = (
    "function(sroa,early-cse<memssa>),cgscc(inline)",
    "function(reassociate,simplifycfg),globaldce",
    "function(gvn,dse),mergefunc",
)


def build(*steps: str | Step, level: CodegenLevel = CodegenLevel.DEFAULT, options: tuple[str, ...] = ()) -> Build:
    made = tuple(Passes(step) if isinstance(step, str) else step for step in steps)
    return Build(steps=made, level=level, options=options)


@pytest.fixture
def compiler(tools: Toolchain, seeds: Seeds) -> Iterator[Compiler]:
    """A worker's inside, in this very process: for harmless lists only."""
    made = Compiler(tools.library.path, state_bytes=64 << 20)
    for name in SEEDS:
        made.load(name, seeds.bitcode(name), f"{name}.c", keep_debug=False)
    yield made
    made.context.close()


def test_facts(compiler: Compiler) -> None:
    facts = compiler.facts("checksum")
    assert facts.functions[:2] == ("crc32", "fill")
    assert set(facts.internal) == {"fill", "same"}
    assert facts.triple.startswith("x86_64")
    assert facts.num_instructions == sum(facts.instructions_by_function.values()) > 100


def test_kept_states_give_what_a_straight_run_gives(llvm: LLVM) -> None:
    """The same steps, with states kept of neighbours and without any: the same bytes."""
    data = {name: llvm.seeds.bitcode(name) for name in SEEDS}
    builds = [build(*HALVES[:count]) for count in (3, 2, 1, 3)] + [build(HALVES[0], HALVES[2]), build(*HALVES)]

    def compiled(pool: WorkerPool, name: str, wanted: Build) -> bytes:
        return pool.call(Call(operation="compile", module=name, arguments={"build": wanted, "kind": "obj"})).unwrap("")

    with llvm.pool() as warm:
        for name in SEEDS:
            warm.add_module(name, data[name], name=name)
        for name in SEEDS:
            results = [compiled(warm, name, wanted) for wanted in builds]
            assert results[0] == results[3] == results[5]
            with llvm.pool(state_bytes=0) as cold:
                cold.add_module(name, data[name], name=name)
                for wanted, result in zip(builds, results, strict=True):
                    cold.drop_module(name)
                    cold.add_module(name, data[name], name=name)
                    assert compiled(cold, name, wanted) == result


def test_what_was_measured_last_is_built_as_from_the_start(compiler: Compiler) -> None:
    wanted, other = build(*HALVES), build(HALVES[0])
    straight = {kind: compiler.compile("checksum", wanted, kind) for kind in ("bc", "obj")}
    for kind, expected in straight.items():
        compiler.evaluate("checksum", wanted)
        assert compiler.last_built is not None
        assert compiler.compile("checksum", wanted, kind) == expected
        assert compiler.last_built is None
    first = compiler.evaluate("checksum", wanted)
    assert compiler.evaluate("checksum", wanted).state == first.state
    compiler.evaluate("checksum", other)
    assert compiler.compile("checksum", wanted, "obj") == straight["obj"]
    compiler.evaluate(next(name for name in SEEDS if name != "checksum"), wanted)
    assert compiler.compile("checksum", wanted, "obj") == straight["obj"]


def test_states_are_dropped_when_they_grow(tools: Toolchain, seeds: Seeds) -> None:
    compiler = Compiler(tools.library.path, state_bytes=1)
    compiler.load("m", seeds.bitcode("checksum"), "m", keep_debug=False)
    first = compiler.evaluate("m", build(*HALVES))
    assert len(compiler.states) == 1
    assert compiler.evaluate("m", build(*HALVES)).state == first.state
    compiler.drop("m")
    assert not compiler.states
    compiler.context.close()


def test_a_known_state_is_not_emitted_again(compiler: Compiler) -> None:
    first = compiler.evaluate("checksum", build(HALVES[0]))
    assert first.info is not None
    again = compiler.evaluate("checksum", build(HALVES[0], "function(verify)"))
    assert (again.state, again.info) == (first.state, None)
    # How code is generated is part of the state.
    unoptimised = compiler.evaluate("checksum", build(HALVES[0], level=CodegenLevel.NONE))
    assert unoptimised.info is not None and unoptimised.state != first.state


def test_learning_a_new_generation_forgets(compiler: Compiler) -> None:
    state = compiler.evaluate("checksum", build(HALVES[0])).state
    compiler.learn(1, [state])
    assert compiler.evaluate("checksum", build(HALVES[0])).info is None
    compiler.learn(2, [])
    assert compiler.evaluate("checksum", build(HALVES[0])).info is not None


def test_instructions_are_counted_when_asked_for(compiler: Compiler) -> None:
    count = compiler.evaluate("numbers", build(), count_instructions=True).num_instructions
    assert count == compiler.facts("numbers").num_instructions
    assert compiler.evaluate("numbers", build("function(sroa)"), count_instructions=True).num_instructions < count
    assert compiler.evaluate("numbers", build()).num_instructions == 0


@pytest.mark.parametrize("name", SEEDS)
def test_functions_measured_alone_are_as_large_as_in_the_object(compiler: Compiler, name: str) -> None:
    """Sizes by function equal those of the whole object but for near jumps, also of those that the memo answered."""
    rng = random.Random(name)
    major = compiler.library.major
    local = PassSpace(major).restricted(lambda info: info.level in ("function", "loop", "loop-mssa"))
    base = "function(sroa,early-cse<memssa>)"
    sizes: dict[bytes, FunctionSize] = {}
    fresh = looked_up = 0
    for _ in range(12):
        tails: dict[str, str] = {}
        for function in compiler.facts(name).functions:
            tail = PassList.sample(rng, llvm_major=major, length=(1, 4), space=local)
            tails[function] = tail.pipeline(major, level="function") if rng.random() < 0.6 else ""
        wanted = build(base, FunctionPasses.of(tails))
        pieces = compiler.evaluate_functions(name, wanted)
        for function, size in pieces.sizes.items():
            sizes[pieces.states[function]] = size
        fresh += len(pieces.sizes)
        looked_up += len(pieces.states) - len(pieces.sizes)
        whole = read_object(compiler.compile(name, wanted, "obj"))
        alone = {function: sizes[state] for function, state in pieces.states.items()}
        assert alone.keys() == whole.functions.keys()
        for function, size in whole.functions.items():
            # A jump to a static function that is near takes 2 bytes, and 5 where that function is somewhere else.
            longer = alone[function].code - size.code
            assert longer in (0, 3, 6) and alone[function]._replace(code=size.code) == size, (function, longer)
    assert fresh and looked_up


def test_equal_functions_of_modules_with_other_data_are_not_mixed_up(tools: Toolchain) -> None:
    """The same function text over other data is another state, also when a key is used again."""
    text = """target triple = "x86_64-unknown-linux-gnu"
@table = private unnamed_addr constant [{count} x i32] [{items}]
define i32 @f(i64 %i) {{
  %p = getelementptr inbounds i32, ptr @table, i64 %i
  %v = load i32, ptr %p
  ret i32 %v
}}
"""
    with WorkerPool(tools.library.path) as pool:
        pool.add_module("kept", b"define void @g() {\n  ret void\n}\n", name="kept")
        for count in (5, 9):
            items = ", ".join(f"i32 {number + 7}" for number in range(count))
            pool.add_module("m", text.format(count=count, items=items).encode(), name="m")
            call = Call(operation="evaluate_functions", module="m", arguments={"build": build()})
            assert pool.call(call).value.sizes["f"].data == 4 * count


def test_function_pipelines_equal_one_for_all(compiler: Compiler) -> None:
    """The short cut for equal pipelines gives what one call per function gives."""
    names = compiler.facts("machine").functions
    pipeline = "sroa,early-cse<memssa>,instcombine<no-verify-fixpoint>,simplifycfg"
    at_once = compiler.compile("machine", build(FunctionPasses((), pipeline)), "ll")
    with compiler.modules["machine"].clone() as module:
        machine = compiler.machines.get(module, CodegenLevel.DEFAULT)
        module.run_function_passes(dict.fromkeys(names, pipeline), target_machine=machine)
        assert module.text().encode() == at_once


def test_every_kind_of_result(compiler: Compiler) -> None:
    wanted = build(oz_pipeline(compiler.library.major))
    results = {kind: compiler.compile("numbers", wanted, kind) for kind in ("obj", "asm", "ll", "bc")}
    assert results["obj"].startswith(b"\x7fELF")
    assert b"fibonacci:" in results["asm"]
    assert b"define" in results["ll"]
    with compiler.context.parse(results["bc"]) as module, compiler.context.parse(results["ll"]) as again:
        assert module.functions() == again.functions()


def test_options_of_code_generation_hold_for_one_build(compiler: Compiler) -> None:
    def sizes(*options: str) -> object:
        return read_object(compiler.compile("machine", build(HALVES[0], options=options), "obj")).functions

    plain = sizes()
    assert sizes("-enable-machine-outliner=always") != plain
    assert sizes() == plain
    with pytest.raises(LLVMError, match=r"^unknown code generation option '-nosuch'$"):
        sizes("-nosuch=1")
    assert sizes() == plain


def test_equal_states_give_equal_objects(compiler: Compiler) -> None:
    """However a state was reached: code depends on the order of uses, which the text of a state does not show."""
    rng = random.Random(3)
    major = compiler.library.major
    objects: dict[tuple[str, bytes], bytes] = {}
    met = 0
    for _ in range(60):
        name = rng.choice(SEEDS)
        passes = PassList.sample(rng, llvm_major=major, length=(1, 3))
        wanted = build(Passes(f"function(sroa),{passes.pipeline(major)}"))
        key = (name, compiler.evaluate(name, wanted).state)
        data = compiler.compile(name, wanted, "obj")
        met += key in objects
        assert objects.setdefault(key, data) == data
    assert met > 10


def test_an_inliner_threshold_changes_what_is_inlined(compiler: Compiler) -> None:
    oz = oz_pipeline(compiler.library.major)
    usual = compiler.evaluate("machine", build(oz)).state
    none = compiler.evaluate("machine", build(Passes(oz, inliner_threshold=-1000))).state
    much = compiler.evaluate("machine", build(Passes(oz, inliner_threshold=5000))).state
    assert len({usual, none, much}) >= 2


def test_lowering_gives_the_code_of_the_compilers_own_switches(
    compiler: Compiler, tools: Toolchain, seeds: Seeds, tmp_path: Path
) -> None:
    """With a frame pointer: clang's -fno-omit-frame-pointer, by function; `minsize` goes where it is said."""
    oz = oz_pipeline(compiler.library.major)
    whole = compiler.compile("machine", build(oz, Lower(("frame",))), "obj")
    output = tmp_path / "clang.o"
    switches = ["-Oz", "-fno-omit-frame-pointer", "-c", str(seeds.source("machine")), "-o", str(output)]
    subprocess.run([str(tools.need_clang()), *switches], check=True)
    assert read_object(whole).functions == read_object(output.read_bytes()).functions
    assert read_object(whole).functions != read_object(compiler.compile("machine", build(oz), "obj")).functions
    text = compiler.compile("numbers", build(Lower(("optsize",), (("fibonacci", ()),))), "ll").decode()
    groups = dict(re.findall(r"^attributes #(\d+) = \{(.*)\}", text, re.MULTILINE))
    having = {
        name: " minsize " in groups[group] for name, group in re.findall(r"^define .*@(\w+)\(.*#(\d+)", text, re.M)
    }
    assert having.pop("fibonacci") and having and not any(having.values())
    assert "frame-pointer" not in text


def test_assembly_that_names_the_frame_pointer_keeps_it_free(compiler: Compiler) -> None:
    """Not every LLVM saves the register around such assembly."""
    for words, kept in (
        ('"~{rbp}"', False),
        ('"~{rbx}"', True),
        ('"~{ebp},~{cc}"', False),
        ('"~{memory},~{x29}"', False),
    ):
        text = f'define void @f() {{\n  call void asm sideeffect "nop", {words}()\n  ret void\n}}\n'
        compiler.load("asm", text.encode(), "asm.ll", keep_debug=False)
        lowered = compiler.compile("asm", build(Lower(("frame",))), "ll")
        assert (b'"frame-pointer"="all"' in lowered) == kept
        compiler.drop("asm")


def test_extracted_function_has_the_code_it_had(compiler: Compiler) -> None:
    data = compiler.extract("numbers", "fibonacci")
    compiler.load("alone", data, "alone", keep_debug=False)
    oz = build(oz_pipeline(compiler.library.major))
    alone = read_object(compiler.compile("alone", oz, "obj"))
    whole = read_object(compiler.compile("numbers", oz, "obj"))
    assert alone.functions == {"fibonacci": whole.functions["fibonacci"]}


def test_functions_of_large_modules_are_extracted_from_their_neighbours(
    compiler: Compiler, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in SEEDS:
        functions = compiler.modules[name].functions()
        direct = {function: compiler.extract(name, function) for function in functions}
        assert compiler.neighbours is None
        monkeypatch.setattr("irwright.llvm.compiler.NEIGHBOURS", 2)
        assert {function: compiler.extract(name, function) for function in functions} == direct
        assert compiler.neighbours is None or len(compiler.neighbours[1]) <= 2
        with pytest.raises(LLVMError, match="no function 'nosuch'"):
            compiler.extract(name, "nosuch")
        monkeypatch.undo()
        compiler._keep_neighbours(None)  # pyright: ignore[reportPrivateUsage]


def test_debug_info_is_dropped_unless_kept(compiler: Compiler, seeds: Seeds) -> None:
    from irwright.llvm import clang

    data = clang.seed_bitcode(seeds.clang, seeds.source("numbers"), ["-g"])
    for keep in (False, True):
        compiler.load("debug", data, "debug", keep_debug=keep)
        assert (b"!DILocation" in compiler.compile("debug", build(), "ll")) is keep
        compiler.drop("debug")


def test_a_failed_step_leaves_nothing_behind(compiler: Compiler) -> None:
    before = compiler.evaluate("checksum", build(HALVES[0])).state
    with pytest.raises(LLVMError, match="rejects the pass list"):
        compiler.evaluate("checksum", build(HALVES[0], "nosuch"))
    assert compiler.evaluate("checksum", build(HALVES[0])).state == before


def test_outcomes_are_plain_data() -> None:
    assert Outcome(kind=OutcomeKind.OK).ok
    assert not Outcome(kind=OutcomeKind.CRASH, detail="signal SIGSEGV").ok
    assert [kind.value for kind in OutcomeKind] == ["ok", "invalid", "crash", "timeout", "memory"]


def test_a_reference_traps_where_code_leaves_a_variable(compiler: Compiler, tools: Toolchain, tmp_path: Path) -> None:
    """Sizes are known through calls of static functions; what is in bounds has no trap that is reached."""
    (tmp_path / "x.c").write_text(
        "int get(void); static int count(int *a, int i) { return a[i]++; }\n"
        "int f(int x) { int a[8] = {0}; return count(a, get()) + a[x & 7]; }\n"
        "int g(int *a, int x) { return a[x]; }\n"
    )
    compiler.load("x", seed_bitcode(tools.need_clang(), tmp_path / "x.c", ()), "x.c", False)
    before = compiler.compile("x", Build(), "ll")
    data = compiler.reference("x", CodegenLevel.DEFAULT)
    assert b"\x67\x0f\xb9" in data or b"\x0f\x0b" in data
    assert {"f", "g"} <= read_object(data).functions.keys()
    assert compiler.compile("x", Build(), "ll") == before and b"minsize" in before, "the module stays as it was"
    assert b" nsw " in before and b"inbounds" in before
    assert not re.search(rb"= \w+ (?:nsw|nuw|inbounds)", PROMISES.sub(rb"\1", before))
    plain = compiler.compile("x", Build(), "obj")
    assert b"\x67\x0f\xb9" not in plain and b"\x0f\x0b" not in plain
