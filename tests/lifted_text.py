"""The IR that lifting makes of a function's assembly, for tests of how it is written."""

from __future__ import annotations

from irwright.lift.disassembler import Disassembler, LiftSettings, attributes
from irwright.lift.lifted import LIKELY, SOUND, Guess
from irwright.lift.lifter import FileLifter
from irwright.lift.options import Options
from irwright.lift.variants import Search, Variant
from irwright.llvm.toolchain import find
from irwright.llvm.worker import Call, WorkerPool


def _source(**functions: str) -> str:
    text = ".text\n"
    for name, body in functions.items():
        text += f".globl {name}\n.type {name},@function\n{name}:\n{body}\n.size {name}, .-{name}\n"
    return text


def emitted(body: str, options: Options) -> str:
    """The IR of one function, its variables as values."""
    with WorkerPool(find().library.path, jobs=1) as pool:
        source = Disassembler(pool, LiftSettings()).read(_source(f=body).encode(), "f.s")
        search = Search(pool, source.program, source.layout, source.text, 1, attributes(source))
        raw = search.emit("f", Variant(LIKELY, options, "sroa"))
        lowered = pool.call(Call(operation="lower", arguments={"jobs": [(raw, "sroa")]})).unwrap("lower")
        return str(lowered[0].ir)


def lifted(body: str) -> FileLifter:
    """What is known of one function, named `f`, and its callees, as is likely."""
    return _lifter(LIKELY, f=body)


def soundly_lifted(**functions: str) -> FileLifter:
    """What is known for certain of some functions and their callees."""
    return _lifter(SOUND, **functions)


def _lifter(guess: Guess, **functions: str) -> FileLifter:
    with WorkerPool(find().library.path, jobs=1) as pool:
        source = Disassembler(pool, LiftSettings()).read(_source(**functions).encode(), "f.s")
        return Search(pool, source.program, source.layout, source.text, 1, attributes(source)).lifter(guess)
