"""The whole job on small programs: never larger, the same for a seed, and bad input costs one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

import irwright
from conftest import AARCH64, Seeds, named_llvms
from irwright.errors import InputError, IRError, IrwrightError, LLVMError, SourceError, StorageError, ToolchainError
from irwright.evaluator import Evaluator
from irwright.llvm import clang, toolchain
from irwright.llvm.builds import Outcome, OutcomeKind
from irwright.llvm.toolchain import Toolchain
from irwright.measure import measure_object
from irwright.passes import PassList
from irwright.plan import Plan
from irwright.task import Coreset
from irwright.trials import Trial, TrialStore
from irwright.tuner import TuneFailure, TuneResult, make_settings, tune, tune_files

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
GOOD = "sroa,simplifycfg<sink-common-insts>,default<Oz>"
"""smaller than -Oz on tests/modules/machine.c"""
LISTS = (GOOD, "sroa,instcombine,default<Oz>", "default<Oz>,gvn-hoist,instcombine,simplifycfg")
TAILS = ("instcombine,simplifycfg,gvn,dse,adce,simplifycfg", "gvn-hoist,instcombine,simplifycfg<sink-common-insts>")
CORESET = Coreset(
    lists=tuple(Plan(base=PassList.parse(text)) for text in LISTS),
    pieces=tuple(
        Plan(base=PassList.parse("sroa,early-cse"), tail=PassList.parse(text), preparation="raw") for text in TAILS
    ),
)
KEYS = ["file", "target", "protocol", "baseline_bytes", "tuned_bytes", "pass_list", "lowering", "num_compilations"]
KEYS += ["seconds"]


def plan_of(text: str) -> Coreset:
    return Coreset(lists=(Plan(base=PassList.parse(text)),))


def with_plan(text: str, **options: object):
    """Settings that build one pass list in place of a search."""
    return replace(make_settings(coreset=CORESET, **options), plan=Plan(base=PassList.parse(text)))


def test_the_package_offers_tune_without_loading_it() -> None:
    loaded = "import sys, irwright; print('irwright.tuner' in sys.modules, irwright.tune.__name__)"
    run = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False", "tune"]
    assert irwright.tune is tune
    assert irwright.TuneResult is TuneResult


def test_what_is_reported_is_what_the_file_measures(tools: Toolchain, seeds: Seeds, tmp_path: Path) -> None:
    source = seeds.source("machine")
    result = tune(source, budget=3, coreset=CORESET, output=tmp_path / "machine.o")
    ours = measure_object((tmp_path / "machine.o").read_bytes())
    theirs = measure_object(clang.baseline(tools.need_clang(), source, ()))
    assert (result.baseline_bytes, result.tuned_bytes) == (theirs.total, ours.total)
    assert result.tuned_bytes < result.baseline_bytes
    assert result.saved == result.baseline_bytes - result.tuned_bytes
    assert result.num_compilations == 3
    assert result.output == str(tmp_path / "machine.o")
    assert (tmp_path / "machine.o").read_bytes() == result.artefacts["obj"]
    assert not result.warnings


@pytest.mark.parametrize("strategy", ["coreset", "evolve", "random", "compose"])
def test_never_larger(seeds: Seeds, strategy: str) -> None:
    result = tune(seeds.source("numbers"), budget=3, strategy=strategy, coreset=CORESET)
    assert result.tuned_bytes <= result.baseline_bytes
    assert measure_object(result.artefacts["obj"]).total == result.tuned_bytes


def test_what_is_not_smaller_is_thrown_away(tools: Toolchain, seeds: Seeds) -> None:
    """A list that only makes code larger: the result is clang's own object, byte for byte."""
    result = tune(seeds.source("machine"), budget=1, coreset=plan_of("reg2mem"), strategy="coreset")
    assert result.artefacts["obj"] == clang.baseline(tools.need_clang(), seeds.source("machine"), ())
    assert (result.saved, str(result.plan.base)) == (0, "default<Oz>")


@pytest.mark.parametrize("name", ["btree", "json", "sha256", "vm"])
def test_tuned_programs_still_find_themselves_in_order(tools: Toolchain, tmp_path: Path, name: str) -> None:
    result = tune(EXAMPLES / f"{name}.c", budget=14, coreset=CORESET, output=tmp_path / f"{name}.o", jobs=2)
    assert result.tuned_bytes <= result.baseline_bytes
    subprocess.run([tools.need_clang(), tmp_path / f"{name}.o", "-lm", "-o", tmp_path / name], check=True)
    run = subprocess.run([tmp_path / name], capture_output=True, text=True, timeout=20, check=False)
    assert (run.returncode, run.stderr) == (0, "")
    assert "ok" in run.stdout


