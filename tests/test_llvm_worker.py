"""What LLVM does to a worker, and that nothing else is lost."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conftest import LLVM, Seeds
from irwright.errors import IRError, LLVMError, ToolchainError, WorkerError
from irwright.llvm.builds import Build, Measured, Outcome, OutcomeKind, Passes, Step
from irwright.llvm.toolchain import Toolchain
from irwright.llvm.worker import Call, Reply, WorkerPool, default_jobs

SMALL = ("function(sroa)", "globaldce", "function(sroa,instcombine<no-verify-fixpoint>)", "function(simplifycfg)")


def evaluate(module: str, *pipelines: str) -> Call:
    steps: tuple[Step, ...] = tuple(Passes(pipeline) for pipeline in pipelines)
    return Call(operation="evaluate", module=module, arguments={"build": Build(steps=steps)})


def doubling(levels: int) -> bytes:
    """IR whose `always-inline` makes 2**levels instructions: endless for a clock, too much for any memory."""
    parts = ['target triple = "x86_64-unknown-linux-gnu"', "@x = global i32 0"]
    parts.append("define void @f0() alwaysinline {\n  store volatile i32 1, ptr @x\n  ret void\n}")
    for level in range(1, levels + 1):
        call = f"  call void @f{level - 1}()\n"
        parts.append(f"define void @f{level}() alwaysinline {{\n{call}{call}  ret void\n}}")
    return "\n".join([*parts, ""]).encode()


@pytest.fixture
def fresh(tools: Toolchain, seeds: Seeds) -> Iterator[WorkerPool]:
    """A pool of its own, with the module `machine`."""
    with WorkerPool(tools.library.path, jobs=2, timeout_seconds=60) as opened:
        opened.add_module("machine", seeds.bitcode("machine"), name="machine.c")
        yield opened


def test_replies_keep_the_order_of_the_calls(fresh: WorkerPool) -> None:
    pipelines = [SMALL[index % len(SMALL)] for index in range(20)]
    alone = {pipeline: fresh.call(evaluate("machine", pipeline)).value.state for pipeline in SMALL}
    replies = fresh.map([evaluate("machine", pipeline) for pipeline in pipelines])
    assert [reply.value.state for reply in replies] == [alone[pipeline] for pipeline in pipelines]
    assert fresh.num_replaced == 0


def test_stream_yields_every_index_once(fresh: WorkerPool) -> None:
    indices = [index for index, _ in fresh.stream([evaluate("machine", SMALL[0])] * 9)]
    assert sorted(indices) == list(range(9))


def test_abort_is_an_outcome_and_nothing_else_is_lost(llvm: LLVM) -> None:
    with llvm.pool(jobs=2, timeout_seconds=60) as pool:
        pool.add_module("machine", llvm.seeds.bitcode("machine"), name="machine.c")
        good = pool.call(evaluate("machine", SMALL[0]))
        abort = "trigger-crash-module" if llvm.major >= 19 else "trigger-crash"
        pipelines = [SMALL[0], abort, SMALL[0], SMALL[1], abort, SMALL[0]]
        replies = pool.map([evaluate("machine", pipeline) for pipeline in pipelines])
        kinds = [reply.outcome.kind for reply in replies]
        ok, crash = OutcomeKind.OK, OutcomeKind.CRASH
        assert kinds == [ok, crash, ok, ok, crash, ok]
        assert replies[1].outcome.detail.startswith("signal SIG")
        assert replies[0].value.info == good.value.info == replies[5].value.info
        assert pool.num_replaced == 2


def test_fatal_error_of_llvm_is_quoted(fresh: WorkerPool) -> None:
    reply = fresh.call(evaluate("machine", "trigger-verifier-error,verify"))
    assert reply.outcome.kind is OutcomeKind.CRASH
    assert reply.outcome.detail.startswith("signal SIGABRT: LLVM ERROR: Broken module found")


def test_endless_list_is_ended_at_the_limit(llvm: LLVM) -> None:
    with llvm.pool(timeout_seconds=60) as pool:
        pool.add_module("endless", doubling(60), name="endless.ll")
        started = time.monotonic()
        reply = pool.call(evaluate("endless", "always-inline"), timeout_seconds=0.3)
        assert reply.outcome == Outcome(kind=OutcomeKind.TIMEOUT, detail="no end within 0.3 s")
        assert reply.seconds > 0.29 and time.monotonic() - started < 20
        assert pool.num_replaced == 1
        assert pool.call(evaluate("endless")).outcome.ok


def test_endless_call_does_not_hold_up_the_others(fresh: WorkerPool) -> None:
    fresh.add_module("endless", doubling(60), name="endless.ll")
    calls = [evaluate("endless", "always-inline"), *[evaluate("machine", SMALL[0])] * 5]
    replies = fresh.map(calls, timeout_seconds=2.0)
    assert [reply.outcome.kind for reply in replies] == [OutcomeKind.TIMEOUT, *[OutcomeKind.OK] * 5]


def test_list_that_eats_memory_is_an_outcome(llvm: LLVM) -> None:
    with llvm.pool(timeout_seconds=120, memory_bytes=500 << 20) as pool:
        pool.add_module("glutton", doubling(60), name="glutton.ll")
        reply = pool.call(evaluate("glutton", "always-inline"))
        # Older LLVMs now and then use what an allocation did not give, and die of that.
        expected = {OutcomeKind.MEMORY} if llvm.major >= 22 else {OutcomeKind.MEMORY, OutcomeKind.CRASH}
        assert reply.outcome.kind in expected, reply.outcome
        assert pool.num_replaced == 1
        assert pool.call(evaluate("glutton")).outcome.ok


def test_object_larger_than_memory_is_an_outcome(tools: Toolchain) -> None:
    text = (
        b'target triple = "x86_64-unknown-linux-gnu"\n@g = global [900000000 x i8] zeroinitializer, section ".data"\n'
    )
    with WorkerPool(tools.library.path, timeout_seconds=60, memory_bytes=600 << 20) as pool:
        pool.add_module("huge", text, name="huge.ll")
        assert pool.call(evaluate("huge")).outcome.kind is OutcomeKind.MEMORY


def test_worker_killed_under_way_costs_its_call_alone(fresh: WorkerPool) -> None:
    fresh.add_module("endless", doubling(60), name="endless.ll")
    replies: dict[int, Reply] = {}
    # The endless call has one worker, the others follow each other on the second.
    for index, reply in fresh.stream([evaluate("endless", "always-inline"), *[evaluate("machine", SMALL[0])] * 3]):
        replies[index] = reply
        if index == 2:
            kill_busy_child(fresh)
    assert [replies[index].outcome.ok for index in range(4)] == [False, True, True, True]
    assert replies[0].outcome == Outcome(kind=OutcomeKind.CRASH, detail="signal SIGKILL")
    assert fresh.num_replaced == 1


def kill_busy_child(pool: WorkerPool) -> None:
    idle = {worker.process.pid for worker in pool._idle}  # pyright: ignore[reportPrivateUsage]
    for child in children_of(os.getpid()):
        words = Path(f"/proc/{child}/cmdline").read_bytes()
        if b"irwright.llvm.compiler" in words and child not in idle:
            seconds = sum(map(int, Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[11:13]))
            if seconds:
                os.kill(child, signal.SIGKILL)


def children_of(parent: int) -> list[int]:
    return [
        int(word) for task in Path(f"/proc/{parent}/task").iterdir() for word in (task / "children").read_text().split()
    ]


def test_worker_killed_while_idle_is_replaced_unnoticed(fresh: WorkerPool) -> None:
    (worker,) = fresh._idle  # pyright: ignore[reportPrivateUsage]
    os.kill(worker.process.pid, signal.SIGKILL)
    worker.process.wait()
    assert fresh.call(evaluate("machine", SMALL[0])).outcome.ok
    assert fresh.num_replaced == 1


def test_dropping_a_module_of_a_killed_worker_is_harmless(fresh: WorkerPool) -> None:
    (worker,) = fresh._idle  # pyright: ignore[reportPrivateUsage]
    os.kill(worker.process.pid, signal.SIGKILL)
    worker.process.wait()
    fresh.drop_module("machine")
    assert fresh.num_replaced == 1
    assert fresh.call(Call(operation="ping")).outcome.ok


def test_workers_die_with_their_parent(tools: Toolchain) -> None:
    script = (
        "import sys\nfrom pathlib import Path\nfrom test_llvm_worker import *\n"
        "pool = WorkerPool(Path(sys.argv[1]))\npool.add_module('endless', doubling(60), name='endless.ll')\n"
        "print(pool._idle[0].process.pid, flush=True)\npool.call(evaluate('endless', 'always-inline'))\n"
    )
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n{script}"]
    command.append(str(tools.library.path))
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        assert is_running(worker)
        time.sleep(0.3)  # deep in LLVM, not waiting for a message
        parent.kill()
        parent.wait()
        deadline = time.monotonic() + 5
        while is_running(worker) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not is_running(worker)


def is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_refused_input_is_raised_with_its_place(fresh: WorkerPool) -> None:
    with pytest.raises(IRError) as caught:
        fresh.add_module("bad", b"define i32 @f() {\n  ret i32 oops\n}\n", name="bad.ll")
    assert (caught.value.line, caught.value.column, caught.value.path) == (2, 11, "bad.ll")
    assert str(caught.value) == "bad.ll:2:11: not valid LLVM IR: expected value token"
    with pytest.raises(IRError, match=r"^noise: neither LLVM bitcode nor textual IR$"):
        fresh.add_module("noise", bytes(range(256)), name="noise")
    assert fresh.num_replaced == 0
    assert fresh.call(evaluate("machine", SMALL[0])).outcome.ok


def test_target_without_backend_is_named(fresh: WorkerPool) -> None:
    with pytest.raises(ToolchainError, match=r"has no backend for target 'mips64-unknown-linux-gnu' .*; install one"):
        fresh.add_module("mips", b'target triple = "mips64-unknown-linux-gnu"\n', name="mips.ll")


def test_ir_without_a_target_is_taken_for_this_machine(fresh: WorkerPool, tools: Toolchain) -> None:
    facts = fresh.add_module("bare", b"define i32 @f() {\n  ret i32 1\n}\n", name="bare.ll")
    assert facts.triple.startswith("x86_64" if "X86" in tools.library.backends else "")
    assert fresh.call(evaluate("bare")).value.info.functions["f"].code > 0


def test_unknown_pass_is_invalid(fresh: WorkerPool) -> None:
    reply = fresh.call(evaluate("machine", "instcombin"))
    assert reply.outcome.kind is OutcomeKind.INVALID
    with pytest.raises(LLVMError, match="rejects the pass list 'instcombin': unknown pass name 'instcombin'"):
        reply.unwrap("machine")


def test_closed_pool_is_an_error(tools: Toolchain) -> None:
    pool = WorkerPool(tools.library.path)
    pool.close()
    pool.close()
    with pytest.raises(WorkerError, match="this worker pool is closed"):
        pool.call(Call(operation="ping"))


def test_library_that_is_none_does_not_start(tmp_path: Path) -> None:
    path = tmp_path / "libLLVM.so"
    path.write_text("not a library")
    with WorkerPool(path) as pool, pytest.raises(WorkerError, match=r"did not start: .*OSError: "):
        pool.call(Call(operation="ping"))


def test_abandoned_stream_leaves_a_usable_pool(fresh: WorkerPool) -> None:
    stream = fresh.stream([evaluate("machine", SMALL[0])] * 6)
    next(stream)
    stream.close()
    assert all(reply.outcome.ok for reply in fresh.map([evaluate("machine", SMALL[1])] * 3))


def test_sizes_are_shared_between_workers(fresh: WorkerPool) -> None:
    """A state one worker measured is not emitted by another: its size comes from the pool."""
    first = fresh.call(evaluate("machine", SMALL[0])).value
    # Two at a time, so that a second worker starts; it knows the state from the pool.
    for reply in fresh.map([evaluate("machine", SMALL[0])] * 4):
        assert reply.value.info == first.info
        assert reply.value.emit_seconds < first.emit_seconds / 4


def test_a_new_generation_begins_when_all_modules_are_gone(fresh: WorkerPool, seeds: Seeds) -> None:
    first: Measured = fresh.call(evaluate("machine", SMALL[0])).value
    fresh.drop_module("machine")
    fresh.add_module("machine", seeds.bitcode("machine"), name="machine.c")
    again: Measured = fresh.call(evaluate("machine", SMALL[0])).value
    assert (again.state, again.info) == (first.state, first.info)
    assert again.emit_seconds > first.emit_seconds / 10  # measured anew, not looked up
    assert fresh.num_replaced == 0


def test_module_replaced_under_its_key(fresh: WorkerPool, seeds: Seeds) -> None:
    facts = fresh.add_module("machine", seeds.bitcode("checksum"), name="checksum.c")
    assert "crc32" in facts.functions
    assert "crc32" in fresh.call(evaluate("machine", SMALL[0])).value.info.functions


def test_default_jobs_are_the_cores_of_this_process() -> None:
    assert default_jobs() == len(os.sched_getaffinity(0))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), edits=st.integers(1, 24), cut=st.booleans())
def test_mutated_bitcode_ends_in_an_outcome(pool: WorkerPool, seeds: Seeds, seed: int, edits: int, cut: bool) -> None:
    rng = random.Random(seed)
    data = bytearray(seeds.bitcode("checksum"))
    for _ in range(edits):
        data[rng.randrange(4, len(data))] = rng.randrange(256)
    if cut:
        del data[rng.randrange(4, len(data)) :]
    try:
        pool.add_module("mutant", bytes(data), name="mutant.bc")
    except (LLVMError, IRError, ToolchainError) as error:
        assert "\n" not in str(error)
        return
    reply = pool.call(evaluate("mutant", SMALL[2]), timeout_seconds=20)
    assert isinstance(reply.outcome, Outcome)
    pool.drop_module("mutant")
