"""Every message, word for word, and that errors travel between processes."""

from __future__ import annotations

import inspect
import pickle
import re
from collections.abc import Iterator

import pytest

from irwright import errors
from irwright.errors import (
    ClosedError,
    CorpusError,
    GrammarError,
    InputError,
    InsideCodeError,
    IRError,
    IrwrightError,
    LeakError,
    LiftError,
    LLVMError,
    ModelError,
    NoFunctionError,
    PassListError,
    ProposerError,
    SourceError,
    StorageError,
    ToolchainError,
    UnfinishedError,
    VaListError,
    WorkerError,
    X87UnderflowError,
)

ALL: list[tuple[IrwrightError, str]] = [
    (IrwrightError("what happened"), "what happened"),
    (ToolchainError("no clang found", remedy="pip install it"), "no clang found; pip install it"),
    (
        PassListError("unknown pass 'instcombin'", text="sroa,instcombin", column=6, suggestions=["instcombine"]),
        "unknown pass 'instcombin' at column 6 of 'sroa,instcombin'; did you mean 'instcombine'?",
    ),
    (
        PassListError("unknown pass 'x'", text="x", column=1, suggestions=["a", "b"]),
        "unknown pass 'x' at column 1 of 'x'; did you mean 'a' or 'b'?",
    ),
    (PassListError("empty item", text=",", column=1), "empty item at column 1 of ','"),
    (InputError("a.c", "it is a folder"), "a.c: it is a folder"),
    (NoFunctionError("a.s", "has no function 'f'"), "a.s: has no function 'f'"),
    (SourceError("a.c", "does not compile", diagnostics="a.c:1: error"), "a.c: does not compile"),
    (IRError("a.ll", "not valid LLVM IR: oops", line=3, column=7), "a.ll:3:7: not valid LLVM IR: oops"),
    (IRError("a.bc", "broken bitcode"), "a.bc: broken bitcode"),
    (LLVMError("no code"), "no code"),
    (ClosedError("this LLVM context is closed"), "this LLVM context is closed"),
    (WorkerError("this worker pool is closed"), "this worker pool is closed"),
    (LiftError("instruction vpaddd"), "instruction vpaddd"),
    (InsideCodeError("main"), "the address of a place in code"),
    (VaListError("a variadic function whose va_list begins later"), "a variadic function whose va_list begins later"),
    (X87UnderflowError("fstp of an empty x87 register"), "fstp of an empty x87 register"),
    (ProposerError("ask", "was silent for 3 seconds"), "proposer 'ask' was silent for 3 seconds"),
    (GrammarError(7), "no right text goes on like this from character 7 on"),
    (UnfinishedError(3), "no right text goes on like this from character 3 on"),
    (StorageError("trials.parquet", "no space left"), "trials.parquet: no space left"),
    (CorpusError("zlib: not found"), "zlib: not found"),
    (LeakError("project 'zlib' is both"), "project 'zlib' is both"),
    (ModelError("the loss is nan"), "the loss is nan"),
]


def subclasses(kind: type) -> Iterator[type]:
    for child in kind.__subclasses__():
        yield child
        yield from subclasses(child)


@pytest.mark.parametrize(("error", "message"), ALL, ids=[type(error).__name__ for error, _ in ALL])
def test_message(error: IrwrightError, message: str) -> None:
    assert str(error) == message


@pytest.mark.parametrize("error", [error for error, _ in ALL], ids=[type(error).__name__ for error, _ in ALL])
def test_errors_pickle_with_their_fields(error: IrwrightError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert (str(copy), vars(copy)) == (str(error), vars(error))


def test_every_error_is_listed_here() -> None:
    assert {type(error) for error, _ in ALL} == {IrwrightError, *subclasses(IrwrightError)}


def test_the_drawn_tree_is_the_tree() -> None:
    """The docstring of errors.py draws every class under its parent."""
    drawn: dict[str, str] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"    ([│├└─ ]*)(\w+(?:Error))\b", line)
        if match is None:
            continue
        depth = len(match.group(1)) // 4
        del path[depth:]
        path.append(match.group(2))
        if depth:
            drawn[match.group(2)] = path[depth - 1]
    classes = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, IrwrightError)]
    assert drawn == {kind.__name__: kind.__base__.__name__ for kind in classes if kind is not IrwrightError}
