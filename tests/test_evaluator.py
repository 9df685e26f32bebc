"""Plans and trials on disk, what counts as a compilation, and resuming without LLVM."""

from __future__ import annotations

import dataclasses
import json
import random
import resource
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import LLVM, Seeds
from irwright.errors import LLVMError, PassListError, StorageError
from irwright.evaluator import (
    CHUNK,
    NOTHING,
    Evaluator,
    FunctionTrial,
    Plan,
    Trial,
    TrialStore,
    chunks,
    function_pipeline,
)
from irwright.llvm.codegen import FunctionSize
from irwright.llvm.compiler import OK, FunctionPasses, ModuleFacts, Outcome, OutcomeKind, Passes
from irwright.llvm.toolchain import Toolchain
from irwright.llvm.worker import Call, Reply, WorkerPool
from irwright.measure import Sizes, measure_object, protocol
from irwright.passes import PassList, PassSpace, oz_pipeline

MAJOR = 22
LOCAL = PassSpace(MAJOR).restricted(lambda info: info.level in ("function", "loop", "loop-mssa"))


def parse(text: str) -> PassList:
    return PassList.parse(text, llvm_major=MAJOR)


lists = st.integers(0, 2**32).map(lambda seed: PassList.sample(random.Random(seed), llvm_major=MAJOR, length=(0, 20)))
tails = st.integers(0, 2**32).map(
    lambda seed: PassList.sample(random.Random(seed), llvm_major=MAJOR, length=(0, 8), space=LOCAL)
)
names = st.text(min_size=1, max_size=8)


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    if draw(st.booleans()):
        return draw(one_plans())
    preparation, inline = draw(st.sampled_from(["raw", "early"])), draw(st.sampled_from(["", "once", "oz"]))
    parts = draw(st.lists(one_plans(), max_size=3))
    whole = [dataclasses.replace(part, finish=NOTHING, preparation=preparation, inline=inline) for part in parts]
    return Plan(finish=draw(lists), parts=tuple(whole))


@st.composite
def one_plans(draw: st.DrawFn) -> Plan:
    named = draw(st.dictionaries(names, tails, max_size=4))
    return Plan(
        base=draw(lists),
        tails=tuple(sorted(named.items(), key=lambda item: item[0])),
        tail=draw(tails),
        finish=draw(lists),
        inliner_threshold=draw(st.none() | st.integers(-100, 500)),
        codegen_options=draw(st.sampled_from([(), ("-enable-machine-outliner=always",)])),
    )


class NoPool:
    """A pool that must not be asked."""

    def map(self, calls: Sequence[Call]) -> list[Reply]:
        assert not calls, "a stored trial was compiled again"
        return []


class FakePool:
    """Answers every call with the same crash, counting."""

    def __init__(self) -> None:
        self.num_calls = 0

    def map(self, calls: Sequence[Call]) -> list[Reply]:
        self.num_calls += len(calls)
        crash = Outcome(kind=OutcomeKind.CRASH, detail="signal SIGABRT")
        return [Reply(outcome=crash, value=None, seconds=0.5) for _ in calls]


FACTS = ModuleFacts(functions=("f",), internal=(), triple="", num_instructions=1, instructions_by_function={"f": 1})


def evaluator(pool: object, store: TrialStore | None = None, name: str = "oz") -> Evaluator:
    return Evaluator(cast(WorkerPool, pool), "m", FACTS, protocol(name), llvm_major=MAJOR, store=store)


@pytest.fixture
def real(tools: Toolchain, seeds: Seeds) -> Iterator[tuple[WorkerPool, ModuleFacts]]:
    with WorkerPool(tools.library.path, timeout_seconds=60) as pool:
        yield pool, pool.add_module("m", seeds.bitcode("checksum"), name="checksum.c")


# ---- plans


