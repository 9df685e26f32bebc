"""One object made smaller: from the command of a compile and its plain object to the object that replaces it.

The compiler makes unoptimised IR of the source under the command's own options, a search in a worker process ranks
plans by size, and the same compiler lowers the best of them under the command's own code generation options. What
replaces the plain object was made by that compiler, is smaller, and passed `verified_choice`.
"""

from __future__ import annotations

import json
import random
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from irwright.cc.arguments import Compile
from irwright.cc.compilers import Compiler
from irwright.coreset import load_coreset
from irwright.errors import InputError, IrwrightError, LLVMError, WorkerError
from irwright.evaluator import Evaluator
from irwright.llvm.builds import OK
from irwright.llvm.worker import WorkerPool
from irwright.measure import Sizes, measure_object, protocol
from irwright.passes import PassList
from irwright.plan import Plan
from irwright.repair import UNCHANGED, Refusal, Repaired, difference, first_that_passes, link_refusal
from irwright.search import search
from irwright.symbols import may_be_called, read_symbols
from irwright.task import Budget, Switches, Task
from irwright.trials import Trial

if TYPE_CHECKING:
    from irwright.verify.verdicts import ObjectVerdict

SMALL_BUDGET = 16
"""up to which a search goes through the table alone, whatever its length"""

MAX_BUILT = 4
"""Plans that are lowered before the plain object is kept"""

WORK_PER_SEED = 40
"""of comparing a function, a quarter of what `irwright tune` spends: a build should not wait"""

LEAST_GAIN = 0.001
"""of an object, that one more compilation of a small budget has to save"""

NEARLY = 1.005
"""times the bytes of the plain object: what is above that in process is not smaller when the compiler lowers it"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An object that could replace the plain one."""

    plan: Plan
    object: bytes
    sizes: Sizes
    verdict: ObjectVerdict | None = None
    """of comparing it with the plain object under emulation; None where that was not done"""

    @property
    def size(self) -> int:
        """Bytes of allocated sections except .bss."""
        return self.sizes.total


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """What became of one object."""

    plain_bytes: int
    """allocated sections except .bss"""
    best: Candidate | None
    """None: the plain object stands"""
    rejected: tuple[str, ...]
    """why better candidates were not taken, one line each"""
    num_compilations: int
    repaired: Repaired = UNCHANGED
    """functions that were given another body than the search chose"""

    @property
    def verdict(self) -> ObjectVerdict | None:
        return None if self.best is None else self.best.verdict

    @property
    def tuned_bytes(self) -> int:
        return self.plain_bytes if self.best is None else self.best.sizes.total


def tune_object(
    job: Compile,
    compiler: Compiler,
    plain: bytes,
    budget: Budget,
    *,
    timeout_seconds: float,
    verify_seeds: int,
    lists_only: bool = False,
    keep: Path | None = None,
) -> Tuned:
    """Search for a smaller object than `plain`; IrwrightError where the search itself is impossible.

    `timeout_seconds` is for one compilation; `verify_seeds` inputs are tried on each function of a result (0: none);
    `lists_only` leaves it to -Oz how code is generated; `keep` is a folder for what other compiles can use again.
    One worker process: the build system runs many of us.
    """
    baseline = measure_object(plain)
    major = int(compiler.version.partition(".")[0])
    with tempfile.TemporaryDirectory(prefix="irwright-cc-") as name:
        folder = Path(name)
        seed = _seed(job, compiler, folder, timeout_seconds)
        with WorkerPool(Path(compiler.library), jobs=1, timeout_seconds=timeout_seconds, fork=True) as pool:
            left = frozenset(name for known in baseline.functions for name in (known, "\1" + known))
            facts = pool.add_module("seed", seed, name=job.source, left_by_oz=left)
            evaluator = Evaluator(pool, "seed", facts, protocol("oz"), llvm_major=major)
            if not facts.functions:
                return Tuned(plain_bytes=baseline.total, best=None, rejected=(), num_compilations=0)
            oz = Plan(base=PassList.parse("default<Oz>", llvm_major=major))
            baseline_trial = Trial(plan=oz, outcome=OK, sizes=baseline)
            search(_task(evaluator, budget, baseline_trial, major, lists_only=lists_only), "compose")
            builder = evaluator
            if job.debug:
                pool.add_module("debug", seed, name=job.source, keep_debug=True, left_by_oz=left)
                builder = Evaluator(pool, "debug", facts, protocol("oz"), llvm_major=major)
            rejected: list[str] = []
            trials = islice(promising(evaluator, oz, baseline), MAX_BUILT)
            found = verified_choice(
                ((trial.plan, trial.cost(evaluator.protocol)) for trial in trials),
                lambda plan: _candidate(job, compiler, builder, plan, baseline, folder, rejected),
                plain,
                evaluator,
                rejected,
                may_call=may_be_called(job.words),
                seeds=verify_seeds,
                keep=keep,
            )
    return Tuned(
        plain_bytes=baseline.total,
        best=None if found is None else found[0],
        rejected=tuple(rejected),
        num_compilations=evaluator.num_compilations,
        repaired=UNCHANGED if found is None else found[1],
    )


