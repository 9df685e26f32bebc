"""Verification in worker processes: the same verdicts, and nothing worse than an inconclusive one when they die."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest

from irwright.errors import InputError, WorkerError
from irwright.verify.differ import compare_objects
from irwright.verify.verdicts import Limits, ObjectVerdict, VerdictKind
from irwright.verify.verifier import Verifier
from verify_tools import Compile

MANY = "\n".join(f"int f{n}(int x, int *p) {{ if (x > {n}) return *p + x; return p[{n}] * x; }}" for n in range(14))


@pytest.mark.parametrize("jobs", [1, 2])
def test_same_verdicts_as_in_process(compile_c: Compile, jobs: int) -> None:
    original, candidate = compile_c(MANY, "-O0"), compile_c(MANY.replace("[5]", "[6]"), "-Oz")
    signatures = compile_c.signatures(MANY)
    here = compare_objects(original, candidate, signatures=signatures)
    with Verifier(jobs=jobs) as verifier:
        there = verifier.compare(original, candidate, signatures=signatures)
        again = verifier.compare(original, candidate, signatures=signatures, functions=["f5"])
    assert there == here
    assert [verdict.function for verdict in there.functions if verdict.kind is VerdictKind.DIFFERENT] == ["f5"]
    assert again.functions == tuple(verdict for verdict in here.functions if verdict.function == "f5")


def test_bad_input_leaves_the_worker(compile_c: Compile) -> None:
    good = compile_c(MANY, "-Oz")
    with Verifier() as verifier:
        with pytest.raises(InputError, match=r"^candidate: is no ELF object$"):
            verifier.compare(good, b"nothing")
        assert verifier.compare(good, good).different == 0
        assert verifier.num_replaced == 0


def test_a_reference_is_made_where_functions_differ(compile_c: Compile) -> None:
    original, candidate = compile_c(MANY, "-Oz"), compile_c(MANY.replace("[5]", "[6]"), "-Oz")
    signatures = compile_c.signatures(MANY)
    asked: list[bytes] = []

    def reference() -> bytes:
        asked.append(candidate)
        return candidate  # -O0 code that does not do what the original does either: undefined behaviour

    with Verifier() as verifier:
        same = verifier.compare(original, compile_c(MANY, "-O1"), reference=reference, signatures=signatures)
        assert same.equal == 14
        assert not asked
        verdict = verifier.compare(original, candidate, reference=reference, signatures=signatures)
    assert len(asked) == 1
    assert (verdict.equal, verdict.different) == (14, 0)  # equal in runs that don't come there
    assert verdict.functions[5].reason == "undefined behaviour: -O0 and the original differ"
    assert verdict.block_coverage == 1


def test_a_forked_worker_gives_the_same(compile_c: Compile) -> None:
    original, candidate = compile_c(MANY, "-O0"), compile_c(MANY.replace("[5]", "[6]"), "-Oz")
    code = (
        "import pickle, sys\nfrom irwright.verify.verifier import Verifier\n"
        "with Verifier(fork=True) as verifier:\n"
        "    verdict = verifier.compare(*pickle.load(sys.stdin.buffer))\n"
        "assert 'unicorn' not in sys.modules\n"
        "sys.stdout.buffer.write(pickle.dumps(verdict))\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], input=pickle.dumps((original, candidate)), stdout=subprocess.PIPE, check=True
    )
    with Verifier() as verifier:
        assert pickle.loads(run.stdout) == verifier.compare(original, candidate)


def test_a_killed_worker_costs_one_verdict(compile_c: Compile) -> None:
    endless = "int f(int n) { volatile int i = n; while (1) i++; return i; }\nint g(int n) { return n + 1; }"
    data = compile_c(endless, "-Oz")
    limits = Limits(steps=1 << 40)
    with Verifier() as verifier:
        verifier.compare(data, data, functions=["g"])
        (worker,) = verifier._idle  # type: ignore[attr-defined]

        def kill() -> None:
            time.sleep(0.5)
            os.kill(worker.process.pid, signal.SIGSEGV)

        killer = threading.Thread(target=kill)
        killer.start()
        verdict = verifier.compare(data, data, limits=limits, run_same=True)
        killer.join()
        assert verifier.num_replaced == 1
    first, second = verdict.functions
    assert (first.kind, first.reason) == (
        VerdictKind.INCONCLUSIVE,
        "the emulator crashed (signal SIGSEGV)",
    )
    assert second.kind is VerdictKind.EQUAL


def test_a_closed_verifier(compile_c: Compile) -> None:
    verifier = Verifier()
    verifier.close()
    with pytest.raises(WorkerError, match=r"^this verifier is closed$"):
        verifier.compare(b"", b"")


def test_what_is_the_same_in_the_candidate_before_does_not_run_again(compile_c: Compile) -> None:
    original = compile_c(MANY, "-O0")
    wrong = compile_c(MANY.replace("[5]", "[6]"), "-Oz")
    signatures = compile_c.signatures(MANY)
    with Verifier() as verifier:
        first = verifier.compare(original, wrong, signatures=signatures)
        right = compile_c(MANY, "-Oz")
        # Verdicts that no run gives: those that are the same come back as they were.
        known = ObjectVerdict(functions=tuple(replace(one, reason="known") for one in first.functions))
        again = verifier.compare(original, right, signatures=signatures, before=(wrong, known))
    assert [one.function for one in again.functions if one.reason != "known"] == ["f5"]
    assert again.different == 0 and again.equal == 14
    assert again.block_coverage == 1