@given(plans())
def test_plans_read_back_from_json(plan: Plan) -> None:
    again = Plan.from_json(json.loads(json.dumps(plan.to_json())), llvm_major=MAJOR)
    assert again == plan
    assert hash(again) == hash(plan)
    assert again.to_json() == plan.to_json()


@given(lists, tails, lists)
def test_a_plan_of_one_list_is_that_list(base: PassList, tail: PassList, finish: PassList) -> None:
    plan = Plan(base=base, tail=tail, finish=finish)
    assert plan.is_one_list
    assert len(plan.as_list()) == len(base) + len(tail) + len(finish)
    assert not dataclasses.replace(plan, inliner_threshold=0).is_one_list
    assert not dataclasses.replace(plan, tails=(("f", tail),)).is_one_list


def test_defaults_are_left_out() -> None:
    assert Plan(base=parse("sroa")).to_json() == {"base": "sroa"}
    named = Plan(base=parse("sroa"), tails=(("f", parse("gvn")),), inliner_threshold=0)
    assert named.to_json() == {"base": "sroa", "functions": {"f": "gvn"}, "inliner_threshold": 0}


def test_a_tail_changes_single_functions_only() -> None:
    with pytest.raises(ValueError, match="a tail may hold function and loop passes only"):
        Plan(base=NOTHING, tail=parse("globaldce"))
    with pytest.raises(ValueError, match="a tail may hold function and loop passes only"):
        Plan(base=NOTHING, tails=(("f", parse("inline")),))


def test_an_unknown_pass_in_a_stored_plan_is_pointed_at() -> None:
    with pytest.raises(PassListError, match="unknown pass 'instcombin' at column 6 of 'sroa,instcombin'"):
        Plan.from_json({"base": "sroa,instcombin"}, llvm_major=MAJOR)


