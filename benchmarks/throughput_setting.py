"""What throughput is measured on and with: modules, lists, pools of workers."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from report import ROOT

from irwright.llvm import clang
from irwright.llvm.toolchain import Toolchain
from irwright.llvm.worker import Call, WorkerPool
from irwright.measure import protocol
from irwright.passes import PassList
from irwright.plan import Plan

PROTOCOL = protocol("oz")
JOBS = 2
TIMEOUT_SECONDS = 30.0
STATE_BYTES = 512 << 20
"""kept states of a worker: WorkerPool's own"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A module to evaluate lists on."""

    name: str
    kind: str
    """`function` or `file`"""
    bitcode: bytes
    num_instructions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What is measured with: the same for every part."""

    library: Path
    llvm_major: int
    lists: tuple[PassList, ...]
    repeats: int
    search_evaluations: int

    @property
    def plans(self) -> list[Plan]:
        return [Plan(base=passes) for passes in self.lists]


def make_subjects(found: Toolchain, count: int) -> list[Subject]:
    """For `count` examples: the file, and its function of median size."""
    sources = sorted((ROOT / "examples").glob("*.c"))[:count]
    subjects: list[Subject] = []
    with WorkerPool(found.library.path) as pool:
        for source in sources:
            bitcode = clang.seed_bitcode(found.need_clang(), source, ())
            facts = pool.add_module("file", bitcode, name=source.name)
            sizes = sorted((size, name) for name, size in facts.instructions_by_function.items())
            size, name = sizes[len(sizes) // 2]
            extract = Call(operation="extract", module="file", arguments={"function": name})
            body: bytes = pool.call(extract).unwrap(name)
            pool.drop_module("file")
            subjects.append(Subject(name=f"{source.stem}.{name}", kind="function", bitcode=body, num_instructions=size))
            subjects.append(
                Subject(name=source.name, kind="file", bitcode=bitcode, num_instructions=facts.num_instructions)
            )
    return sorted(subjects, key=lambda subject: subject.kind, reverse=True)


def start_pool(library: Path, jobs: int) -> WorkerPool:
    """A pool with all its workers running."""
    pool = WorkerPool(library, jobs=jobs, timeout_seconds=TIMEOUT_SECONDS, state_bytes=STATE_BYTES)
    pool.map([Call(operation="ping")] * jobs)
    return pool


def say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)
