"""Reasons to doubt that a difference is one: the program is not defined on the inputs that show it."""

from __future__ import annotations

from irwright.verify.copies import CopyWatch
from irwright.verify.emulate import Emulator, Run
from irwright.verify.explore import Attempt, work_of
from irwright.verify.image import IMAGE_BASE, Named
from irwright.verify.observe import Finding, Match, compare_beginnings, compare_runs
from irwright.verify.punning import TypeWatch
from irwright.verify.signatures import Signature
from irwright.verify.versions import CANDIDATE, FORGETFUL, ORIGINAL, UNOPTIMISED, WATCHED, Versions, run_again

MAX_USUAL = 3
"""runs that show what a function does with its types"""
BEYOND = 1 << 36
"""below is nothing but the object, and where an index of 32 bits may lead from there"""


class Doubts:
    """Asks of one function after the other, on one input after the other."""

    def __init__(self, versions: Versions) -> None:
        self._versions = versions
        self._copies: CopyWatch | None = None
        self._types: TypeWatch | None = None
        self._equal: list[Attempt] = []
        """the first of this function's runs in which nothing differed"""
        self._punned: list[Attempt] = []
        """the first in which a place was used as two types"""
        self.work = 0.0
        """what runs for this function cost, as Explorer.work counts"""

    def restart(self) -> None:
        """Another function comes."""
        self._equal.clear()
        self._punned.clear()
        self.work = 0.0

    def note_equal(self, attempt: Attempt) -> None:
        """Nothing differed in this run."""
        if len(self._equal) < MAX_USUAL:
            self._equal.append(attempt)

    def is_left_over(self, ours: Named, theirs: Named, attempt: Attempt, signature: Signature | None) -> bool:
        """A variable that nothing wrote holds what an earlier call left on the stack, and each version has its own:
        nothing differs where functions forget what was there before them, or the original then does another thing.

        Of the unoptimised code too, since optimised code may make room on the stack by pushing any register.
        """
        patience = attempt.patience * self._versions.limits.patience
        candidate = self._versions.emulator(CANDIDATE)
        second = candidate.run(theirs, attempt.inputs, patience=patience, calls=2 * attempt.calls)
        self.work += work_of(second)
        for which in (ORIGINAL, UNOPTIMISED) if self._versions.has_unoptimised else (ORIGINAL,):
            remembers, forgets = self._versions.emulator(which), self._versions.emulator(which, FORGETFUL)
            function = forgets.image.functions.get(ours.name)
            if function is None:
                continue
            first = self._run(forgets, function, attempt)
            own = self._run(remembers, function, attempt)
            if _find((forgets, first), (remembers, own), signature) is not None:
                return True
            if not own.is_complete and len(first.events) < len(attempt.run.events):
                continue  # it did not come to where the others differ
            finding = _find((forgets, first), (candidate, second), signature)
            if finding is None or (which == ORIGINAL and finding.match is Match.UNKNOWN):
                return True
        return False

    def _run(self, emulator: Emulator, function: Named, attempt: Attempt) -> Run:
        run = run_again(emulator, function, attempt)
        self.work += work_of(run)
        return run

    def _is_punned(self, ours: Named, attempt: Attempt) -> bool:
        """Unoptimised code stores one type and reads another at one place, by instructions that do not always do so."""
        emulator = self._versions.emulator(UNOPTIMISED, WATCHED)
        self._types = watch = self._types or TypeWatch(emulator)

        def watched(one: Attempt) -> tuple[set[tuple[int, int]], set[int]]:
            watch.restart()
            run = emulator.run(emulator.image.functions[ours.name], one.inputs, calls=one.calls)
            self.work += work_of(run)
            return set(watch.pairs), set(watch.seen)

        pairs, _ = watched(attempt)
        others = [watched(one) for one in (*self._equal, *self._punned)] if pairs else []
        if pairs and len(self._punned) < MAX_USUAL:
            self._punned.append(attempt)
        usual = {
            pair
            for pair in pairs
            if any(pair in found for found, _ in others)
            and all(pair in found or not seen.issuperset(pair) for found, seen in others)
        }
        return pairs != usual

    def reason(self, ours: Named, attempt: Attempt, signature: Signature | None) -> str | None:
        """Why the program is not defined on this input, if so. The original's memory is still that of the attempt."""
        original, first = self._versions.emulator(ORIGINAL), attempt.run
        if self._versions.has_unoptimised:
            unoptimised = self._versions.emulator(UNOPTIMISED)
            function = unoptimised.image.functions.get(ours.name)
            if function is not None:
                run = self._run(unoptimised, function, attempt)
                if not run.is_complete:
                    return f"undefined behaviour: -O0 code ends in {run.ending} ({run.detail})"
                if compare_runs((original, first), (unoptimised, run), signature) is not None:
                    return "undefined behaviour: -O0 and the original differ"
                if self._is_punned(ours, attempt):
                    return "undefined behaviour: a place in memory is used as two types"
                moved = self._versions.emulator(UNOPTIMISED, 3)
                again = self._run(moved, moved.image.functions[ours.name], attempt)
                if compare_runs((unoptimised, run), (moved, again), signature, refilled=True) is not None:
                    return "undefined behaviour: -O0 code depends on addresses or unwritten memory"
        for fill in (3, 5):  # in two ways: a result of few bits is the same in one of them by chance
            moved = self._versions.emulator(ORIGINAL, fill)
            moved.memory.forget_pages()
            again = self._run(moved, moved.image.functions[ours.name], attempt)
            if compare_runs((original, first), (moved, again), signature, refilled=True) is not None:
                return "depends on addresses or unwritten memory"
            # A place by its number, from memory or a callee, is where it was; an index from a variable moved with it.
            beyond = moved.memory.pages.keys() - original.memory.pages.keys()
            if any(at < IMAGE_BASE or self._versions.externals.end <= at < BEYOND for at in beyond):
                return "an index leads far past a variable"
        return "areas of a copy overlap" if self._copies_overlap(ours, attempt) else None

    def _copies_overlap(self, ours: Named, attempt: Attempt) -> bool:
        """Asked last, of an emulator that is asked nothing else: each unit of a copy is a call of its watch."""
        emulator = self._versions.emulator(ORIGINAL, WATCHED)
        self._copies = watch = self._copies or CopyWatch(emulator)
        watch.overlapped = False
        if watch.has_copies:
            self._run(emulator, ours, attempt)
        return watch.overlapped


def _find(first: tuple[Emulator, Run], second: tuple[Emulator, Run], signature: Signature | None) -> Finding | None:
    """Where two runs differ, or their beginnings where the first has no end."""
    if first[1].is_complete:
        return compare_runs(first, second, signature)
    return compare_beginnings(first, second)
