"""The coreset: plans for every LLVM, a table that reads back, a greedy order, and a build that goes on where it was."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from conftest import Seeds
from irwright.coreset import BUILT_FOR, first_plans, load_coreset, portable, read_coreset, write_coreset
from irwright.coreset_build import Builder, BuildSettings, Sample, spread
from irwright.errors import CorpusError
from irwright.llvm.toolchain import Toolchain
from irwright.measure import PROTOCOLS, protocol
from irwright.pass_table import PASSES
from irwright.passes import PassList, function_local
from irwright.plan import Plan
from irwright.task import Coreset
from irwright.trials import TrialStore

MAJORS = range(17, 24)
SETTINGS = BuildSettings(
    search_modules=2,
    search_compilations=20,
    broadcast_modules=2,
    num_lists=4,
    num_pieces=4,
    table_lists=3,
    table_pieces=3,
    min_instructions=1,
)


# ---- tables


@pytest.mark.parametrize("major", MAJORS)
def test_the_first_plans_suit_every_llvm(major: int) -> None:
    first = first_plans(major)
    assert len(first.lists) >= 8 and len(first.pieces) >= 60
    assert len(set(first.lists)) == len(first.lists) and len(set(first.pieces)) == len(first.pieces)
    assert {plan.preparation for plan in first.pieces} == {"raw", "early"}
    assert {plan.inline for plan in first.pieces} == {"", "once", "oz"}
    for plan in (*first.lists, *first.pieces):
        assert plan.base.supported(major) and plan.tail.supported(major)
        assert function_local(plan.tail)
        assert Plan.from_json(plan.to_json(), llvm_major=major) == plan
    for plan in first.lists:
        assert plan.is_one_list


def test_plans_for_another_llvm_lose_what_it_lacks() -> None:
    newer = next(name for name, info in PASSES.items() if info.since == 22 and info.level == "function")
    stored = {"base": f"sroa,{newer}", "tail": newer, "llvm": 22}
    passes = PassList.parse(newer)
    assert portable(stored, 22) == Plan(base=PassList.parse(f"sroa,{newer}"), tail=passes)
    assert portable(stored, 17) == Plan(base=PassList.parse("sroa", llvm_major=17))
    assert portable({"base": newer, "llvm": 22}, 17) is None, "nothing is left"
    assert portable({"preparation": "raw", "tail": newer, "llvm": 22}, 17) == Plan(preparation="raw")
    assert portable({"base": "no-such-pass"}, 22) is None


def test_a_table_reads_back(tmp_path: Path) -> None:
    first = first_plans(BUILT_FOR)
    table = Coreset(lists=first.lists[:5], pieces=first.pieces[:7], lists_first=(1, 0, 2))
    text = write_coreset(table, protocol="oz", llvm_major=BUILT_FOR, made_by={"command": "test", "seed": 1})
    assert read_coreset(text, BUILT_FOR) == table
    data = json.loads(text)
    assert (data["protocol"], data["llvm_major"], data["made_by"]["seed"]) == ("oz", BUILT_FOR, 1)
    assert len(text.splitlines()) < 40, "a plan a line"
    for major in MAJORS:
        read = read_coreset(text, major)
        assert all(plan.base.supported(major) for plan in (*read.lists, *read.pieces))


def test_the_order_for_large_modules_reads_back() -> None:
    """The same plans; an LLVM that lacks one has the others in their order."""
    newer = Plan(base=PassList.parse(next(name for name, info in PASSES.items() if info.since == 22)))
    first = first_plans(BUILT_FOR)
    lists, pieces = (*first.lists[:2], newer, first.lists[3]), first.pieces[:4]
    large = Coreset(lists=(newer, *lists[3:], lists[1]), pieces=pieces[::-1], lists_first=(1, 1, 2))
    table = Coreset(lists=lists, pieces=pieces, lists_first=(1, 2), large=large, large_from=5000)
    text = write_coreset(table, protocol="oz", llvm_major=BUILT_FOR, made_by={})
    assert read_coreset(text, BUILT_FOR) == table
    assert [table.for_module(size) for size in (0, 4999, 5000)] == [table, table, large]
    older = read_coreset(text, 17).for_module(5000)
    assert len(older.lists) == 2 and older.lists_first == (1, 1, 2)


def test_an_empty_table_reads_back() -> None:
    text = write_coreset(Coreset(), protocol="oz", llvm_major=22, made_by={})
    assert read_coreset(text, 22) == Coreset()


@pytest.mark.parametrize("name", PROTOCOLS)
@pytest.mark.parametrize("major", MAJORS)
def test_there_is_a_table_for_every_protocol_and_llvm(name: str, major: int) -> None:
    """The shipped one, cut to what the LLVM has; the first plans where there is none."""
    table = load_coreset(name, major)
    assert table.lists
    assert all(plan.base.supported(major) and plan.tail.supported(major) for plan in (*table.lists, *table.pieces))
    assert len(set(table.lists)) == len(table.lists)


def test_an_unknown_protocol_gets_the_first_plans() -> None:
    assert load_coreset("no-such-protocol", 22) == first_plans(22)


# ---- samples


def samples_named(*names: str) -> list[Sample]:
    return [Sample(name=name, project=name.partition("/")[0], bitcode=Path("none")) for name in names]


def test_projects_take_turns() -> None:
    names = ["a/1", "a/2", "a/3", "a/4", "b/1", "b/2", "c/1"]
    order = spread(samples_named(*names), random.Random(3))
    assert sorted(sample.name for sample in order) == names
    projects = [sample.project for sample in order]
    assert set(projects[:3]) == {"a", "b", "c"} and set(projects[3:5]) == {"a", "b"} and projects[5:] == ["a", "a"]
    shuffled = samples_named(*reversed(names))
    assert spread(shuffled, random.Random(3)) == order, "the order given makes no difference"
    assert spread(shuffled, random.Random(4)) != order


# ---- building


def make_builder(samples: Sequence[Sample], folder: Path, tools: Toolchain, **options: object) -> Builder:
    return Builder(
        samples,
        folder,
        protocol("oz"),
        library=tools.library.path,
        llvm_major=tools.major,
        settings=SETTINGS,
        **options,  # type: ignore[arg-type]
    )


@pytest.fixture
def two(seeds: Seeds, tmp_path: Path) -> list[Sample]:
    """Two training modules of two projects."""
    made: list[Sample] = []
    for name in ("machine", "checksum"):
        path = tmp_path / f"{name}.bc"
        path.write_bytes(seeds.bitcode(name))
        made.append(Sample(name=f"{name}/{name}.c", project=name, bitcode=path))
    return made


def stored_rows(folder: Path) -> dict[str, int]:
    """Parquet files by path with the number of trials in them."""
    folders = {path.parent for path in folder.rglob("*.parquet")}
    return {str(one.relative_to(folder)): len(list(TrialStore(one).rows())) for one in folders}


def test_a_build_goes_on_where_it_was(two: list[Sample], tools: Toolchain, tmp_path: Path) -> None:
    folder = tmp_path / "build"
    progress: list[tuple[str, int, int]] = []
    table = make_builder(two, folder, tools, progress=lambda *step: progress.append(step)).run()
    assert 1 <= len(table.lists) <= SETTINGS.table_lists
    assert 1 <= len(table.pieces) <= SETTINGS.table_pieces
    assert all(plan.is_one_list for plan in table.lists)
    assert all(plan.preparation and not plan.tails for plan in table.pieces)
    assert progress == [("search", 1, 2), ("search", 2, 2), ("broadcast", 1, 2), ("broadcast", 2, 2)]

    rows = stored_rows(folder)
    assert len(rows) == 4, "two searches, two broadcasts"
    assert make_builder(two, folder, tools).run() == table
    assert stored_rows(folder) == rows, "nothing was compiled again"


def test_a_table_is_ordered_once_more_for_large_modules(two: list[Sample], tools: Toolchain, tmp_path: Path) -> None:
    first = first_plans(BUILT_FOR)
    table = Coreset(lists=first.lists[:3], pieces=(first.pieces[0], first.pieces[5], first.pieces[2]))
    settings = BuildSettings(large_modules=2, large_from=100, large_to=900, large_lists=2, large_pieces=2)
    library = tools.library.path
    builder = Builder(two, tmp_path / "b", protocol("oz"), library=library, llvm_major=tools.major, settings=settings)
    ordered = builder.order_for_large(table)
    assert (ordered.lists, ordered.pieces, ordered.large_from) == (table.lists, table.pieces, 100)
    assert ordered.large is not None and ordered.large.lists_first
    assert set(ordered.large.pieces) == set(table.pieces) and set(ordered.large.lists) == set(table.lists)
    assert read_coreset(write_coreset(ordered, protocol="oz", llvm_major=22, made_by={}), 22) == ordered


def test_a_module_that_cannot_be_read_is_left_out(
    two: list[Sample], tools: Toolchain, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = tmp_path / "broken.bc"
    broken.write_bytes(b"BC\xc0\xde nothing")
    bad = Sample(name="broken/broken.c", project="broken", bitcode=broken)
    settled = make_builder([two[1], bad], tmp_path / "build", tools).run()
    assert settled.lists
    assert "broken/broken.c left out" in caplog.text


def test_modules_of_other_sizes_are_skipped(two: list[Sample], tools: Toolchain, tmp_path: Path) -> None:
    small = BuildSettings(min_instructions=1_000_000, max_instructions=2_000_000)
    library = tools.library.path
    builder = Builder(two, tmp_path / "b", protocol("oz"), library=library, llvm_major=tools.major, settings=small)
    assert builder.run() == Coreset()


def test_no_samples(tools: Toolchain, tmp_path: Path) -> None:
    expected = "no training modules; fetch some with: irwright corpus fetch --role training"
    with pytest.raises(CorpusError, match=f"^{re.escape(expected)}$"):
        make_builder([], tmp_path, tools)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("first", [1, 3, 8, 500])
def test_the_first_plans_alone_are_those_of_the_whole_table(first: int) -> None:
    plans = first_plans(22)
    lists, pieces = plans.lists[:10], plans.pieces[:12]
    large = Coreset(lists=lists[::-1], pieces=pieces[::-1][:9], lists_first=(1, 2))
    whole = Coreset(lists=lists, pieces=pieces, lists_first=(1, 1, 2), large=large, large_from=4000)
    text = write_coreset(whole, protocol="oz", llvm_major=22, made_by={})
    cut = read_coreset(text, 22, first=first)
    assert read_coreset(text, 22) == whole
    for one, other in ((cut, whole), (cut.for_module(9000), large)):
        assert (one.lists[:first], one.pieces[:first]) == (other.lists[:first], other.pieces[:first])
        assert one.lists_first == other.lists_first
    assert len(cut.lists) <= 2 * first and len(cut.pieces) <= 2 * first
    assert len(read_coreset(text, 23, first=first).lists) == len(read_coreset(text, 23).lists)
    simple = write_coreset(Coreset(lists=lists, pieces=pieces), protocol="oz", llvm_major=22, made_by={})
    assert read_coreset(simple, 22, first=first) == Coreset(lists=lists[:first], pieces=pieces[:first])
