"""Functions as modules of their own, and what is derived from them: canonical text, optimised IR, assembly.

A *unit* is one function of a module, extracted as the paper's function objects are (llvm/module.py), with the names of
the canonical form. It has two modules on the compile worker: the *full* one, as clang made it, which sizes are measured
on; and the *plain* one, exactly what a prompt shows: canonical text with the target's usual attributes put back. What a
model is asked to foresee is computed from the plain one, so that everything it depends on can be read.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from irwright.corpus.canonical import canonicalise, rename, strip
from irwright.corpus.stripping import dress
from irwright.errors import IrwrightError
from irwright.evaluator import Evaluator
from irwright.llvm.builds import ModuleFacts
from irwright.llvm.worker import Call, WorkerPool
from irwright.measure import PROTOCOLS, Protocol
from irwright.passes import PassList
from irwright.plan import Plan
from irwright.tasks.disassemble import plain_assembly
from irwright.tasks.emulate import Counts
from irwright.tasks.text import Target

TRIPLES: dict[Target, str] = {"x86-64": "x86_64-unknown-linux-gnu", "aarch64": "aarch64-unknown-linux-gnu"}
ATTRIBUTES: dict[Target, str] = {
    "x86-64": '"target-cpu"="x86-64" "target-features"="+cmov,+cx8,+fxsr,+mmx,+sse,+sse2,+x87" "tune-cpu"="generic"',
    "aarch64": '"target-cpu"="generic" "target-features"="+fp-armv8,+neon,+v8a,-fmv"',
}
"""What clang writes on every function of the target, and the canonical form leaves out."""

_POSITION_INDEPENDENT = """
!llvm.module.flags = !{!99990, !99991}
!99990 = !{i32 8, !"PIC Level", i32 2}
!99991 = !{i32 7, !"PIE Level", i32 2}
"""
_OWN_TYPE = re.compile(r"%t(\d+)\.\d+\b")  # LLVM renames types of modules that share a context
_ONLY_X86 = re.compile(r"x86_fp80|@llvm\.x86\.|\basm\b|@llvm\.va_|\bva_arg\b|\bbyval\(|\bsret\(|\bx86_\w+cc\b")


@dataclass(frozen=True, kw_only=True)
class Unit:
    """One function, ready to be worked on; lives until the bench opens the next."""

    name: str
    """in the source"""
    text: str
    """canonical, unoptimised"""
    full: Evaluator
    load_plain: Callable[[], Evaluator]

    @functools.cached_property
    def plain(self) -> Evaluator:
        """On the plain module, which is loaded the first time it is asked for: tuning labels never do."""
        return self.load_plain()

    @property
    def sha256(self) -> str:
        """Hash of the canonical text."""
        return hashlib.sha256(self.text.encode(errors="surrogateescape")).hexdigest()


def targeted(text: str, target: Target) -> str:
    """A whole module of the target from canonical or stripped text."""
    whole = dress(text, head=f'target triple = "{TRIPLES[target]}"', attributes=ATTRIBUTES[target])
    return whole + _POSITION_INDEPENDENT


def _quoted(line: str) -> str:
    """A line as LLVM writes it in a string."""
    return "".join(char if char.isprintable() and char not in '"\\' and char < "\x7f" else _hex(char) for char in line)


def _hex(char: str) -> str:
    return "".join(f"\\{byte:02X}" for byte in char.encode(errors="surrogateescape"))


class Bench:
    """Compile workers for the units of one module after the other: one for x86-64 and, where asked, one for AArch64."""

    def __init__(
        self,
        library: Path,
        *,
        aarch64: Path | None = None,
        protocol: Protocol = PROTOCOLS["oz"],
        llvm_major: int,
        timeout_seconds: float = 20.0,
    ) -> None:
        self.protocol = protocol
        self.llvm_major = llvm_major
        self._pool = WorkerPool(library, jobs=1, timeout_seconds=timeout_seconds)
        self._cross = aarch64 and WorkerPool(aarch64, jobs=1, timeout_seconds=timeout_seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _tb: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the workers."""
        self._pool.close()
        if self._cross:
            self._cross.close()

    def open(self, bitcode: bytes, name: str) -> ModuleFacts:
        """Load the module whose functions are wanted next."""
        for key in ("full", "plain", "oz", "module"):
            self._pool.drop_module(key)
        return self._pool.add_module("module", bitcode, name=name)

    def unit(self, function: str) -> Unit:
        """A function of the open module; IrwrightError where LLVM can't make it a module of its own."""
        call = Call(operation="extract", module="module", arguments={"function": function})
        bitcode: bytes = self._pool.call(call).unwrap(function)
        facts = self._pool.add_module("full", bitcode, name=function)
        printed = self._evaluator("full", facts).compile(Plan(), "ll").decode(errors="surrogateescape")
        full = self._add("full", rename(printed), function)
        text = canonicalise(printed)[0]
        return Unit(name=function, text=text, full=full, load_plain=self._plain(text, function))

    def whole(self, name: str) -> Unit:
        """All of the open module as a unit; IrwrightError where LLVM can't make it one."""
        call = Call(operation="facts", module="module")
        facts: ModuleFacts = self._pool.call(call).unwrap(name)
        printed = self._evaluator("module", facts).compile(Plan(), "ll").decode(errors="surrogateescape")
        full = self._add("full", rename(printed), name)
        text = canonicalise(printed)[0]
        return Unit(name=name, text=text, full=full, load_plain=self._plain(text, name))

    def of_text(self, text: str, name: str = "answer") -> Unit:
        """A unit from canonical text alone, whose full module is the plain one; IrwrightError where it is no IR."""
        plain = self._add("plain", targeted(text, "x86-64"), name)
        return Unit(name=name, text=text, full=plain, load_plain=lambda: plain)

    def assemble(self, text: str) -> bytes:
        """The object of x86-64 assembly; IrwrightError with the assembler's first message."""
        lines = "".join(f'module asm "{_quoted(line)}"\n' for line in text.splitlines())
        module = f'target triple = "{TRIPLES["x86-64"]}"\n{lines}'
        return self._pool.call(Call(operation="assemble", arguments={"text": module})).unwrap("assembly")

    def optimised(self, unit: Unit, passes: PassList) -> str:
        """Canonical text of the plain module after a list."""
        text = unit.plain.compile(Plan(base=passes), "ll").decode(errors="surrogateescape")
        return _OWN_TYPE.sub(r"%t\1", strip(text))

    def counts(self, unit: Unit, passes: PassList | None = None) -> Counts | None:
        """IR instructions and bytes of the plain module after a list; None where LLVM fails on it."""
        plan = Plan(base=passes) if passes is not None else Plan()
        arguments = {"build": plan.build(self.llvm_major, self.protocol.level), "count_instructions": True}
        reply = self._pool.call(Call(operation="evaluate", module=unit.plain.module, arguments=arguments))
        if not reply.outcome.ok:
            return None
        sizes = sum(s.size for s in reply.value.info.sections if s.is_allocated and s.has_content)
        return Counts(num_instructions=reply.value.num_instructions, object_bytes=sizes)

    def assembly(self, text: str, target: Target = "x86-64") -> str:
        """Assembly of optimised canonical text, by code generation alone; IrwrightError where there is none."""
        pool = self._pool
        if target == "aarch64":
            if _ONLY_X86.search(text):
                raise IrwrightError("code that is x86-64's alone has no AArch64 assembly")
            assert self._cross, "this bench has no AArch64"
            pool = self._cross
        evaluator = self._add("oz", targeted(text, target), "optimised", pool)
        return plain_assembly(evaluator.compile(Plan(), "asm").decode(errors="surrogateescape"))

    def object_of(self, text: str) -> bytes:
        """The object of optimised canonical text, by code generation alone; IrwrightError where there is none."""
        return self._add("oz", targeted(text, "x86-64"), "optimised").compile(Plan(), "obj")

    @property
    def targets(self) -> tuple[Target, ...]:
        """What assembly there is."""
        return ("x86-64", "aarch64") if self._cross else ("x86-64",)

    def _add(self, key: str, text: str, name: str, pool: WorkerPool | None = None) -> Evaluator:
        facts = (pool or self._pool).add_module(key, text.encode(errors="surrogateescape"), name=name)
        return self._evaluator(key, facts, pool)

    def _plain(self, text: str, name: str) -> Callable[[], Evaluator]:
        return functools.partial(self._add, "plain", targeted(text, "x86-64"), name)

    def _evaluator(self, key: str, facts: ModuleFacts, pool: WorkerPool | None = None) -> Evaluator:
        return Evaluator(pool or self._pool, key, facts, self.protocol, llvm_major=self.llvm_major)