def test_a_seed_gives_the_same_bytes_with_one_worker_and_with_two(seeds: Seeds) -> None:
    results = [tune(seeds.source("machine"), budget=24, coreset=CORESET, seed=7, jobs=jobs) for jobs in (1, 2, 1)]
    assert len({result.artefacts["obj"] for result in results}) == 1
    assert len({result.plan for result in results}) == 1
    assert {result.num_compilations for result in results} == {24}


def test_files_in_threads_come_in_order_and_as_one_by_one(seeds: Seeds, tmp_path: Path) -> None:
    names = ("numbers", "machine", "checksum")
    (tmp_path / "bad.c").write_text("int f( {")
    inputs = [seeds.source(names[0]), tmp_path / "bad.c", *map(seeds.source, names[1:])]
    settings = make_settings(budget=3, coreset=CORESET)
    threaded, straight = (list(tune_files(inputs, settings, jobs=jobs)) for jobs in (2, 1))
    assert [outcome.file for outcome in threaded] == [str(path) for path in inputs]
    failed = threaded[1]
    assert isinstance(failed, TuneFailure)
    assert (
        str(failed.error)
        == f"{tmp_path / 'bad.c'}: does not compile: expected parameter declarator ({tmp_path / 'bad.c'}:1:8)"
    )
    for one, other in zip(threaded, straight, strict=True):
        if isinstance(one, TuneResult):
            assert isinstance(other, TuneResult)
            assert one.artefacts == other.artefacts


def test_closing_the_generator_ends_the_threads(seeds: Seeds) -> None:
    """The second file has an hour; the threads are gone soon after the first is done."""
    slow = make_settings(budget="1h", strategy="random", coreset=CORESET)
    outcomes = tune_files([Path("missing.c"), seeds.source("machine")], slow, jobs=2)
    assert isinstance(next(outcomes), TuneFailure)
    outcomes.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("tune-")]


def test_json_has_exactly_these_keys(seeds: Seeds) -> None:
    settings = with_plan(GOOD)
    (one_list,) = tune_files([seeds.source("machine")], settings, jobs=1)
    assert isinstance(one_list, TuneResult)
    assert list(one_list.to_json()) == [*KEYS, "output", "verified"]
    json.dumps(one_list.to_json())


def test_json_of_a_plan_per_function_names_each_function(seeds: Seeds) -> None:
    result = tune(seeds.source("machine"), budget=24, coreset=CORESET)
    row = result.to_json()
    assert result.is_per_function
    assert list(row) == [*(key if key != "pass_list" else "functions" for key in KEYS), "output", "verified"]
    assert row["functions"]
    assert set(row["functions"]) <= set(result.functions)
    for text in row["functions"].values():
        assert text.startswith("sroa,early-cse")


@pytest.mark.parametrize(("kind", "begin"), [("obj", b"\x7fELF"), ("bc", b"BC\xc0\xde"), ("ll", b"; ModuleID")])
def test_kinds_of_results(seeds: Seeds, kind: str, begin: bytes) -> None:
    for text in (GOOD, "reg2mem"):  # tuned, and the baseline
        (result,) = tune_files([seeds.source("machine")], with_plan(text, emit=kind))
        assert isinstance(result, TuneResult)
        assert list(result.artefacts) == [kind]
        assert result.artefacts[kind].startswith(begin)


def test_tuned_assembly_assembles_to_the_tuned_size(tools: Toolchain, seeds: Seeds, tmp_path: Path) -> None:
    for text in (GOOD, "reg2mem"):
        (result,) = tune_files([seeds.source("machine")], with_plan(text, emit=("asm", "obj")))
        assert isinstance(result, TuneResult)
        (tmp_path / "x.s").write_bytes(result.artefacts["asm"])
        subprocess.run([tools.need_clang(), "-c", tmp_path / "x.s", "-o", tmp_path / "x.o"], check=True)
        assert measure_object((tmp_path / "x.o").read_bytes()).total == result.tuned_bytes


def test_debug_info_is_kept_and_costs_no_bytes(seeds: Seeds) -> None:
    with_debug, without = (
        tune(seeds.source("machine"), budget=1, coreset=plan_of(GOOD), flags=flags) for flags in (("-g",), ())
    )
    assert b".debug_info" in with_debug.artefacts["obj"]
    assert with_debug.tuned_bytes == without.tuned_bytes < without.baseline_bytes


