"""What is known of a file's functions while they are lifted, and how to decide what machine code leaves open."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from irwright.errors import LiftError
from irwright.lift.blocks import Flow
from irwright.lift.frames import Frame
from irwright.lift.inference import Available
from irwright.lift.program import Code
from irwright.lift.signatures import Signature
from irwright.lift.variadic import Variadic
from irwright.lift.webs import Analysis, Web


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """How to decide what machine code leaves open. The default allows everything any use could mean."""

    likely: bool = False
    """signatures, widths and frames as compilers most often make them"""
    split: bool = False
    """every frame address that is taken begins an object"""
    narrow: bool = True
    """arguments of unknown functions that are set with 32 bits have 32"""
    whole_copies: bool = True
    tails: bool = False
    """calls that several blocks end in were one call each"""


SOUND = Guess()
LIKELY = Guess(likely=True)


@dataclass(slots=True)
class Lifted:
    """What is known of one function of the file."""

    code: Code
    flow: Flow | None = None
    frame: Frame | None = None
    signature: Signature = field(default_factory=Signature)
    available: Available | None = None
    analysis: Analysis | None = None
    webs: dict[int, Web] | None = None
    problem: str = ""
    callees: set[str] = field(default_factory=set[str])
    call_signatures: dict[int, Signature] = field(default_factory=dict[int, Signature])
    variadic: Variadic | None = None
    memory_calls: list[str] = field(default_factory=list[str])
    call_places: dict[int, tuple[int, int]] = field(default_factory=dict[int, tuple[int, int]])
    """by call: its block and step"""
    unread: dict[int, set[str]] = field(default_factory=dict[int, set[str]])
    """by call: argument registers set before it that nothing else reads"""
    zeroed: dict[int, set[str]] = field(default_factory=dict[int, set[str]])
    """by call: vector registers that were zeroed for something else that reads them"""
    given: dict[int, set[str]] = field(default_factory=dict[int, set[str]])
    """by call: those of them that nothing at all reads in between, so that they are arguments"""


def guard(lifted: Lifted, phase: Callable[[Lifted], object]) -> None:
    """Run a phase of lifting on a function; what goes wrong in it is the function's problem, and nobody else's."""
    try:
        phase(lifted)
    except LiftError as error:
        lifted.problem = str(error)
    except RecursionError:
        lifted.problem = "too deeply nested"
    except (AssertionError, KeyError, IndexError, ValueError) as error:  # a form nobody thought of
        lifted.problem = f"not understood ({type(error).__name__}: {error})"
