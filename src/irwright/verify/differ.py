"""Compare two versions of an object, function by function, on inputs made from seeds.

`compare_objects` runs each function of both versions on the same inputs and says of each: equal (in how many runs),
different (with the seed and the first difference), or inconclusive (why). A difference counts only where the program
is defined: where -O0 code is given, it must do on that input what the original does; and the original (and -O0) must do
the same again when everything is changed that no correct program depends on: addresses of its data, what is on the
unwritten stack and heap, what callees leave in registers.

This runs in the caller's process. Emulators may crash: verifier.py does the same in processes of its own.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import replace

from irwright.errors import InputError
from irwright.verify.blocks import Blocks, find_blocks
from irwright.verify.doubts import Doubts
from irwright.verify.elf import read_elf
from irwright.verify.emulate import LOOKED, Emulator, Ending, Run
from irwright.verify.explore import Attempt, Explorer
from irwright.verify.image import Externals, Image, Named
from irwright.verify.inputs import Inputs, describe_arguments
from irwright.verify.observe import Finding, Match, compare_at_call, compare_beginnings, compare_runs
from irwright.verify.same_code import same_functions, unchanged_functions
from irwright.verify.signatures import Signature
from irwright.verify.tracing import Tracer
from irwright.verify.verdicts import (
    FunctionVerdict,
    Limits,
    ObjectVerdict,
    Unchanged,
    VerdictKind,
    same_code_verdict,
)
from irwright.verify.versions import CANDIDATE, FORGETFUL, ORIGINAL, TRACER, UNOPTIMISED, Versions, run_again

MAX_CALLEES = 4
"""static functions whose comparisons are traced with those of their caller"""
MAX_LOOKED = 6
"""runs with an end of one function of which memory is compared at a call as well"""
UNCHANGED_SHARE = 1 / 4
"""of the work, for a function whose own code is what it was: its callees changed, and are compared with all callers"""
CLOCK = 8
"""runs after which the clock is read again"""
MAX_BEGUN = 6
"""runs of a function without an end whose beginnings are compared: they take long"""


def compare_objects(
    original: bytes,
    candidate: bytes,
    *,
    reference: bytes | None = None,
    signatures: Mapping[str, Signature] | None = None,
    seeds: int = 8,
    limits: Limits | None = None,
    functions: Collection[str] | None = None,
    names: tuple[str, str, str] = ("original", "candidate", "reference"),
    run_same: bool = False,
) -> ObjectVerdict:
    """Verdicts on the functions that both objects have, or on those named; InputError for what is no object.

    `reference` is the same program without optimisation; `signatures` are those of the unoptimised IR; `names`
    are how errors call the objects. Functions of the same machine code are equal without a run, unless `run_same`.
    """
    comparer = Comparer(
        original,
        candidate,
        reference=reference,
        signatures=signatures,
        seeds=seeds,
        limits=limits,
        functions=functions,
        names=names,
        run_same=run_same,
    )
    return ObjectVerdict(functions=comparer.run())


class Comparer:
    """Two or three objects, loaded; verdicts by function."""

    def __init__(
        self,
        original: bytes,
        candidate: bytes,
        *,
        reference: bytes | None = None,
        signatures: Mapping[str, Signature] | None = None,
        seeds: int = 8,
        limits: Limits | None = None,
        functions: Collection[str] | None = None,
        names: tuple[str, str, str] = ("original", "candidate", "reference"),
        run_same: bool = False,
        before: bytes | None = None,
        static_too: bool = False,
    ) -> None:
        """As `compare_objects`; `before` is another candidate, with which `known` compares.

        `static_too`: each version was made function by function, so that static ones count as others do.
        """
        given = [data for data in (original, candidate, reference) if data is not None]
        self.objects = [read_elf(data, name) for data, name in zip(given, names, strict=False)]
        for one in self.objects:
            if one.machine != self.objects[0].machine:
                raise InputError(one.name, f"is for another machine than {names[0]}")
        self.signatures = signatures or {}
        self.seeds = seeds
        self.static_too = static_too
        self.limits = limits or Limits()
        others = [] if before is None else [read_elf(before, names[1])]
        self.externals = Externals([*self.objects, *others])
        self._versions = Versions(self.objects, self.externals, self.signatures, self.limits)
        self._doubts = Doubts(self._versions)
        self._original, self._candidate = self._versions.emulator(ORIGINAL), self._versions.emulator(CANDIDATE)
        self._name_kept()
        self._traces: Tracer | None = None
        self._blocks: dict[str, Blocks] = {}
        self._executed: dict[int, int] = {}
        """as Emulator.executed, of all functions so far"""
        self._num_begun = 0
        """runs of this function without an end whose beginnings were compared"""
        self._num_looked = 0
        """runs with one in which memory was compared at a call"""
        self.inputs_used: list[Inputs] = []
        """on which the last function was compared"""
        self.names = self._choose(functions)
        self._callable = self._find_callable()
        images = self._original.image, self._candidate.image
        self._same = frozenset[str]() if run_same else same_functions(*images)
        self.unchanged = Unchanged() if run_same else self._find_unchanged(*images)
        self.known = frozenset[str]()
        """functions that are the same in the candidate before"""
        for other in others:
            changed = Image(other, self.externals), self._candidate.image
            self.known = same_functions(*changed, follow_data=False)

    def _name_kept(self) -> None:
        """Variables that have names in the original, and are places in a section that lifting kept whole."""
        ours, theirs = self._original, self._candidate
        for name, (named, _) in ours.memory.globals.items():
            section, offset = ours.image.section_place(named.address) or ("", 0)
            kept = theirs.image.kept_sections.get(section)
            if name in theirs.memory.globals or kept is None:
                continue
            other = replace(named, address=kept.start + offset)
            theirs.memory.globals[name] = (other, theirs.memory.read(other.address, other.size))

    def _find_unchanged(self, original: Image, candidate: Image) -> Unchanged:
        found = unchanged_functions(original, candidate)
        both = [name for name in original.functions if name in candidate.functions and name not in found]
        static = {name for name in both if self._is_static(original.functions[name], candidate.functions[name])}
        return Unchanged(leads_to=found, static=frozenset(static))

    def _tracer(self) -> Tracer:
        if self._traces is None:
            self._traces = Tracer(self._versions.emulator(ORIGINAL, TRACER))
        return self._traces

    def _choose(self, wanted: Collection[str] | None) -> list[str]:
        ours, theirs = self._original.image.functions, self._candidate.image.functions
        both = [name for name in ours if name in theirs]
        if wanted is None:
            return [name for name in both if not self._is_private(ours[name])]
        missing = [name for name in wanted if name not in both]
        if missing:
            raise InputError(self.objects[1].name, f"has no function {missing[0]!r} in common with the original")
        return [name for name in both if name in set(wanted)]

    def _find_callable(self) -> list[str]:
        """Functions that a program may call at any time, where there is static data that they may change."""
        images = [self._versions.emulator(which).image for which in range(len(self.objects))]
        if not any(named.is_local for named in images[0].writable_names()):
            return []
        return [
            name
            for name, function in images[0].functions.items()
            if name != "main"
            and all(name in image.functions and not image.functions[name].is_local for image in images)
            and images[0].problem_of(function) is None
            and name in self.signatures
        ]

    def _is_private(self, function: Named) -> bool:
        """The compiler's own: code that outliners cut out has no convention, and numbers for names."""
        if self.signatures:
            return function.is_local and function.name not in self.signatures
        return function.name.startswith(("OUTLINED_FUNCTION_", "outlined_ir_func_"))

    def _is_static(self, ours: Named, theirs: Named) -> bool:
        """What differs may be what all callers in the object have in common."""
        return (ours.is_local or theirs.is_local) and not self.static_too

    def run(self) -> tuple[FunctionVerdict, ...]:
        """All verdicts, in the order of the original's symbols, with the coverage of all runs together."""
        verdicts: dict[str, FunctionVerdict] = {}
        for name in sorted(self.names, key=self.unchanged.leads_to.__contains__):
            verdicts[name] = self.unchanged.verdict(name, verdicts) or self.compare(name)
        covered = self.covered()
        return tuple(replace(verdicts[name], blocks_covered=covered.get(name, 0).bit_count()) for name in self.names)

    def covered(self) -> dict[str, int]:
        """Bits of the blocks that ran so far, by function."""
        return {name: self._blocks_of(name).covered(self._executed) for name in self.names if name not in self._same}

    def _blocks_of(self, name: str) -> Blocks:
        if name not in self._blocks:
            function = self._original.image.functions[name]
            segment = self._original.image.segment_at(function.address)
            assert segment is not None
            start = function.address - segment.address
            code = bytes(segment.data[start : start + function.size])
            self._blocks[name] = find_blocks(code, function.address, self._original.image.elf.machine)
        return self._blocks[name]

    def _static_callees(self, name: str) -> list[Blocks]:
        """Blocks of static functions that a function calls, and that they call: they are run by it alone."""
        image = self._original.image
        found: dict[str, Blocks] = {}
        rest = [name]
        while rest and len(found) < MAX_CALLEES:
            for address in self._blocks_of(rest.pop(0)).calls:
                for named in image.named_at(address):
                    is_new = named.address == address and named.is_function and named.is_local
                    if is_new and named.name not in found and named.name != name:
                        found[named.name] = self._blocks_of(named.name)
                        rest.append(named.name)
        return list(found.values())

    def _explorer(self, name: str, ours: Named, signature: Signature | None) -> Explorer:
        share = UNCHANGED_SHARE if name in self.unchanged.leads_to else 1
        return Explorer(
            self._original,
            self._tracer,
            ours,
            self._blocks_of(name),
            signature,
            seeds=self.seeds,
            budget=self.limits.work_per_seed * self.seeds * share,
            callees=self._static_callees(name),
            others=self._callable,
            signatures=self.signatures,
        )

    # ------------------------------------------------------------- one function

    def compare(self, name: str) -> FunctionVerdict:
        """The verdict on one function."""
        if name in self._same:
            return same_code_verdict(name)
        ours, theirs = self._original.image.functions[name], self._candidate.image.functions[name]
        problem = self._original.image.problem_of(ours) or self._candidate.image.problem_of(theirs)
        if problem is not None:
            return self._verdict(name, VerdictKind.INCONCLUSIVE, problem)
        # Of static functions nothing is proved but that they can be run: their callers are compared.
        is_static = self._is_static(ours, theirs)
        signature = self.signatures.get(name)
        reasons: Counter[str] = Counter()
        num_runs = num_conclusive = 0
        deadline = time.thread_time() + self.limits.function_seconds
        explorer = self._explorer(name, ours, signature)
        self.inputs_used.clear()
        self._num_begun = self._num_looked = 0
        self._doubts.restart()
        for attempt in explorer.attempts():
            if num_runs % CLOCK == CLOCK - 1 and time.thread_time() > deadline:
                reasons[f"over {self.limits.function_seconds:g} s"] += 1
                break
            spent = (explorer.work + self._doubts.work) / explorer.budget
            if num_runs >= self.seeds and (spent >= 1 or (is_static and (explorer.is_covered or spent >= 1 / 3))):
                break
            num_runs += 1
            inputs = attempt.inputs
            self.inputs_used.append(inputs)
            finding = self._compare_on(ours, theirs, attempt, signature)
            if finding is None:
                num_conclusive += 1
                self._doubts.note_equal(attempt)
                continue
            is_doubtful = finding.match is Match.DIFFERENT and not finding.is_certain
            if is_doubtful and self._doubts.is_left_over(ours, theirs, attempt, signature):
                finding = Finding(Match.UNKNOWN, "what an earlier call left on the stack is read")
            if finding.match is Match.UNKNOWN:
                reasons[finding.text] += 1
                continue
            shown = describe_arguments(inputs, self._original.machine, signature)
            seed = inputs.number
            reason = f"seed {seed} ({shown}): {finding.text}" if shown else f"seed {seed}: {finding.text}"
            return self._verdict(name, VerdictKind.DIFFERENT, reason, seed, num_runs, num_conclusive)
        reason = reasons.most_common(1)[0][0] if reasons else ""
        kind = VerdictKind.EQUAL if num_conclusive else VerdictKind.INCONCLUSIVE
        return self._verdict(name, kind, reason, None, num_runs, num_conclusive)

    def run_candidate(self, name: str, inputs: Inputs) -> Run:
        """What the candidate does, whatever the original does."""
        return self._candidate.run(self._candidate.image.functions[name], inputs)

    def _verdict(
        self,
        name: str,
        kind: VerdictKind,
        reason: str,
        seed: int | None = None,
        num_runs: int = 0,
        num_conclusive: int = 0,
    ) -> FunctionVerdict:
        blocks = self._blocks_of(name)
        for address, size in self._original.executed.items():
            self._executed[address] = max(size, self._executed.get(address, 0))
        return FunctionVerdict(
            function=name,
            kind=kind,
            reason=reason,
            seed=seed,
            num_runs=num_runs,
            num_conclusive=num_conclusive,
            blocks=len(blocks.starts),
            blocks_covered=blocks.covered(self._original.executed).bit_count(),
        )

    def _compare_on(self, ours: Named, theirs: Named, attempt: Attempt, signature: Signature | None) -> Finding | None:
        """None: the same; else DIFFERENT, or UNKNOWN with the reason why this input tells nothing."""
        first, inputs = attempt.run, attempt.inputs
        if not first.is_complete:
            return self._compare_beginnings(ours, theirs, attempt)
        second = self._candidate.run(theirs, inputs, patience=attempt.patience, calls=2 * attempt.calls)
        if second.ending is Ending.LIMIT and self.limits.patience > 1:
            patience = attempt.patience * self.limits.patience
            second = self._candidate.run(theirs, inputs, patience=patience, calls=2 * attempt.calls)
        finding = compare_runs((self._original, first), (self._candidate, second), signature)
        if finding is None and attempt.is_new and first.num_looks and self._num_looked < MAX_LOOKED:
            self._num_looked += 1
            if not self._is_static(ours, theirs):
                return self._compare_at_call(ours, theirs, attempt, self._num_looked % first.num_looks + 1)
        if finding is None or finding.match is Match.UNKNOWN:
            return finding
        if self._is_static(ours, theirs):
            return Finding(Match.UNKNOWN, "a static function: its callers may know more of its arguments")
        doubt = self._doubts.reason(ours, attempt, signature)
        return finding if doubt is None else Finding(Match.UNKNOWN, doubt)

    def _compare_beginnings(self, ours: Named, theirs: Named, attempt: Attempt) -> Finding:
        """What was seen before a run was broken off, or ended badly, may differ; it is never known to be the same."""
        first = attempt.run
        unknown = Finding(Match.UNKNOWN, _why(first))
        if self._is_static(ours, theirs):
            return unknown
        if first.ending not in (Ending.LIMIT, Ending.FAULT) or not first.events or self._num_begun >= MAX_BEGUN:
            return unknown
        self._num_begun += 1
        others = [self._candidate]
        if self._versions.has_unoptimised:
            others += [self._versions.emulator(UNOPTIMISED, fill) for fill in (0, 3)]
        others.append(self._versions.emulator(ORIGINAL, 3))
        versions = [(one, one.image.functions[ours.name]) for one in others if ours.name in one.image.functions]
        found = unknown
        for number, (emulator, function) in enumerate(versions):
            run = run_again(emulator, function, attempt)
            finding = compare_beginnings((self._original, first), (emulator, run))
            if number == 0:
                if finding is None:
                    return self._compare_at_call(ours, theirs, attempt, first.num_looks) or unknown
                if finding.match is Match.UNKNOWN:
                    return unknown
                found = finding
            elif finding is not None or (run.ending is Ending.FAULT and len(run.events) < len(first.events)):
                return unknown  # the same program does something else, or fails before the original does
        return found

    def _compare_at_call(self, ours: Named, theirs: Named, attempt: Attempt, looks: int) -> Finding | None:
        """What a callee might have read, the first, second... of which nothing is known, where that differs."""
        signature = self.signatures.get(ours.name)
        if not looks or signature is None or any(one.is_result_address for one in signature.parameters):
            return None

        def run(emulator: Emulator, function: Named) -> tuple[Emulator, Run] | None:
            found = emulator.run(function, attempt.inputs, calls=attempt.calls, looks=looks)
            return (emulator, found) if found.detail == LOOKED else None

        first, second = run(self._original, ours), run(self._candidate, theirs)
        finding = compare_at_call(first, second) if first and second else None
        if finding is None or finding.match is Match.UNKNOWN:
            return None
        others = [self._versions.emulator(ORIGINAL, fill) for fill in (3, 5, FORGETFUL)]
        others += (
            [self._versions.emulator(UNOPTIMISED, fill) for fill in (0, 3)] if self._versions.has_unoptimised else []
        )
        for emulator in others:
            function = emulator.image.functions.get(ours.name)
            other = run(emulator, function) if function is not None else None
            if first is None or other is None or compare_at_call(first, other, refilled=True) is not None:
                return None
        return replace(finding, text=f"at call {looks}: {finding.text}", is_certain=True)


def _why(run: Run) -> str:
    if run.ending is Ending.LIMIT:
        return run.detail
    return f"the original ends in {run.ending}: {run.detail}"