def test_the_users_flags_reach_the_object(seeds: Seeds, tmp_path: Path) -> None:
    source = tmp_path / "flags.c"
    source.write_text("int answer(void) { return ANSWER; }\n")
    result = tune(source, budget=1, coreset=CORESET, flags=("-DANSWER=42", "-ffunction-sections", "-O3"))
    assert b".text.answer" in result.artefacts["obj"]


@pytest.mark.parametrize("protocol", ["paper", "instructions"])
def test_other_protocols_start_from_default_oz(seeds: Seeds, protocol: str) -> None:
    result = tune(seeds.source("machine"), budget=3, protocol=protocol, coreset=CORESET, strategy="coreset")
    assert result.tuned_bytes <= result.baseline_bytes
    if protocol == "instructions":
        assert 0 < result.tuned_bytes < 1000
    else:
        assert measure_object(result.artefacts["obj"]).total == result.tuned_bytes


def test_ir_in_every_form_gives_the_same(seeds: Seeds, tmp_path: Path) -> None:
    bitcode = seeds.bitcode("machine")
    (tmp_path / "machine.bc").write_bytes(bitcode)
    of_file = tune(tmp_path / "machine.bc", budget=3, coreset=CORESET, emit=("obj", "ll"))
    of_bytes = tune(bitcode, budget=3, coreset=CORESET)
    assert (of_file.file, of_bytes.file) == (str(tmp_path / "machine.bc"), "<bytes>")
    assert of_file.tuned_bytes == of_bytes.tuned_bytes < of_file.baseline_bytes == of_bytes.baseline_bytes


def test_the_baseline_of_ir_is_clang_oz_of_that_file(tools: Toolchain, seeds: Seeds, tmp_path: Path) -> None:
    (tmp_path / "machine.bc").write_bytes(seeds.bitcode("machine"))
    result = tune(tmp_path / "machine.bc", budget=1, coreset=CORESET)
    assert result.baseline == measure_object(clang.baseline(tools.need_clang(), tmp_path / "machine.bc", ()))


def test_ir_without_target_gets_this_machines(tmp_path: Path) -> None:
    (tmp_path / "bare.ll").write_text("define i32 @f(i32 %x) {\n  %a = mul i32 %x, 2\n  ret i32 %a\n}\n")
    result = tune(tmp_path / "bare.ll", budget=2, coreset=CORESET)
    assert result.target.partition("-")[0] == os.uname().machine


def test_ir_of_clang_o0_is_worth_a_warning(tools: Toolchain, seeds: Seeds, tmp_path: Path) -> None:
    file = tmp_path / "o0.ll"
    subprocess.run([tools.need_clang(), "-O0", "-S", "-emit-llvm", seeds.source("machine"), "-o", file], check=True)
    result = tune(file, budget=1, coreset=CORESET)
    (warning,) = result.warnings
    assert "functions are optnone (IR of clang -O0), which every pass skips; make the IR with clang -Oz" in warning
    assert "\n" not in warning


def test_a_file_without_functions_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "data.c").write_text("int numbers[4] = {1, 2, 3, 4};\n")
    result = tune(tmp_path / "data.c", budget=5, coreset=CORESET)
    assert (result.baseline_bytes, result.tuned_bytes, result.num_compilations) == (16, 16, 0)


def test_cxx(tmp_path: Path) -> None:
    (tmp_path / "t.cpp").write_text(
        "template <class T> T twice(T x) { return x + x; }\nint f(int x) { return twice(x); }\n"
    )
    result = tune(tmp_path / "t.cpp", budget=2, coreset=CORESET)
    assert "_Z1fi" in result.functions


