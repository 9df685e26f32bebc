"""The IR that lifting makes of a function's assembly, for tests of how it is written."""

from __future__ import annotations

from irwright.lift.disassembler import Disassembler, LiftSettings, attributes
from irwright.lift.lifted import LIKELY
from irwright.lift.lifter import FileLifter
from irwright.lift.options import Options
from irwright.lift.variants import Search, Variant
from irwright.llvm.toolchain import find
from irwright.llvm.worker import Call, WorkerPool


def emitted(body: str, options: Options) -> str:
    """The IR of one function, its variables as values."""
    text = f".text\n.globl f\n.type f,@function\nf:\n{body}\n.size f, .-f\n"
    with WorkerPool(find().library.path, jobs=1) as pool:
        source = Disassembler(pool, LiftSettings()).read(text.encode(), "f.s")
        search = Search(pool, source.program, source.layout, source.text, 1, attributes(source))
        raw = search.emit("f", Variant(LIKELY, options, "sroa"))
        lowered = pool.call(Call(operation="lower", arguments={"jobs": [(raw, "sroa")]})).unwrap("lower")
        return str(lowered[0].ir)


def lifted(body: str) -> FileLifter:
    """What is known of one function and its callees, as is likely."""
    text = f".text\n.globl f\n.type f,@function\nf:\n{body}\n.size f, .-f\n"
    with WorkerPool(find().library.path, jobs=1) as pool:
        source = Disassembler(pool, LiftSettings()).read(text.encode(), "f.s")
        search = Search(pool, source.program, source.layout, source.text, 1, attributes(source))
        return search.lifter(LIKELY)
