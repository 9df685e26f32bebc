"""Functions that fail a check get the code of -Oz, and the rest of the build stays what the search chose."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import pytest

from conftest import Seeds
from irwright.evaluator import Evaluator
from irwright.llvm.clang import seed_bitcode
from irwright.llvm.toolchain import Toolchain
from irwright.llvm.worker import WorkerPool
from irwright.measure import measure_object, protocol
from irwright.passes import PassList
from irwright.plan import Plan
from irwright.repair import Refusal, Repaired, callees, difference, first_that_passes, link_refusal, with_oz_bodies
from irwright.symbols import read_symbols
from irwright.verify.differ import compare_objects
from irwright.verify.verdicts import FunctionVerdict, ObjectVerdict, VerdictKind

SOURCE = """
int table[16]; int out(int);
static int deep(int x) { int s = 0; for (int i = 0; i < x; i++) s += table[i & 15] * i; return s; }
static int mid(int x) { return x > 3 ? deep(x) + out(x) : deep(x + 1) - 1; }
int first(int x) { return mid(x) + mid(x * 2) + 7; }
int second(int x) { return x ? mid(x) : out(x); }
int third(int x) { for (int i = 0; i < x; i++) out(table[i]); return deep(x); }
"""
OZ = "default<Oz>"
LIST = "sroa,instcombine,simplifycfg"


@pytest.fixture
def evaluator(tools: Toolchain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Evaluator]:
    source = tmp_path_factory.mktemp("repair") / "pieces.c"
    source.write_text(SOURCE)
    with WorkerPool(tools.library.path, jobs=1) as pool:
        facts = pool.add_module("seed", seed_bitcode(tools.need_clang(), source, ()), name="pieces.c")
        yield Evaluator(pool, "seed", facts, protocol("oz"), llvm_major=tools.major)


def composed(evaluator: Evaluator) -> Plan:
    promoted = evaluator.survey("raw")
    assert promoted is not None
    base = Plan(preparation="raw", base=PassList.parse(LIST))
    return Plan(parts=(replace(base, tails=tuple((name, PassList()) for name in sorted(promoted.all_functions))),))


@dataclass(frozen=True)
class Build:
    plan: Plan
    size: int
    data: bytes


def maker(evaluator: Evaluator, built: list[Plan]) -> Callable[[Plan], Build]:
    def make(plan: Plan) -> Build:
        built.append(plan)
        data = evaluator.compile(plan, "obj")
        return Build(plan, measure_object(data).total, data)

    return make


def refuse(*names: str) -> Callable[[Build], Build | Refusal]:
    """A check that these functions fail while they are not of -Oz."""

    def check(build: Build) -> Build | Refusal:
        wrong = [name for name in names if OZ not in str(build.plan.list_for(name))]
        return Refusal(f"{wrong[0]} differs", tuple((name, "wrong") for name in wrong)) if wrong else build

    return check


def code_of(data: bytes) -> dict[str, int]:
    return {name: size.code for name, size in measure_object(data).functions.items()}


def test_one_function_of_a_composition_gets_the_body_of_oz(evaluator: Evaluator) -> None:
    plan, built = composed(evaluator), list[Plan]()
    found = first_that_passes([(plan, 100.0)], maker(evaluator, built), refuse("second"), evaluator)
    assert found is not None and len(built) == 2
    build, repaired = found
    assert repaired.replaced == (("second", "wrong"),)
    before, after = (code_of(evaluator.compile(one, "obj")) for one in built)
    assert repaired.cost_bytes == build.size - measure_object(evaluator.compile(plan, "obj")).total
    assert {name: after[name] for name in ("first", "third")} == {name: before[name] for name in ("first", "third")}
    assert [name for name, _ in build.plan.parts[-1].tails][:1] != [] and str(build.plan.parts[-1].base) == OZ
    original = evaluator.compile(Plan(base=PassList.parse(OZ)), "obj")
    assert read_symbols(build.data).strong == read_symbols(original).strong
    assert compare_objects(original, build.data).different == 0


def test_what_a_body_of_oz_calls_comes_with_it_where_nothing_gives_it(evaluator: Evaluator) -> None:
    """In the composition all that is static was inlined and left out."""
    whole = composed(evaluator).parts[0]
    inlined = replace(whole, base=PassList.parse("inline,globaldce"), tails=whole.tails[:0])
    given = [name for name, _ in whole.tails if name in ("first", "second", "third")]
    plan = Plan(parts=(replace(inlined, tails=tuple((name, PassList()) for name in given)),))
    oz = with_oz_bodies(plan, ["second"], evaluator)
    assert oz is not None
    names = [name for name, _ in oz.parts[-1].tails]
    assert "second" in names
    references = evaluator.function_trials[-1].references
    assert {name for name in references["second"] if name in references} <= set(names)
    assert measure_object(evaluator.compile(oz, "obj")).functions.keys() >= {"first", "second", "third"}


def test_a_list_over_the_whole_module_is_taken_apart(evaluator: Evaluator) -> None:
    plan, built = Plan(base=PassList.parse(LIST), finish=PassList.parse("globaldce")), list[Plan]()
    found = first_that_passes([(plan, 100.0)], maker(evaluator, built), refuse("first"), evaluator)
    assert found is not None
    build, repaired = found
    assert [name for name, _ in repaired.replaced] == ["first"]
    assert str(build.plan.list_for("third")) == f"{LIST},globaldce"
    assert build.plan.finish == plan.finish and len(built) == 2
    assert build.size == min(trial.cost(evaluator.protocol) for trial in evaluator.trials if trial.plan.parts), (
        "of both preparations the smaller"
    )


def test_where_that_is_not_enough_the_callees_are_replaced_too(evaluator: Evaluator) -> None:
    """A static function is not compared by itself: what calls it is found different."""
    plan, built = replace(composed(evaluator), finish=PassList.parse("mergefunc")), list[Plan]()

    def check(build: Build) -> Build | Refusal:
        if OZ in str(build.plan.list_for("deep")):
            return build
        return Refusal("third differs", (("third", "wrong"),))

    evaluator.evaluate_functions([Plan(preparation="raw")])
    found = first_that_passes([(plan, 100.0)], maker(evaluator, built), check, evaluator)
    assert found is not None and len(built) == 3
    assert dict(found[1].replaced) == {"third": "wrong", "deep": "called by third"}
    assert not found[0].plan.finish.items, "what ran over the whole module at the end is left out"


def test_a_smaller_candidate_comes_before_one_that_was_repaired(evaluator: Evaluator) -> None:
    plan, built = composed(evaluator), list[Plan]()
    size = measure_object(evaluator.compile(plan, "obj")).total
    other = Plan(base=PassList.parse(OZ))
    for cost, taken in ((0.0, other), (size + 100.0, None)):
        candidates = [(plan, -1.0), (other, cost)]
        found = first_that_passes(candidates, maker(evaluator, built), refuse("second"), evaluator)
        assert found is not None
        assert (found[0].plan == other) is (taken == other)
        assert bool(found[1].replaced) is (taken is None)


def test_an_end_comes_where_nothing_helps(evaluator: Evaluator) -> None:
    built: list[Plan] = []

    def check(build: Build) -> Build | Refusal:
        return Refusal("all is wrong", (("second", "wrong"),))

    evaluator.evaluate_functions([Plan(preparation="raw")])
    plans = [composed(evaluator), *(Plan(base=PassList.parse(text)) for text in ("sroa", "instcombine", "gvn"))]
    make = maker(evaluator, built)
    assert first_that_passes([(plan, 0.0) for plan in plans], make, check, evaluator) is None
    assert len(built) <= len(plans) + 5
    built.clear()
    assert first_that_passes([(plans[0], 0.0)], make, lambda _: Refusal("of no function"), evaluator) is None
    assert built == plans[:1]


def test_what_checks_have_against_a_build(seeds: Seeds, evaluator: Evaluator) -> None:
    def verdict(name: str, kind: VerdictKind) -> FunctionVerdict:
        counts = {"num_runs": 8, "num_conclusive": 8, "blocks": 2, "blocks_covered": 2}
        return FunctionVerdict(function=name, kind=kind, reason="seed 3: result", seed=3, **counts)

    kinds: Sequence[tuple[str, VerdictKind]] = (
        ("f", VerdictKind.EQUAL),
        ("g", VerdictKind.DIFFERENT),
        ("h", VerdictKind.DIFFERENT),
    )
    found = difference(ObjectVerdict(functions=tuple(verdict(*kind) for kind in kinds)))
    assert found is not None and found.reason == "g differs: seed 3: result"
    assert [name for name, _ in found.functions] == ["g", "h"]
    assert difference(ObjectVerdict(functions=(verdict("f", VerdictKind.EQUAL),))) is None
    data = evaluator.compile(composed(evaluator), "obj")
    plain = read_symbols(data)
    assert link_refusal(plain, data, frozenset()) is None
    less = replace(plain, undefined=plain.undefined - {"out"})
    refusal = link_refusal(less, data, frozenset())
    assert refusal is not None and refusal.reason == "it refers to 'out', which the plain object does not"
    assert {"third"} <= {name for name, _ in refusal.functions} <= {"first", "second", "third", "mid", "deep"}


def test_callees_are_found_through_trials_nearest_first(evaluator: Evaluator) -> None:
    evaluator.evaluate_functions([Plan(preparation="raw")])
    assert callees(evaluator, ["second"]) == ["second", "mid", "deep"]
    assert callees(evaluator, ["nowhere"]) == ["nowhere"]


def test_what_was_changed_is_told() -> None:
    assert Repaired().to_json() == {"replaced": [], "replaced_bytes": 0}
    told = Repaired(replaced=(("f", "seed 3: result"),), cost_bytes=12).to_json()
    assert told == {"replaced": [{"function": "f", "reason": "seed 3: result"}], "replaced_bytes": 12}