def test_where_oz_itself_fails_the_file_is_left_as_it_is(
    tools: Toolchain, seeds: Seeds, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hang(self: Evaluator, plans: Sequence[Plan], *, free: bool = False) -> list[Trial]:
        outcome = Outcome(kind=OutcomeKind.TIMEOUT, detail="no end within 30 s")
        return [Trial(plan=plan, outcome=outcome, sizes=None) for plan in plans]

    monkeypatch.setattr(Evaluator, "evaluate", hang)
    result = tune(seeds.source("machine"), budget=2, coreset=CORESET)
    assert result.artefacts["obj"] == clang.baseline(tools.need_clang(), seeds.source("machine"), ())
    (warning,) = result.warnings
    assert warning.endswith("machine.c: left as it is: LLVM's own -Oz ends in timeout (no end within 30 s)")


def test_minimising_loses_no_bytes(seeds: Seeds) -> None:
    padded = plan_of("lcssa,sroa,simplifycfg<sink-common-insts>,default<Oz>,globaldce,constmerge")
    whole, short = (
        tune(seeds.source("machine"), budget=1, strategy="coreset", coreset=padded, minimise=minimise)
        for minimise in (False, True)
    )
    assert short.tuned_bytes <= whole.tuned_bytes
    assert len(short.plan.base) < len(whole.plan.base)
    assert short.num_compilations > whole.num_compilations == 1


def test_a_search_finds_its_trials_again(seeds: Seeds, tmp_path: Path) -> None:
    source = seeds.source("machine")
    first = tune(source, budget=24, coreset=CORESET, trials_folder=tmp_path)
    (folder,) = tmp_path.iterdir()
    rows = list(TrialStore(folder).rows())
    assert folder.name.startswith("machine-oz-")
    assert len(rows) >= 24
    again = tune(source, budget=24, coreset=CORESET, trials_folder=tmp_path)
    assert again.artefacts == first.artefacts
    assert list(TrialStore(folder).rows()) == rows
    # Another protocol has trials of its own.
    tune(source, budget=1, coreset=CORESET, trials_folder=tmp_path, protocol="paper")
    assert len(list(tmp_path.iterdir())) == 2


def test_progress_is_told(seeds: Seeds) -> None:
    seen: list[tuple[str, int, float]] = []
    tune(seeds.source("machine"), budget=3, coreset=CORESET, on_progress=lambda *event: seen.append(event))
    assert seen[-1][0] == str(seeds.source("machine"))
    assert [count for _, count, _ in seen] == sorted(count for _, count, _ in seen)
    assert seen[-1][1] == 3


def test_another_target(cross: Toolchain, seeds: Seeds) -> None:
    result = tune(seeds.source("machine"), budget=3, target=AARCH64, coreset=CORESET)
    assert result.target.startswith("aarch64-")
    assert result.tuned_bytes <= result.baseline_bytes
    assert measure_object(result.artefacts["obj"]).total == result.tuned_bytes
    assert result.artefacts["obj"][18:20] == (183).to_bytes(2, "little")  # EM_AARCH64


def test_ir_of_another_target_needs_no_option(cross: Toolchain, seeds: Seeds) -> None:
    result = tune(seeds.bitcode("machine", AARCH64), budget=1, coreset=CORESET)
    assert result.target.startswith("aarch64-")
    assert result.artefacts["obj"][18:20] == (183).to_bytes(2, "little")


# ------------------------------------------------------------------ what can't be tuned


def test_a_source_that_does_not_compile(tmp_path: Path) -> None:
    source = tmp_path / "bad.c"
    source.write_text("int f(int x) {\n  return x + ;\n}\n")
    with pytest.raises(SourceError) as raised:
        tune(source, coreset=CORESET)
    assert str(raised.value) == f"{source}: does not compile: expected expression ({source}:2:14)"


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError) as raised:
        tune(tmp_path / "missing.c", coreset=CORESET)
    assert str(raised.value) == f"{tmp_path / 'missing.c'}: can't be read: No such file or directory"
    with pytest.raises(InputError) as raised:
        tune(tmp_path, coreset=CORESET)
    assert str(raised.value) == f"{tmp_path}: is a folder; name the files in it"


def test_what_is_no_ir(tmp_path: Path) -> None:
    (tmp_path / "text.ll").write_text("hello\n")
    with pytest.raises(IrwrightError) as raised:
        tune(tmp_path / "text.ll", coreset=CORESET)
    assert str(raised.value) == f"{tmp_path / 'text.ll'}:1:1: not valid LLVM IR: expected top-level entity"
    (tmp_path / "image.png").write_bytes(b"\x89PNG")
    with pytest.raises(InputError, match=r"image\.png: is no source and no IR; files that can be tuned end in \.C"):
        tune(tmp_path / "image.png", coreset=CORESET)
    with pytest.raises(IrwrightError, match="<bytes>: the file is empty, not LLVM IR"):
        tune(b"", coreset=CORESET)


def test_truncated_bitcode(seeds: Seeds, tmp_path: Path) -> None:
    (tmp_path / "half.bc").write_bytes(seeds.bitcode("machine")[:2000])
    with pytest.raises(IrwrightError, match=r"half\.bc: broken bitcode \(.*\); compile the file again"):
        tune(tmp_path / "half.bc", coreset=CORESET)


def test_ir_of_a_newer_llvm(tools: Toolchain, seeds: Seeds) -> None:
    older = next((folder for folder in named_llvms() if toolchain.find(llvm=folder).major < tools.major), None)
    if older is None:
        pytest.skip("needs an LLVM older than the default; name its folder in IRWRIGHT_TEST_LLVMS")
    with pytest.raises(IrwrightError) as raised:
        tune(seeds.bitcode("machine"), coreset=CORESET, llvm=older)
    assert f"bitcode of LLVM {tools.major}, which LLVM" in str(raised.value)
    assert "name that LLVM with --llvm" in str(raised.value)


