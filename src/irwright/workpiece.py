"""One input, compiled to seed IR, loaded into workers, and ready to be built under any plan.

Finds the toolchain an input asks for by flags, IR or option. Which plans are built is tuner.py's and explain.py's
business.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Self

from irwright.errors import IrwrightError
from irwright.evaluator import Evaluator
from irwright.files import Input, read_ir
from irwright.llvm import clang
from irwright.llvm.builds import ModuleFacts
from irwright.llvm.toolchain import Toolchain, backend_for, find
from irwright.llvm.worker import WorkerPool
from irwright.measure import Protocol
from irwright.passes import PassList
from irwright.plan import Plan
from irwright.trials import TrialStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Workpiece:
    """One input, parsed and ready to be built under any plan."""

    item: Input
    source: Path
    """as clang is given it"""
    toolchain: Toolchain
    flags: tuple[str, ...]
    evaluator: Evaluator
    """of the module without debug info: what a search measures"""
    with_debug: Evaluator
    """of the module as it came: what results are made from"""
    is_ir: bool

    @property
    def facts(self) -> ModuleFacts:
        return self.evaluator.facts

    @property
    def plan_of_oz(self) -> Plan:
        """The pass list that is LLVM's own -Oz."""
        return Plan(base=PassList.parse("default<Oz>", llvm_major=self.toolchain.major))

    def baseline(self, kind: str) -> bytes:
        """What the protocol compares with: the real `clang -Oz` where there is one."""
        if self.evaluator.protocol.name == "oz" and self.toolchain.clang_lowers:
            return clang.baseline(
                self.toolchain.need_clang(),
                self.source,
                self.flags,
                kind,
                directory=self.item.directory,
                name=self.item.name,
            )
        return self.build(self.plan_of_oz, kind)

    def build(self, plan: Plan, kind: str) -> bytes:
        """The module under a plan, lowered by the user's compiler, or in process where that has no backend."""
        if kind in ("bc", "ll") or not self.toolchain.clang_lowers:
            return self.with_debug.compile(plan, kind)
        return clang.lower(
            self.toolchain.need_clang(),
            self.with_debug.compile(plan, "bc"),
            self.flags,
            name=self.item.name,
            optimise_codegen=self.evaluator.protocol.name != "paper",
            assembly=kind == "asm",
            options=plan.codegen_options,
        )