def _task(evaluator: Evaluator, budget: Budget, baseline: Trial, llvm_major: int, *, lists_only: bool) -> Task:
    first = _table_needed(budget)
    return Task(
        evaluator=evaluator,
        budget=budget,
        rng=random.Random(0),
        coreset=load_coreset("oz", llvm_major, first=first),
        baseline=baseline,
        proposer="feedback",
        trusts_predictions=True,
        switches=Switches(lists=lists_only),
        least_gain=LEAST_GAIN if first is not None else 0.0,
    )


def _table_needed(budget: Budget) -> int | None:
    """How many plans of each part of the table a small budget can come to; all of it is read otherwise."""
    wanted = budget.compilations
    return wanted if wanted is not None and wanted <= SMALL_BUDGET else None


def verified_choice(
    plans: Iterable[tuple[Plan, float]],
    make: Callable[[Plan], Candidate | None],
    plain: bytes,
    evaluator: Evaluator,
    rejected: list[str],
    *,
    may_call: frozenset[str],
    seeds: int,
    keep: Path | None = None,
) -> tuple[Candidate, Repaired] | None:
    """The first candidate that may replace the plain object; reasons against the others go to `rejected`.

    Every check of a finished object belongs here. A candidate has to offer the linker what the plain object offers,
    ask nothing more of it than the functions in `may_call`, and do the same as the plain object under emulation.
    Functions that fail are given another body (repair.py).
    """
    offered = read_symbols(plain)
    compared: list[tuple[bytes, ObjectVerdict]] = []

    def check(candidate: Candidate) -> Candidate | Refusal:
        refusal, verdict = link_refusal(offered, candidate.object, may_call), None
        if refusal is None and seeds:
            before = compared[-1] if compared else None
            try:
                verdict = _compare(plain, candidate.object, evaluator, seeds, keep, before)
                refusal = None if verdict is None else difference(verdict)
            except WorkerError as error:
                refusal = Refusal(f"it could not be compared: {error}")
            if verdict is not None:
                compared.append((candidate.object, verdict))
        if refusal is None:
            return replace(candidate, verdict=verdict)
        rejected.append(f"{refusal.reason} ({json.dumps(candidate.plan.to_json())})")
        return refusal

    return first_that_passes(plans, make, check, evaluator)