@given(lists)
def test_chunks_put_together_are_the_list(passes: PassList) -> None:
    pieces = chunks(passes)
    assert PassList(tuple(item for piece in pieces for item in piece.items)) == passes
    assert all(len(piece.items) <= CHUNK + CHUNK // 2 for piece in pieces)


def test_steps_of_a_plan() -> None:
    plan = Plan(base=parse("sroa,globaldce"), tails=(("f", parse("gvn,loop-rotate")),), finish=parse("mergefunc"))
    steps = plan.build(MAJOR, protocol("oz").level).steps
    assert steps == (
        Passes("function(sroa),globaldce"),
        FunctionPasses((("f", "gvn,loop(loop-rotate)"),), ""),
        Passes("mergefunc"),
    )
    assert function_pipeline(NOTHING, MAJOR) == ""


# ---- what is counted


def test_a_repeated_plan_is_free() -> None:
    pool = FakePool()
    run = evaluator(pool)
    one, two = Plan(base=parse("sroa")), Plan(base=parse("gvn"))
    assert [trial.plan for trial in run.evaluate([one, two, one])] == [one, two, one]
    run.evaluate([two])
    assert (run.num_compilations, pool.num_calls) == (2, 2)
    run.evaluate_functions([one, one])
    assert (run.num_compilations, pool.num_calls) == (3, 3)


def test_the_baseline_is_free() -> None:
    run = evaluator(FakePool())
    run.evaluate([Plan(base=parse("default<Oz>"))], free=True)
    assert run.num_compilations == 0


def test_what_failed_costs_infinitely_much() -> None:
    (trial,) = evaluator(FakePool()).evaluate([Plan(base=parse("sroa"))])
    assert trial.cost(protocol("oz")) == float("inf")
    assert (trial.sizes, trial.outcome.kind, trial.seconds) == (None, OutcomeKind.CRASH, 0.5)


def test_cost_is_what_the_protocol_counts() -> None:
    sizes = Sizes(text=10, rodata=20, unwind=30, data=40, bss=5000)
    trial = Trial(plan=Plan(), outcome=OK, sizes=sizes, num_instructions=7)
    assert {name: trial.cost(protocol(name)) for name in ("oz", "paper", "instructions")} == {
        "oz": 100,
        "paper": 100,
        "instructions": 7,
    }


# ---- against LLVM


def test_trials_are_what_the_object_measures(llvm: LLVM) -> None:
    """A trial's sizes are those of the object that compile() gives for the same plan."""
    oz = PassList.parse(oz_pipeline(llvm.major), llvm_major=llvm.major)
    with llvm.pool(timeout_seconds=60) as pool:
        facts = pool.add_module("m", llvm.seeds.bitcode("numbers"), name="numbers.c")
        for name in ("oz", "paper", "instructions"):
            run = Evaluator(pool, "m", facts, protocol(name), llvm_major=llvm.major)
            plan = Plan(base=oz)
            (trial,) = run.evaluate([plan])
            assert trial.sizes == measure_object(run.compile(plan, "obj"))
            assert (trial.num_instructions > 0) is (name == "instructions")
            assert run.seconds_in_llvm > 0


def test_order_and_numbers_do_not_depend_on_the_number_of_workers(tools: Toolchain, seeds: Seeds) -> None:
    rng = random.Random(5)
    wanted = [Plan(base=PassList.sample(rng, llvm_major=MAJOR, length=(1, 8))) for _ in range(16)]
    results: list[list[Trial]] = []
    for jobs in (1, 2):
        with WorkerPool(tools.library.path, jobs=jobs, timeout_seconds=60) as pool:
            facts = pool.add_module("m", seeds.bitcode("checksum"), name="checksum.c")
            run = Evaluator(pool, "m", facts, protocol("oz"), llvm_major=MAJOR)
            results.append([dataclasses.replace(trial, seconds=0) for trial in run.evaluate(wanted)])
    assert results[0] == results[1]


def test_a_refused_plan_is_an_outcome_or_an_error(real: tuple[WorkerPool, ModuleFacts]) -> None:
    pool, facts = real
    run = Evaluator(pool, "m", facts, protocol("oz"), llvm_major=MAJOR)
    broken = Plan(base=parse("sroa"), codegen_options=("-nosuch",))
    with pytest.raises(LLVMError, match="unknown code generation option '-nosuch'"):
        run.compile(broken, "obj")
    assert run.evaluate([broken])[0].outcome.kind is OutcomeKind.INVALID


# ---- on disk


def trials() -> list[Trial]:
    sizes = Sizes(text=1, rodata=2, unwind=3, data=4, bss=5, functions={"f": FunctionSize(1, 3, 0)})
    return [
        Trial(plan=Plan(base=parse("sroa")), outcome=OK, sizes=sizes, num_instructions=9, seconds=0.25),
        Trial(
            plan=Plan(base=parse("gvn"), tails=(('ä "f"', parse("dse")),)),
            outcome=Outcome(kind=OutcomeKind.TIMEOUT, detail="no end within 1 s"),
            sizes=None,
        ),
    ]


def function_trials() -> list[FunctionTrial]:
    sizes = {"f": FunctionSize(1, 3, 0), "g": FunctionSize(5, 0, 8)}
    references = {"f": frozenset({"g"}), "g": frozenset[str]()}
    crash = Outcome(kind=OutcomeKind.CRASH, detail="signal SIGSEGV")
    return [
        FunctionTrial(plan=Plan(base=parse("sroa")), outcome=OK, sizes=sizes, references=references, seconds=1.0),
        FunctionTrial(plan=Plan(base=parse("licm")), outcome=crash),
    ]


def write(folder: Path) -> None:
    with TrialStore(folder, flush_every=1) as store:
        for trial in trials():
            store.add(trial)
        for trial in function_trials():
            store.add_functions(trial)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write(tmp_path / "run")
    assert [path.name for path in sorted((tmp_path / "run").iterdir())] == [
        f"trials-{number:05d}.parquet" for number in range(4)
    ]
    whole, pieces = TrialStore(tmp_path / "run").load(MAJOR)
    assert list(whole.values()) == trials()
    assert whole[trials()[0].plan].sizes.functions == {"f": FunctionSize(1, 3, 0)}  # type: ignore[union-attr]
    assert list(pieces.values()) == function_trials()


def test_rows_are_as_documented(tmp_path: Path) -> None:
    write(tmp_path)
    row = next(iter(TrialStore(tmp_path).rows()))
    assert row == {
        "kind": "module", "plan": '{"base": "sroa"}', "outcome": "ok", "detail": "",
        "text": 1, "rodata": 2, "unwind": 3, "data": 4, "bss": 5, "num_instructions": 9,
        "functions": '{"f": [1, 3, 0]}', "references": "{}", "seconds": 0.25,
    }  # fmt: skip


def test_few_trials_wait_for_the_flush(tmp_path: Path) -> None:
    store = TrialStore(tmp_path, flush_every=10)
    store.add(trials()[0])
    assert not list(tmp_path.iterdir())
    store.flush()
    store.flush()
    assert len(list(tmp_path.iterdir())) == 1


def test_time_alone_makes_a_flush(tmp_path: Path) -> None:
    store = TrialStore(tmp_path, flush_every=10, flush_seconds=0.0)
    store.add(trials()[0])
    assert len(list(tmp_path.iterdir())) == 1


def test_resumed_search_compiles_nothing_again(tmp_path: Path, real: tuple[WorkerPool, ModuleFacts]) -> None:
    pool, facts = real
    wanted = [Plan(base=parse(text)) for text in ("sroa", "sroa,instcombine,simplifycfg", "default<Oz>")]
    with TrialStore(tmp_path) as store:
        run = Evaluator(pool, "m", facts, protocol("oz"), llvm_major=MAJOR, store=store)
        first, first_pieces = run.evaluate(wanted), run.evaluate_functions(wanted[:2])
    with TrialStore(tmp_path) as store:
        again = evaluator(NoPool(), store)
        assert again.evaluate(wanted) == first
        assert [trial.sizes for trial in again.evaluate(wanted)] == [trial.sizes for trial in first]
        assert again.evaluate_functions(wanted[:2]) == first_pieces
        assert again.num_compilations == run.num_compilations == 5
    assert sum(1 for _ in TrialStore(tmp_path).rows()) == 5  # nothing is stored twice


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1 and so on PAR1", bytes(1000)])
def test_a_file_that_is_no_parquet(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "trials-00000.parquet"
    path.write_bytes(content)
    with pytest.raises(StorageError, match=r"not a readable Parquet file \((.|\n)*\); delete it to go on$") as caught:
        evaluator(NoPool(), TrialStore(tmp_path))
    assert caught.value.path == str(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("cut", [0.2, 0.5, 0.9, 0.999])
def test_a_truncated_file(tmp_path: Path, cut: float) -> None:
    write(tmp_path)
    path = tmp_path / "trials-00002.parquet"
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * cut)])
    with pytest.raises(StorageError, match=r"trials-00002\.parquet: not a readable Parquet file"):
        TrialStore(tmp_path).load(MAJOR)