class Workshop:
    """Toolchains and workers that stay while one input after the other is opened; `with` closes them.

    Not for several threads.
    """

    def __init__(
        self,
        protocol: Protocol,
        *,
        target: str | None = None,
        llvm: str | None = None,
        jobs: int = 1,
        timeout_seconds: float = 30.0,
        trials_folder: Path | None = None,
        always_inline: bool = True,
    ) -> None:
        self._protocol = protocol
        self._target = target
        self._llvm = llvm
        self._jobs = jobs
        self._timeout_seconds = timeout_seconds
        self._trials_folder = trials_folder
        self._always_inline = always_inline
        self._pools: dict[Path, WorkerPool] = {}
        self._toolchains: dict[str | None, Toolchain] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the workers; harmless when closed already."""
        for pool in self._pools.values():
            pool.close()
        self._pools.clear()

    @contextmanager
    def open(self, item: Input) -> Generator[Workpiece]:
        """Compile an input to seed IR and load it into the workers."""
        ir = read_ir(item)
        with _on_disk(item) as source:
            toolchain, flags, pool, seed, facts = self._load(item, source, ir)
            major, measured, inline = toolchain.major, self._protocol, self._always_inline
            try:
                pool.add_module("debug", seed, name=item.name, keep_debug=True)
                with self._store(item, seed, toolchain) as store:
                    yield Workpiece(
                        item=item,
                        source=source,
                        toolchain=toolchain,
                        flags=flags,
                        evaluator=Evaluator(
                            pool, "seed", facts, measured, llvm_major=major, store=store, always_inline=inline
                        ),
                        with_debug=Evaluator(pool, "debug", facts, measured, llvm_major=major, always_inline=inline),
                        is_ir=ir is not None,
                    )
            finally:
                if pool.library in self._pools:
                    pool.drop_module("seed")
                    pool.drop_module("debug")

    def _store(self, item: Input, seed: bytes, toolchain: Toolchain) -> TrialStore | nullcontext[None]:
        """Trials belong to these bytes, this protocol and this LLVM: a file that changed has none."""
        if self._trials_folder is None:
            return nullcontext()
        version = f"{self._protocol.name} {toolchain.library.version} {toolchain.library.path} {self._always_inline}"
        key = blake2b(version.encode() + b"\0" + seed, digest_size=6).hexdigest()
        return TrialStore(self._trials_folder / f"{item.stem}-{self._protocol.name}-{key}")

    def _find(self, target: str | None) -> Toolchain:
        """The toolchain for a target, looked for once."""
        if target not in self._toolchains:
            self._toolchains[target] = find(target, llvm=self._llvm)
        return self._toolchains[target]

    def _load(
        self, item: Input, source: Path, ir: bytes | None
    ) -> tuple[Toolchain, tuple[str, ...], WorkerPool, bytes, ModuleFacts]:
        """Toolchain, compiler flags, pool, seed IR, and what the module is."""
        target = self._target
        flags = (*((f"--target={target}",) if target else ()), *item.flags)
        target = target or _target_of(item.flags)
        if ir is not None and target is None:
            return self._load_ir(item, source, ir)
        # A source, or IR that is to get another target.
        toolchain = self._find(target)
        seed = clang.seed_bitcode(toolchain.need_clang(), source, flags, directory=item.directory, name=item.name)
        pool = self._pool(toolchain)
        return toolchain, flags, pool, seed, pool.add_module("seed", seed, name=item.name)

    def _load_ir(
        self, item: Input, source: Path, ir: bytes
    ) -> tuple[Toolchain, tuple[str, ...], WorkerPool, bytes, ModuleFacts]:
        """IR as it is, with the toolchain of the target it names."""
        toolchain = self._find(None)
        pool = self._pool(toolchain)
        try:
            facts = pool.add_module("seed", ir, name=item.name)
            triple = facts.triple
        except IrwrightError as error:
            missing = re.search(r"has no backend for target '([^']*)'", str(error))
            if missing is None:
                raise
            facts, triple = None, missing.group(1)
        if not triple:  # IR for any target: the compiler's own
            ir = clang.seed_bitcode(toolchain.need_clang(), source, item.flags, name=item.name)
        elif backend_for(triple) != backend_for(None):
            # The library may have both backends where clang has one.
            toolchain = self._find(triple)
        if facts is None or self._pool(toolchain) is not pool:
            pool = self._pool(toolchain)
            facts = pool.add_module("seed", ir, name=item.name)
        # clang would take IR for its own target otherwise, whatever the module says.
        return toolchain, (f"--target={facts.triple}", *item.flags), pool, ir, facts

    def _pool(self, toolchain: Toolchain) -> WorkerPool:
        library = toolchain.library.path
        if library not in self._pools:
            self._pools[library] = WorkerPool(library, jobs=self._jobs, timeout_seconds=self._timeout_seconds)
        return self._pools[library]


def _target_of(flags: Sequence[str]) -> str | None:
    """The target that compiler flags name, None for the compiler's own."""
    target = None
    for position, flag in enumerate(flags):
        if flag.startswith("--target="):
            target = flag.partition("=")[2]
        elif flag in ("-target", "--target") and position + 1 < len(flags):
            target = flags[position + 1]
    return target


@contextmanager
def _on_disk(item: Input) -> Generator[Path]:
    """The input as a file clang can read."""
    if item.path is not None:
        yield item.path
        return
    assert item.data is not None
    with tempfile.TemporaryDirectory(prefix="irwright-") as folder:
        file = Path(folder) / f"{item.stem}{'.bc' if item.data.startswith(b'BC') else '.ll'}"
        file.write_bytes(item.data)
        yield file
