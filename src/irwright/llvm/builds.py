"""Words between a worker and its parent: how a module is built, what that measured, how a call ended.

`Steps` say how to build an optimised module from a loaded one; each step is one call of LLVMRunPasses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from irwright.errors import IrwrightError
from irwright.llvm.codegen import CodegenLevel, FunctionSize, ObjectInfo


class OutcomeKind(StrEnum):
    """How an evaluation ended."""

    OK = "ok"
    INVALID = "invalid"
    """LLVM or irwright refused it with a message"""
    CRASH = "crash"
    """the worker process died: abort, assertion, segfault"""
    TIMEOUT = "timeout"
    MEMORY = "memory"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The end of one call, good or bad; data, never raised."""

    kind: OutcomeKind
    detail: str = ""
    """one line: LLVM's message, the signal, the limit"""
    error: IrwrightError | None = None
    """the error behind INVALID, for callers that want to raise it"""

    @property
    def ok(self) -> bool:
        return self.kind is OutcomeKind.OK


OK = Outcome(kind=OutcomeKind.OK)


@dataclass(frozen=True, slots=True)
class Passes:
    """A step: one pipeline in `opt -passes` syntax over the whole module."""

    pipeline: str
    inliner_threshold: int | None = None


@dataclass(frozen=True, slots=True)
class FunctionPasses:
    """A step: a function pipeline of its own for each function; `default` for those not named ("" is none)."""

    pipelines: tuple[tuple[str, str], ...]
    """(function name, pipeline), sorted by name"""
    default: str = ""

    @classmethod
    def of(cls, pipelines: Mapping[str, str], default: str = "") -> FunctionPasses:
        return cls(tuple(sorted(pipelines.items())), default)


@dataclass(frozen=True, slots=True)
class Promote:
    """A step: prepare the module for being made of pieces (pieces.py); the first step of such a build."""

    preparation: str = "raw"
    """one of pieces.PREPARATIONS"""


@dataclass(frozen=True, slots=True)
class InlineStatics:
    """A step after Promote: inline static functions for one of the reasons in `Promoted.inlined`."""

    reason: str


@dataclass(frozen=True, slots=True)
class Lower:
    """A step, the last: functions get attributes that change how their code is generated, and nothing else."""

    ways: tuple[str, ...]
    """some of `LOWERINGS`"""
    named: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """functions with ways of their own"""


LOWERINGS = ("frame", "optsize")
"""`frame`: every function keeps a frame pointer, so that pushes behind it need no entries in unwind tables.
`optsize`: functions lose `minsize` and are treated as by -Os: constants are moved, not pushed and popped, say."""

Step = Passes | FunctionPasses | Promote | InlineStatics | Lower
Steps = tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """Some functions of a module, built by steps of their own (which begin with Promote)."""

    steps: Steps
    functions: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """What to make of a module: the steps, and how code is generated from the result."""

    steps: Steps = ()
    parts: tuple[Part, ...] = ()
    """where given, these are built and joined first, and the steps run on the whole"""
    level: CodegenLevel = CodegenLevel.DEFAULT
    options: tuple[str, ...] = ()
    """LLVM command line options that hold during code generation, each listed in `CODEGEN_DEFAULTS`"""


CODEGEN_DEFAULTS = {
    "-enable-machine-outliner": "never",
    "-tail-merge-size": "3",
    "-tail-merge-threshold": "150",
    "-enable-misched": "1",
    "-enable-post-misched": "1",
    "-disable-block-placement": "0",
    "-x86-cmov-converter": "1",
    "-disable-lsr": "0",
    "-enable-shrink-wrap": "1",
    "-hoist-common-insts": "0",
    "-no-stack-coloring": "0",
}
"""Code generation options a build may set, with the value that restores LLVM's default afterwards."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What one evaluation measured."""

    state: bytes
    """16-byte hash of the IR after the passes, joined with how code is generated"""
    info: ObjectInfo | None
    """None where the caller said it knows `state` already: nothing was emitted"""
    num_instructions: int
    pass_seconds: float
    emit_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionsMeasured:
    """What one evaluation measured of each function by itself."""

    states: dict[str, bytes]
    """hash of each function's IR after the passes, joined with how code is generated"""
    sizes: dict[str, FunctionSize]
    """of the functions whose state was new to the worker"""
    references: dict[str, frozenset[str]]
    """functions of the module that each one names"""
    pass_seconds: float
    emit_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleFacts:
    """What `load` tells of a module."""

    functions: tuple[str, ...]
    """defined in it, in module order"""
    internal: tuple[str, ...]
    """those of them that no other object can see"""
    triple: str
    num_instructions: int
    instructions_by_function: dict[str, int]
    has_always_inline: bool = False
    """some function is marked `always_inline`"""
    has_coroutines: bool = False
    """some function has to be split before there is code of it"""
    aliases: tuple[str, ...] = ()
    """further names of functions or data"""
