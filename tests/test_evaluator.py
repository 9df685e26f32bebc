"""What counts as a compilation, trials against objects, resuming without LLVM, coroutines."""

from __future__ import annotations

import dataclasses
import random
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import pytest

from conftest import LLVM, Seeds
from irwright.errors import LLVMError
from irwright.evaluator import Evaluator
from irwright.llvm.builds import OK, ModuleFacts, Outcome, OutcomeKind
from irwright.llvm.toolchain import Toolchain
from irwright.llvm.worker import Call, Reply, WorkerPool
from irwright.measure import Sizes, measure_object, protocol
from irwright.passes import PassList, oz_pipeline
from irwright.plan import Plan
from irwright.trials import Trial, TrialStore

MAJOR = 22


def parse(text: str) -> PassList:
    return PassList.parse(text, llvm_major=MAJOR)


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


LABELS = """
int code[] = {0, 0, 1};
void note(int);
void run(int *at) {
  static const void *labels[] = {&&step, &&end};
  goto *labels[*at];
step:
  note(*at++);
  goto *labels[*at];
end:
  return;
}
"""


def test_labels_whose_addresses_data_hold_stay_labels(llvm: LLVM) -> None:
    command = [str(llvm.toolchain.need_clang()), "-Oz", "-Xclang", "-disable-llvm-passes", "-x", "c", "-"]
    command += ["-emit-llvm", "-c", "-o", "-"]
    bitcode = subprocess.run(command, input=LABELS.encode(), capture_output=True, check=True).stdout
    with llvm.pool() as pool:
        facts = pool.add_module("labels", bitcode, name="labels.c")
        evaluator = Evaluator(pool, "labels", facts, protocol("oz"), llvm_major=llvm.major)
        text = evaluator.compile(Plan(base=PassList.parse("default<Oz>", llvm_major=llvm.major)), "ll")
        assert text.count(b"blockaddress(@run, ") == 2
        assert b"call void @note" in text