@pytest.mark.parametrize(
    "change",
    [
        {"plan": "{"},
        {"plan": "[]"},
        {"plan": '{"base": 5}'},
        {"outcome": "fine"},
        {"functions": '{"f": [1]}'},
        {"functions": "5"},
    ],
)
def test_a_row_of_something_else(tmp_path: Path, change: dict[str, Any]) -> None:
    write(tmp_path)
    path = tmp_path / "trials-00000.parquet"
    table = pq.read_table(path)
    pq.write_table(pa.Table.from_pylist([{**table.to_pylist()[0], **change}], schema=table.schema), path)
    with pytest.raises(StorageError, match=r"trials-00000\.parquet: not trials of this irwright \(.*\); delete it"):
        TrialStore(tmp_path).load(MAJOR)


def test_a_parquet_file_of_something_else(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [1, 2]}), tmp_path / "trials-00000.parquet")
    with pytest.raises(StorageError, match="not trials of this irwright"):
        TrialStore(tmp_path).load(MAJOR)


def test_strange_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "trials-mine.parquet").write_text("notes")
    (tmp_path / "trials-00000.5.tmp").write_text("half a file")
    write(tmp_path)
    assert len(TrialStore(tmp_path).load(MAJOR)[0]) == 2
    assert (tmp_path / "trials-mine.parquet").read_text() == "notes"


