"""Pass lists evolved for what each saves over many training functions, beside -Oz and the lists given: a tool.

    python benchmarks/evolve.py --protocol paper --seconds 900 --state FILE
    python benchmarks/evolve.py --protocol paper --seconds 300 --state OTHER --beside FIRST_LIST ...

What counts is the mean of the logarithms that are saved, nothing where a list makes a function larger: -Oz is a backup.
So lists that serve some functions well beat those that are never bad, and with `--beside` those win that save what the
lists named don't. Functions of every second project are evolved on; the others are for choosing. A child is compared
with the third best on a few functions first and dropped where it is behind there, so that most cost 30 compilations.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, pstdev

from irwright.corpus.packages import default_cache
from irwright.errors import IrwrightError
from irwright.feedback.knowledge import load_knowledge
from irwright.feedback_build import training_functions
from irwright.llvm.toolchain import find
from irwright.llvm.worker import Call, WorkerPool
from irwright.measure import PROTOCOLS, Protocol, protocol, sizes_of
from irwright.passes import PassList, PassSpace
from irwright.plan import Plan

STAGES = ((30, 0.5), (80, 0.3), (160, 0.3))
"""(functions, standard errors by which a child may be behind after them)"""
LONGEST = 40
"""passes of a list"""
KEPT = 28
FIRST = 24
"""of the plans that are known, the best single lists to begin with"""
MOST_FAILED = 0.05


@dataclass(slots=True)
class Bench:
    """Sizes of lists on loaded functions; each is measured once."""

    pool: WorkerPool
    protocol: Protocol
    num: int
    major: int
    known: dict[PassList, dict[int, float]] = field(default_factory=dict[PassList, dict[int, float]])
    oz: list[float] = field(default_factory=list[float])

    def bytes(self, passes: PassList, functions: int) -> list[float]:
        """Of the first so many functions; infinite where the list made no object."""
        found = self.known.setdefault(passes, {})
        missing = [number for number in range(functions) if number not in found]
        build = Plan(base=passes).build(self.major, self.protocol.level)
        calls = [Call(operation="evaluate", module=str(number), arguments={"build": build}) for number in missing]
        for number, reply in zip(missing, self.pool.map(calls), strict=True):
            found[number] = sizes_of(reply.value.info).total if reply.outcome.ok else math.inf
        return [found[number] for number in range(functions)]

    def saved(self, passes: PassList, functions: int) -> list[float]:
        """Logarithms of what is saved beside -Oz, none below 0."""
        sizes = self.bytes(passes, functions)
        return [max(0.0, math.log(oz / max(size, 1.0))) for oz, size in zip(self.oz, sizes, strict=False)]


@dataclass(slots=True)
class Evolution:
    """A population of lists, best first."""

    bench: Bench
    beside: Sequence[float]
    """what is saved already on each function"""
    rng: random.Random
    population: list[tuple[float, PassList]] = field(default_factory=list[tuple[float, PassList]])
    seen: set[PassList] = field(default_factory=set[PassList])

    def saved(self, passes: PassList, functions: int) -> list[float]:
        return [max(pair) for pair in zip(self.beside, self.bench.saved(passes, functions), strict=False)]

    def admit(self, passes: PassList) -> bool:
        """Measure on all functions and keep among the best; True if it is better than all."""
        value = fmean(self.saved(passes, self.bench.num))
        best = self.population[0][0] if self.population else -1.0
        equal = [number for number, (other, _) in enumerate(self.population) if abs(other - value) < 1e-9]
        if not equal:
            self.population.append((value, passes))
        elif len(passes) < len(self.population[equal[0]][1]):
            self.population[equal[0]] = (value, passes)
        self.population.sort(key=lambda entry: (-entry[0], len(entry[1])))
        del self.population[KEPT:]
        return value > best + 1e-9

    def promising(self, child: PassList, parent: PassList) -> bool:
        """Not behind the third best, stage by stage, and not merely its parent written longer."""
        rival = self.population[min(2, len(self.population) - 1)][1]
        for functions, patience in STAGES:
            functions = min(functions, self.bench.num)
            own = self.saved(child, functions)
            if own == self.saved(parent, functions) and len(child) >= len(parent):
                return False
            ahead = [one - other for one, other in zip(own, self.saved(rival, functions), strict=True)]
            if fmean(ahead) + patience * pstdev(ahead) / math.sqrt(functions) < 0:
                return False
            if sum(map(math.isinf, self.bench.bytes(child, functions))) > MOST_FAILED * functions:
                return False
        return True

    def breed(self) -> tuple[PassList, PassList]:
        """(child, the parent it is most like)."""
        rng = self.rng
        parent = self._pick()
        child, dice = parent, rng.random()
        if dice < 0.25:
            child = child.splice(self._pick(), rng)
        elif dice < 0.33:
            child = PassList((*child.items, *self._pick().items))
        elif dice < 0.45 and (other := self._pick().items):
            start, at = rng.randrange(len(other)), rng.randint(0, len(child.items))
            some = other[start : start + rng.randint(1, 4)]
            child = PassList((*child.items[:at], *some, *child.items[at:]))
        space = PassSpace(self.bench.major)
        for _ in range(rng.choice((1, 1, 1, 2, 2, 3) if dice >= 0.45 else (0, 0, 1, 1, 2))):
            child = child.mutate(rng, llvm_major=self.bench.major, space=space, max_length=LONGEST)
        return child, parent

    def _pick(self) -> PassList:
        return self.population[min(self.rng.sample(range(len(self.population)), min(3, len(self.population))))][1]

    def step(self) -> bool:
        """One child; True if it is better than all before."""
        child, parent = self.breed()
        if child in self.seen or not child.items or len(child) > LONGEST:
            return False
        self.seen.add(child)
        return self.promising(child, parent) and self.admit(child)


def load_functions(pool: WorkerPool, cache: Path, count: int) -> int:
    """Extract the first so many training functions of every second project, under the names 0, 1 ...; how many."""
    samples = list(training_functions(cache, 1))
    projects = sorted({sample.project for sample in samples})
    random.Random(11).shuffle(projects)
    number = 0
    for sample in samples:
        if number == count:
            break
        if sample.project not in projects[::2]:
            continue
        try:
            pool.add_module("whole", sample.bitcode.read_bytes(), name=sample.name)
            extract = Call(operation="extract", module="whole", arguments={"function": sample.function})
            data = pool.call(extract).unwrap(sample.name)
            if 5 <= pool.add_module(str(number), data, name=sample.name).num_instructions <= 1500:
                number += 1
        except IrwrightError as error:
            print(f"{sample.name} left out: {error}", file=sys.stderr)
    return number


def percent(logarithm: float) -> float:
    return 100 * (1 - math.exp(-logarithm))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--protocol", choices=sorted(PROTOCOLS), default="paper")
    parser.add_argument("--functions", type=int, default=300, metavar="N")
    parser.add_argument("--seconds", type=float, default=900.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--beside", nargs="*", default=[], metavar="LIST", help="lists that are tried anyway")
    parser.add_argument("--state", type=Path, required=True, metavar="FILE", help="the population; goes on from it")
    options = parser.parse_args()
    toolchain = find()
    started = time.monotonic()
    with WorkerPool(toolchain.library.path, jobs=1, timeout_seconds=4.0) as pool:
        num = load_functions(pool, default_cache(), options.functions)
        bench = Bench(pool=pool, protocol=protocol(options.protocol), num=num, major=toolchain.major)
        bench.oz = bench.bytes(PassList.parse("default<Oz>"), num)
        beside = [0.0] * num
        for text in options.beside:
            beside = [max(pair) for pair in zip(beside, bench.saved(PassList.parse(text), num), strict=True)]
        evolution = Evolution(bench=bench, beside=beside, rng=random.Random(options.seed))
        for passes in seeds(evolution, options.state, options.protocol):
            evolution.admit(passes)
        children = 0
        while time.monotonic() - started < options.seconds:
            children += 1
            if evolution.step():
                value, passes = evolution.population[0]
                print(f"{time.monotonic() - started:.0f} s, {children} children: {percent(value):.2f} %: {passes}")
                _write(options.state, evolution)
        _write(options.state, evolution)


def seeds(evolution: Evolution, state: Path, name: str) -> list[PassList]:
    """A population that was kept, else the best of the plans that are shipped, by the first functions."""
    if state.exists():
        return [PassList.parse(row["list"]) for row in json.loads(state.read_text())]
    knowledge = load_knowledge(name, evolution.bench.major)
    plans = knowledge.plans if knowledge is not None else ()
    lists = dict.fromkeys(plan.as_list() for plan in plans if plan is not None and not plan.inline)
    few = min(90, evolution.bench.num)
    return sorted(lists, key=lambda passes: -fmean(evolution.saved(passes, few)))[:FIRST]


def _write(path: Path, evolution: Evolution) -> None:
    rows = [{"list": str(passes), "saved %": round(percent(value), 3)} for value, passes in evolution.population]
    scratch = path.with_suffix(".tmp")
    scratch.write_text(json.dumps(rows, indent=1) + "\n")
    scratch.replace(path)


if __name__ == "__main__":
    main()