def test_a_target_without_backend(seeds: Seeds) -> None:
    with pytest.raises(ToolchainError, match=r"unknown target 'vax'"):
        tune(seeds.source("machine"), target="vax", coreset=CORESET)
    try:
        toolchain.find("riscv64")
    except ToolchainError as error:
        with pytest.raises(ToolchainError) as raised:
            tune(seeds.source("machine"), target="riscv64", coreset=CORESET)
        assert str(raised.value) == str(error)
        text = b'target triple = "riscv64-unknown-linux-gnu"\ndefine void @f() {\n  ret void\n}\n'
        with pytest.raises(
            ToolchainError, match="no libLLVM has the RISCV backend for target 'riscv64-unknown-linux-gnu'"
        ):
            tune(text, coreset=CORESET)


def test_what_can_not_be_written(seeds: Seeds, tmp_path: Path) -> None:
    source = seeds.source("numbers")
    with pytest.raises(StorageError, match=r"/dev/full: can't be written: No space left on device"):
        tune(source, budget=1, coreset=CORESET, output="/dev/full")
    with pytest.raises(StorageError, match=r"there is no folder '.*nowhere'"):
        tune(source, budget=1, coreset=CORESET, output=tmp_path / "nowhere" / "x.o")
    assert not list(tmp_path.iterdir())


def test_an_unknown_strategy_protocol_or_budget(seeds: Seeds) -> None:
    with pytest.raises(IrwrightError, match="unknown strategy 'luck'; there are "):
        tune(seeds.source("numbers"), strategy="luck", coreset=CORESET)
    with pytest.raises(IrwrightError, match="unknown protocol 'kilograms'; there are oz, paper, instructions"):
        tune(seeds.source("numbers"), protocol="kilograms", coreset=CORESET)
    with pytest.raises(IrwrightError, match="bad budget 'lots'; give compilations"):
        tune(seeds.source("numbers"), budget="lots", coreset=CORESET)


def test_a_plan_whose_build_fails_leaves_oz_standing(seeds: Seeds, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> bytes:
        raise LLVMError("the pass list leaves broken IR: x")

    monkeypatch.setattr(clang, "lower", refuse)
    result = tune(seeds.source("machine"), budget=3, coreset=CORESET)
    assert result.saved == 0
    problem = "a pass list fails a check and is left out: the pass list leaves broken IR: x"
    assert result.warnings and all(problem in warning for warning in result.warnings)
    assert issubclass(IRError, InputError)


def test_what_is_emitted_was_compared_with_oz(seeds: Seeds) -> None:
    result = tune(seeds.source("machine"), budget=6, coreset=CORESET)
    assert result.saved > 0 and result.verified is not None
    assert result.verified.equal >= 1 and result.verified.different == 0
    assert result.to_json()["verified"]["functions"] == len(result.verified.functions)
    unverified = tune(seeds.source("machine"), budget=6, coreset=CORESET, verify_seeds=0)
    assert unverified.verified is None and unverified.to_json()["verified"] is None
    assert unverified.artefacts == result.artefacts
    counted = tune(seeds.source("numbers"), budget=1, coreset=plan_of("default<Oz>"))
    assert counted.saved == 0 and counted.verified is None, "-Oz itself is compared with nothing"


KERNEL = """
extern int g(int);
static inline __attribute__((always_inline)) int kernel(int x, int mode) {
  int r = 0;
  for (int i = 0; i < x; i++) { if (mode) r += g(i); else r -= g(i) * 3; if (r > 1000) r ^= 0x55; }
  return r;
}
int a(int x) { return kernel(x, 0); }
int b(int x) { return kernel(x, 1); }
int c(int x) { return kernel(x + 1, 1); }
"""


def test_what_is_marked_always_inline_is_inlined_unless_told_otherwise(tmp_path: Path) -> None:
    source = tmp_path / "kernel.c"
    source.write_text(KERNEL)
    coreset = plan_of("early-cse,sroa,instcombine")  # a list that inlines nothing by itself
    honoured = tune(source, budget=1, coreset=coreset, proposer="coreset", emit=("obj", "ll"))
    ignored = tune(source, budget=1, coreset=coreset, proposer="coreset", emit=("obj", "ll"), always_inline=False)
    assert b"@kernel" not in honoured.artefacts["ll"]
    assert b"call fastcc i32 @kernel" in ignored.artefacts["ll"] or b"call i32 @kernel" in ignored.artefacts["ll"]
    assert ignored.tuned_bytes < honoured.tuned_bytes <= honoured.baseline_bytes