def test_a_full_disk_keeps_the_trials(tmp_path: Path) -> None:
    """The write fails half way, nothing half-written stays, and the next flush has every trial."""
    store = TrialStore(tmp_path, flush_every=100)
    for trial in trials():
        store.add(trial)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, limits[1]))
    try:
        with pytest.raises(StorageError, match=r"trials-00000\.parquet: trials can't be written: .+"):
            store.flush()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(tmp_path.iterdir())
    store.flush()
    assert list(TrialStore(tmp_path).load(MAJOR)[0].values()) == trials()


def test_a_folder_that_cant_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = TrialStore(tmp_path / "file" / "run", flush_every=1)
    with pytest.raises(StorageError, match="trials can't be written: Not a directory"):
        store.add(trials()[0])


# What <coroutine> declares, as far as clang needs it: no C++ headers are wanted.
COROUTINE = """
namespace std {
template <typename R, typename...> struct coroutine_traits { using promise_type = typename R::promise_type; };
template <typename P = void> struct coroutine_handle {
  static coroutine_handle from_address(void *p) { coroutine_handle h; h.p = p; return h; }
  void *address() const { return p; }
  template <typename Q> operator coroutine_handle<Q>() const { return coroutine_handle<Q>::from_address(p); }
  void *p;
};
struct suspend_always {
  bool await_ready() noexcept { return false; }
  void await_suspend(coroutine_handle<>) noexcept {}
  void await_resume() noexcept {}
};
}
extern "C" int source(int);
struct Task {
  struct promise_type {
    Task get_return_object() { return {std::coroutine_handle<promise_type>::from_address(this)}; }
    std::suspend_always initial_suspend() noexcept { return {}; }
    std::suspend_always final_suspend() noexcept { return {}; }
    std::suspend_always yield_value(int v) noexcept { value = v; return {}; }
    void return_void() noexcept {}
    void unhandled_exception() noexcept {}
    int value;
  };
  std::coroutine_handle<promise_type> handle;
};
Task numbers(int n) { for (int i = 0; i < n; i++) co_yield source(i); }
"""


@pytest.mark.parametrize("text", ["sroa,early-cse", "inline,globalopt,function(sroa,instcombine)", "default<Oz>"])
def test_coroutines_are_split_whatever_the_list(tools: Toolchain, text: str) -> None:
    command = [str(tools.need_clang()), "-std=c++20", "-Oz", "-Xclang", "-disable-llvm-passes", "-x", "c++", "-"]
    command += ["-emit-llvm", "-c", "-o", "-"]
    bitcode = subprocess.run(command, input=COROUTINE.encode(), capture_output=True, check=True).stdout
    with WorkerPool(tools.library.path, jobs=1) as pool:
        facts = pool.add_module("numbers", bitcode, name="numbers.cpp")
        assert facts.has_coroutines
        evaluator = Evaluator(pool, "numbers", facts, protocol("oz"), llvm_major=MAJOR)
        (trial,) = evaluator.evaluate([Plan(base=parse(text))])
        assert trial.outcome.ok and trial.sizes is not None
        parts = {name.partition(".")[2] for name in trial.sizes.functions if "numbers" in name}
        assert {"resume", "destroy"} <= parts
        assert evaluator.survey("raw") is None
