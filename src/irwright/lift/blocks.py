"""What a function is once its flow is known: blocks of steps with effects, calls, jump tables."""

from __future__ import annotations

from dataclasses import dataclass, field

from irwright.lift.expressions import CC_UNITS, E, Effect, Ref
from irwright.lift.program import Code, Instruction

INTEGER_ARGUMENTS = ("rdi", "rsi", "rdx", "rcx", "r8", "r9")
FLOAT_ARGUMENTS = tuple(f"xmm{n}" for n in range(8))
CALLEE_SAVED = ("rbx", "rbp", "r12", "r13", "r14", "r15")
GENERAL = ("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", *[f"r{n}" for n in range(8, 16)])
XMM = tuple(f"xmm{n}" for n in range(16))
CALLER_SAVED = tuple(name for name in GENERAL if name not in CALLEE_SAVED) + XMM
NOT_ARGUMENTS = ("rax", "r10", "r11")
JUNK = ("junk", 0)
DYNAMIC = ("dynamic", 0)
"""the stack pointer after a block of a size known at run time was taken off it, and copies of that"""
GIVEN = "given"
"""marks what is popped from memory that a call was given: its callee may have written there"""

CC_UNITS_ = (*CC_UNITS,)
X87_UNITS = tuple(f"f{n}" for n in range(8))

Value = tuple[str, int | str]
"""("frame", offset), ("entry", register) or JUNK"""
State = dict[str | int, Value]


@dataclass(slots=True)
class Step:
    """One instruction and its effects."""

    insn: Instruction
    effects: list[Effect]
    stack: int
    """the stack pointer before it, from the one at entry"""
    has_frame: bool
    """an effect may name a place in the frame"""


@dataclass(slots=True)
class Block:
    """A basic block; successors by block index, in the order the terminator names them."""

    index: int
    insns: list[Instruction]
    steps: list[Step] = field(default_factory=list[Step])
    successors: list[int] = field(default_factory=list[int])
    predecessors: list[int] = field(default_factory=list[int])
    state: State | None = None
    """what is known at its start"""
    after: State = field(default_factory=dict[str | int, Value])


@dataclass(slots=True)
class Call:
    """A call or tail call."""

    target: Ref | None
    """None: through a pointer"""
    pointer: E | None
    is_tail: bool
    stack: int
    """the stack pointer at the call, before the return address is pushed"""
    num_vectors: int = -1
    """what `al` says of a variadic call; -1 where nothing sets it"""
    name: str = ""
    """of the callee, once known"""
    index: int = 0
    clobbered: frozenset[str] = frozenset(CALLER_SAVED)
    """registers that it may change"""
    x87_results: int = 0
    """long doubles that it gives back"""
    is_own: bool = False
    """the callee is in this file"""
    is_unsure: bool = False
    """it may change less, since not all of its code is understood"""


@dataclass(slots=True)
class Table:
    """A jump table: the places it leads to."""

    targets: list[int]
    address: tuple[int, int]
    size: int


@dataclass(slots=True)
class Flow:
    """A function as blocks of effects."""

    code: Code
    blocks: list[Block]
    tables: list[Table]
    calls: list[Call]
    lowest: int
    """the lowest stack offset that is used"""
    align: int
    """what the frame is aligned to"""
    has_frame_pointer: bool
    order: list[int]
    """block indices in reverse postorder"""
    x87_results: int = 0
    """long doubles that it gives back"""
    table_jumps: frozenset[tuple[int, int]] = frozenset()
    """(section, address) of jumps through tables"""


def reverse_postorder(blocks: list[Block]) -> list[int]:
    """Indices of the blocks reached from the first, each before what it leads to (loops aside)."""
    seen = {0}
    order: list[int] = []
    stack: list[tuple[int, int]] = [(0, 0)]
    while stack:
        index, at = stack.pop()
        successors = blocks[index].successors
        while at < len(successors) and successors[at] in seen:
            at += 1
        if at < len(successors):
            stack.append((index, at + 1))
            seen.add(successors[at])
            stack.append((successors[at], 0))
        else:
            order.append(index)
    return order[::-1]