def _compare(
    plain: bytes,
    candidate: bytes,
    evaluator: Evaluator,
    seeds: int,
    keep: Path | None,
    before: tuple[bytes, ObjectVerdict] | None,
) -> ObjectVerdict | None:
    """Functions of both objects run on the same inputs; None for a target or an object that can't be emulated.

    `keep` is a folder for what other compiles can use again; `before` another candidate and what was found of it.
    """
    # Only where there is something to compare: these take as long to import as all the rest.
    from irwright.judge import VERIFIED_TARGETS
    from irwright.verify.signatures import signatures_of
    from irwright.verify.verdicts import Limits
    from irwright.verify.verifier import Verifier

    if not evaluator.facts.triple.startswith(VERIFIED_TARGETS):
        return None
    try:
        text = evaluator.compile(Plan(), "ll").decode(errors="surrogateescape")
        with Verifier(jobs=1, fork=True, arena_folder=keep) as verifier:
            return verifier.compare(
                plain,
                candidate,
                reference=evaluator.reference,
                signatures=signatures_of(text),
                seeds=seeds,
                limits=Limits(work_per_seed=WORK_PER_SEED),
                before=before,
            )
    except InputError:  # an object that only the emulator can't read
        return None


def promising(evaluator: Evaluator, oz: Plan, baseline: Sizes) -> Iterator[Trial]:
    """Trials that may be smaller than the plain object when the compiler lowers them, best first, one of each cost.

    In process -Oz may be a little larger or smaller than the compiler's own. That is looked at where none of those
    smaller than the plain object is taken, and one is nearly as small.
    """
    given: set[float] = set()

    def below(limit: float) -> Iterator[Trial]:
        by_cost = {trial.cost(evaluator.protocol): trial for trial in reversed(evaluator.trials)}
        for cost in sorted(by_cost):
            if cost < limit and cost not in given:
                given.add(cost)
                yield by_cost[cost]

    yield from below(baseline.total)
    if (
        min((trial.cost(evaluator.protocol) for trial in evaluator.trials), default=float("inf"))
        < NEARLY * baseline.total
    ):
        in_process = evaluator.evaluate([oz], free=True)[0].cost(evaluator.protocol)
        yield from below(max(baseline.total, in_process if in_process < float("inf") else 0))


def _candidate(
    job: Compile,
    compiler: Compiler,
    builder: Evaluator,
    plan: Plan,
    baseline: Sizes,
    folder: Path,
    rejected: list[str],
) -> Candidate | None:
    """The object of a plan, None where it is not smaller than the plain one."""
    try:
        made = _lower(job, compiler, plan, builder.compile(plan, "bc"), folder, builder)
        sizes = measure_object(made)
    except IrwrightError as error:
        rejected.append(str(error))
        return None
    return Candidate(plan=plan, object=made, sizes=sizes) if sizes.total < baseline.total else None


def _seed(job: Compile, compiler: Compiler, folder: Path, timeout_seconds: float) -> bytes:
    """Unoptimised IR of the source, which carries minsize or optsize as the command's -O says."""
    output = folder / "seed.bc"
    words = [*job.preprocess, "-w", job.level, "-Xclang", "-disable-llvm-passes", "-emit-llvm", "-c", job.source]
    _run([compiler.command, *words, "-o", str(output)], "unoptimised IR", timeout_seconds)
    return output.read_bytes()


def _lower(job: Compile, compiler: Compiler, plan: Plan, bitcode: bytes, folder: Path, evaluator: Evaluator) -> bytes:
    module, output = folder / "module.bc", folder / "module.o"
    module.write_bytes(bitcode)
    options = [word for option in plan.codegen_options for word in ("-mllvm", option)]
    words = ["-Qunused-arguments", "-w", *job.keep, job.level, "-Xclang", "-disable-llvm-passes", *options]
    _run(
        [compiler.command, *words, "-c", "-x", "ir", str(module), "-o", str(output)],
        "lowering",
        evaluator.pool.timeout_seconds,
    )
    return output.read_bytes()


def _run(command: list[str], what: str, timeout_seconds: float) -> None:
    """Run the compiler for ourselves; LLVMError with the first line it complains in."""
    try:
        run = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout_seconds, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise LLVMError(f"{what} takes over {timeout_seconds:g} s") from error
    except OSError as error:
        raise LLVMError(f"{what}: {command[0]} does not run: {error.strerror}") from error
    if run.returncode != 0:
        lines = run.stderr.decode(errors="replace").splitlines()
        problem = next((line for line in lines if "error:" in line), f"exit code {run.returncode}")
        raise LLVMError(f"{what} fails: {problem}")
