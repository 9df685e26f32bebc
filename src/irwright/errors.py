"""Every exception irwright raises on purpose.

    IrwrightError                what a user sees as one line, exit code 1
    ├── ToolchainError           no usable clang or libLLVM; says how to get one
    ├── PassListError            text that is no pass list; knows the column
    ├── InputError               a file that can't be used as what it was given as
    │   ├── NoFunctionError      a file without the function that was asked for
    │   ├── SourceError          a source that clang rejects; carries clang's first diagnostic
    │   └── IRError              not IR, broken IR, or IR of a newer LLVM; file, line, column
    ├── LLVMError                LLVM refused or failed an operation on good input
    ├── ClosedError              use of a Context, Module or worker after close (a bug of the caller)
    ├── WorkerError              a worker process could not be started or kept alive
    ├── LiftError                machine code that can't be lifted, as one phrase; kept per function
    │   ├── InsideCodeError      something points into the code of a function; knows which
    │   ├── VaListError          a va_list of the code's own that can't be followed; one made at entry may do
    │   └── X87UnderflowError    a register of the x87 stack is read that holds nothing
    ├── ProposerError            a source of candidates that died, was silent or talks nonsense
    ├── StorageError             a result that could not be written or read back
    ├── CorpusError              a package or project that could not be fetched or unpacked
    │   └── LeakError            held-out code among what models are trained on
    ├── ModelError               a language model that can't be made, read, trained or asked
    └── GrammarError             a text with which nothing right goes on; knows the place; kept within grammar/
        └── UnfinishedError      a text that is right as far as it goes

A pass list that crashes or hangs LLVM is no exception: it is an `Outcome` (llvm/worker.py), kept as data.

Messages say what, the value, where, and the remedy, in one lower-case sentence.
"""

from __future__ import annotations

from collections.abc import Sequence


class IrwrightError(Exception):
    """Base of all; `str(error)` is the one line a user reads. Errors travel between processes: they pickle."""

    def __reduce__(self) -> tuple[object, ...]:
        # Not by calling the class: its arguments are fields, not the message.
        return _rebuild, (type(self), self.args, self.__dict__)


def _rebuild(kind: type[IrwrightError], args: tuple[object, ...], fields: dict[str, object]) -> IrwrightError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(fields)
    return error


class ToolchainError(IrwrightError):
    """No clang, libLLVM or target backend that does what was asked.

    `remedy` is a command or option the user can type; it is part of the message.
    """

    def __init__(self, problem: str, *, remedy: str) -> None:
        super().__init__(f"{problem}; {remedy}")
        self.problem = problem
        self.remedy = remedy


class PassListError(IrwrightError):
    """Text that is not a pass list.

    `column` counts from 1 in `text`; `suggestions` are close pass names, best first.
    """

    def __init__(self, problem: str, *, text: str, column: int, suggestions: Sequence[str] = ()) -> None:
        hint = f"; did you mean {' or '.join(repr(name) for name in suggestions)}?" if suggestions else ""
        super().__init__(f"{problem} at column {column} of {text!r}{hint}")
        self.problem = problem
        self.text = text
        self.column = column
        self.suggestions = tuple(suggestions)


class InputError(IrwrightError):
    """A file that can't be used as what it was given as; `path` names it."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = path
        self.problem = problem


class NoFunctionError(InputError):
    """A file without the function that was asked for."""


class SourceError(InputError):
    """clang rejected a source; `diagnostics` is all of clang's stderr, the message its first error."""

    def __init__(self, path: str, problem: str, *, diagnostics: str = "") -> None:
        super().__init__(path, problem)
        self.diagnostics = diagnostics


class IRError(InputError):
    """Text or bitcode LLVM can't read; `line` and `column` count from 1, 0 where LLVM names none."""

    def __init__(self, path: str, problem: str, *, line: int = 0, column: int = 0) -> None:
        where = f"{path}:{line}:{column}" if line else path
        super().__init__(where, problem)
        self.path = path
        self.line = line
        self.column = column


class LLVMError(IrwrightError):
    """LLVM refused or failed an operation (an unknown pass, IR that does not link, no code for a construct)."""


class ClosedError(IrwrightError):
    """A Context, Module or worker was used after close."""


class WorkerError(IrwrightError):
    """A worker process could not be started, or died before it did any work."""


class LiftError(IrwrightError):
    """Machine code of a function that can't be lifted; a phrase that says why, kept as the function's reason."""


class InsideCodeError(LiftError):
    """Something that points into the code of a function."""

    def __init__(self, function: str) -> None:
        super().__init__("the address of a place in code")
        self.function = function


class VaListError(LiftError):
    """A va_list that the code makes and that can't be followed: one of ours, made at entry, may do in its place."""


class X87UnderflowError(LiftError):
    """A register of the x87 stack is read that holds nothing yet: the call before gave back a result there."""


class ProposerError(IrwrightError):
    """A source of candidates that died, was silent or answered something else; `command` names it."""

    def __init__(self, command: str, problem: str) -> None:
        super().__init__(f"proposer {command!r} {problem}")
        self.command = command
        self.problem = problem


class StorageError(IrwrightError):
    """A result that could not be written (full disk, no permission) or read back (corrupt)."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = path
        self.problem = problem


class CorpusError(IrwrightError):
    """A package or project that could not be fetched, unpacked or compiled at all."""


class LeakError(CorpusError):
    """The same project or function is both trained on and held out: results measured on it would mean nothing."""


class ModelError(IrwrightError):
    """A language model, its training or its server that can't do what was asked."""


class GrammarError(IrwrightError):
    """No right text goes on like this; `position` is the first character that is wrong."""

    def __init__(self, position: int) -> None:
        super().__init__(f"no right text goes on like this from character {position} on")
        self.position = position


class UnfinishedError(GrammarError):
    """A text is right as far as it goes; `position` is its end."""
