"""Where lifting is not exact: functions of training packages, lifted, recompiled, and classed by how they differ.

    python benchmarks/lift_classes.py --num 400                # one lifting of each function
    python benchmarks/lift_classes.py --num 200 --budget 24    # with search
    python benchmarks/lift_classes.py --show frame             # both texts of the functions of one class

A development tool: it draws training modules only, makes each function a module of its own, and compiles it with
clang -Oz or -O2. The assembly is kept under the cache folder, so that a second run reads the same functions.
"""

from __future__ import annotations

import argparse
import difflib
import json
import random
import re
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from irwright.coreset_build import Sample, spread
from irwright.corpus.modules import modules
from irwright.corpus.packages import default_cache
from irwright.errors import IrwrightError, LiftError
from irwright.lift.compare import normalise
from irwright.lift.disassembler import Disassembler, LiftSettings, attributes
from irwright.lift.variants import ORDER, PIPELINES, Search, Variant
from irwright.llvm.toolchain import cache_folder, find
from irwright.llvm.worker import Call, WorkerPool

CLASSES = (1, 6, 11, 21, 51, 101, 201)
REGISTER = re.compile(r"%[a-z][a-z0-9]*")
FRAME = re.compile(r"-?\d*\(%rsp\)|-?\d+\(%rbp\)")
LABEL = re.compile(r"\bL\d+\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What became of one function."""

    name: str
    instructions: int
    verdict: str
    """exact, other, not-lifted, failed"""
    kind: str = ""
    """class of the difference, or the reason"""
    num_variants: int = 0
    variant: str = ""
    seconds: float = 0.0
    original: tuple[str, ...] = ()
    lifted: tuple[str, ...] = ()


def sample(folder: Path, num: int, level: str, seed: int) -> list[Path]:
    """Assembly of the first `num` functions of the sample, made where it is not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    index = folder / "index.json"
    known: list[str] = json.loads(index.read_text()) if index.exists() else []
    if len(known) < num:
        known = []
        rng = random.Random(seed)
        found = modules("training", cache=default_cache())
        samples = [Sample(name=f"{m.package}/{m.source}", project=m.package, bitcode=m.bitcode) for m in found]
        names = {f"{m.package}/{m.source}": [name for name, _ in m.functions] for m in found}
        with WorkerPool(find().library.path, jobs=1) as pool:
            for text, name in _functions(pool, spread(samples, rng), names, rng, level):
                path = folder / f"{len(known):04}-{name}.s"
                path.write_text(text)
                known.append(path.name)
                if len(known) == num:
                    break
        index.write_text(json.dumps(known))
    return [folder / name for name in known[:num]]


def _functions(
    pool: WorkerPool, order: list[Sample], names: dict[str, list[str]], rng: random.Random, level: str
) -> Iterator[tuple[str, str]]:
    clang = find().need_clang()
    for one in order:
        if not names[one.name]:
            continue
        function = rng.choice(names[one.name])
        pool.add_module("m", one.bitcode.read_bytes(), name=one.name)
        reply = pool.call(Call(operation="extract", module="m", arguments={"function": function}))
        if not reply.outcome.ok:
            continue
        with tempfile.TemporaryDirectory() as folder:
            bitcode = Path(folder) / "m.bc"
            bitcode.write_bytes(reply.value)
            if level != "Oz":
                _forget_size(bitcode)
            command = [clang, f"-{level}", "-S", "-o", "-", "-x", "ir", bitcode, "-Qunused-arguments"]
            run = subprocess.run(command, capture_output=True, text=True, check=False)
        if run.returncode == 0:
            yield run.stdout, re.sub(r"[^\w.]", "_", f"{one.project}-{function}")[:80]


def _forget_size(bitcode: Path) -> None:
    """The attributes that -Oz gave."""
    tools = find().need_clang()
    command = [tools, "-S", "-emit-llvm", "-Xclang", "-disable-llvm-passes", "-O2", "-x", "ir", bitcode, "-o", "-"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    lines = [re.sub(r"\b(minsize|optsize) ", "", line) if line.startswith("attributes") else line
             for line in text.split("\n")]  # fmt: skip
    bitcode.write_text("\n".join(lines))


def kind_of(a: list[str], b: list[str]) -> str:
    """The class of a difference."""

    def plain(lines: list[str], *patterns: re.Pattern[str]) -> list[str]:
        for pattern in patterns:
            lines = [pattern.sub("_", line) for line in lines]
        return lines

    if plain(a, FRAME) == plain(b, FRAME):
        return "frame offsets"
    if plain(a, FRAME, REGISTER) == plain(b, FRAME, REGISTER):
        return "registers"
    words = ([line.split()[0] for line in lines if not line.endswith(":")] for lines in (a, b))
    first, second = (Counter(words_) for words_ in words)
    if first == second:
        if Counter(plain(a, FRAME, LABEL)) == Counter(plain(b, FRAME, LABEL)):
            return "order"
        return "same instructions"
    calls = [[line for line in lines if line.startswith("call")] for lines in (a, b)]
    tails = [sum(line.startswith("jmp ") and not LABEL.search(line) for line in lines) for lines in (a, b)]
    if Counter(calls[0]) != Counter(calls[1]) or tails[0] != tails[1]:
        return "calls"
    jumps = [Counter(w for w in words_ if w[0] == "j") for words_ in (first.elements(), second.elements())]
    if jumps[0] != jumps[1]:
        return "jumps"
    only_first, only_second = first - second, second - first
    texts = [" ".join(sorted(c.elements())[:2]) for c in (only_first, only_second)]
    if sum(only_first.values()) + sum(only_second.values()) <= 3:
        return f"few: {texts[0]} -> {texts[1]}"
    if only_first.keys() | only_second.keys() <= {"pushq", "popq", "movq", "movl", "subq", "addq"}:
        return "moves and pushes"
    return "several"


def lift(disassembler: Disassembler, path: Path, budget: int, variant: Variant) -> Iterator[Row]:
    """Each function of a file."""
    started = time.monotonic()
    source = disassembler.read(path.read_bytes(), path.name)
    search = Search(disassembler.pool, source.program, source.layout, source.text, budget, attributes(source))
    for code in source.program.functions:
        wanted = normalise(source.text, code.name)
        size = sum(not line.endswith(":") for line in wanted)
        if budget > 1:
            best = search.best(code.name)
            verdict = "exact" if best.is_exact else "other" if best.ir else "not-lifted"
            yield Row(name=path.name, instructions=size, verdict=verdict, kind=best.problem,
                      num_variants=best.num_variants,
                      variant=str(best.variant), seconds=best.seconds)  # fmt: skip
            continue
        try:
            job = (search.emit(code.name, variant), PIPELINES[variant.pipeline])
        except LiftError as error:
            yield Row(name=path.name, instructions=size, verdict="not-lifted", kind=str(error))
            continue
        lowered = search.lower([job])[0]
        seconds = time.monotonic() - started
        if lowered.problem:
            yield Row(name=path.name, instructions=size, verdict="failed", kind=lowered.problem)
            continue
        lines = normalise(search.take_apart(lowered.asm), code.name)
        verdict = "exact" if lines == wanted else "other"
        kind = "" if lines == wanted else kind_of(wanted, lines)
        yield Row(
            name=path.name,
            instructions=size,
            verdict=verdict,
            kind=kind,
            seconds=seconds,
            original=tuple(wanted),
            lifted=tuple(lines),
        )


def show(rows: list[Row], kind: str) -> None:
    """Both texts of the functions of a class, differences marked."""
    for row in rows:
        if row.kind.startswith(kind) and row.verdict == "other":
            print(f"--- {row.name} ({row.instructions})")
            print("\n".join(difflib.unified_diff(row.original, row.lifted, lineterm="", n=3)))


def table(rows: list[Row]) -> None:
    """Exact rate by size, then the classes."""
    total = len(rows)
    exact = sum(row.verdict == "exact" for row in rows)
    print(f"exact {exact} of {total} ({100 * exact / total:.1f} %),", dict(Counter(row.verdict for row in rows)))
    for low, high in zip(CLASSES, (*CLASSES[1:], 1 << 30), strict=True):
        some = [row for row in rows if low <= row.instructions < high]
        good = sum(row.verdict == "exact" for row in some)
        print(f"  {low:4}+ {good:4} of {len(some):4}")
    for verdict in ("other", "not-lifted", "failed"):
        kinds = Counter(row.kind for row in rows if row.verdict == verdict)
        for kind, count in kinds.most_common(40):
            print(f"  {verdict} {count:4} {kind}")
    seconds = sorted(row.seconds for row in rows)
    print(f"seconds {sum(seconds):.1f}, median {1000 * seconds[len(seconds) // 2]:.0f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num", type=int, default=400)
    parser.add_argument("--first", type=int, default=0, help="begin with this function of the sample")
    parser.add_argument("--level", choices=("Oz", "O2"), default="Oz")
    parser.add_argument("--budget", type=int, default=1)
    parser.add_argument("--variant", type=int, default=0, help="of variants.ORDER, where the budget is 1")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", default="", help="a class: print its differences")
    parser.add_argument("--only", default="", help="files whose name contains this")
    parser.add_argument("--rows", type=Path, help="write all rows there, as JSON; compared with it where it is there")
    arguments = parser.parse_args()
    paths = sample(cache_folder() / "lift-sample" / f"{arguments.level}-{arguments.seed}", arguments.num,
                   arguments.level, arguments.seed)[arguments.first :]  # fmt: skip
    rows: list[Row] = []
    variant = ORDER[int(arguments.variant)]
    with WorkerPool(find().library.path, jobs=1, timeout_seconds=60) as pool:
        disassembler = Disassembler(pool, LiftSettings())
        for path in paths:
            if arguments.only not in path.name:
                continue
            try:
                rows += lift(disassembler, path, arguments.budget, variant)
            except IrwrightError as error:
                rows.append(Row(name=path.name, instructions=0, verdict="failed", kind=str(error)[:100]))
    if arguments.show:
        show(rows, arguments.show)
    table(rows)
    if arguments.rows:
        if arguments.rows.exists():
            before = {row["name"]: row["verdict"] for row in json.loads(arguments.rows.read_text())}
            for row in rows:
                if before.get(row.name, row.verdict) != row.verdict:
                    print(f"  {before[row.name]} -> {row.verdict}: {row.name} {row.kind}")
        arguments.rows.write_text(json.dumps([asdict(row) for row in rows]))


if __name__ == "__main__":
    main()
