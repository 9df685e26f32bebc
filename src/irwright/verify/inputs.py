"""What a function is run on: arguments and memory made from a seed, the same for every version of it.

Memory that arguments point at (the arena) holds what programs keep in memory: small numbers, text, doubles, pointers
to more of it, so that strings end and linked structures can be walked. Any other page is filled when it is first
touched, as a function of the seed and its address.
"""

from __future__ import annotations

import os
import random
import struct
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from irwright.digests import blake2b
from irwright.verify.abi import parameter_locations
from irwright.verify.image import PAGE
from irwright.verify.machine import Machine
from irwright.verify.signatures import Kind, Signature, Value

ARENA_BASE = 0x7E5A12340000
ARENA_SIZE = 16 * PAGE
NUM_ARENAS = 12
"""arenas differ by seed modulo this: making one costs milliseconds, so they are kept"""
NUM_STACK_WORDS = 16
"""stack arguments that are filled where no signature says how many there are"""
MASK = 0xFFFFFFFFFFFFFFFF

_INTERESTING = (
    *(-1, -2, 10, 13, 15, 31, 32, 33, 48, 57, 63, 64, 65, 90, 97, 100, 122, 127, 128, 255, 256, 1000, 1024, 4095),
    *(0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, -0x80000000, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF, -0x8000000000000000),
)
_DOUBLES = (0.0, 1.0, -1.0, 0.5, 2.0, 3.25, -7.75, 100.0, 1e-3, 255.0, 1e10, -0.0, 6.283185307179586)
_WORDS = (
    *("a", "b", "x1", "key", "value", "name=1", "/usr/lib", "hello world", "%d items", "-o", "--all", "0", "42", "-17"),
    *(
        "3.5e2",
        "0x1f",
        "true",
        "[1, 2]",
        '{"k": "v"}',
        "<tag>",
        "# c",
        "line\n",
        "two\nlines\n",
        " pad ",
        "A:B;C",
        "\t",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hints:
    """What the code of a function tells about inputs that matter to it."""

    constants: tuple[int, ...] = ()
    """operands of its comparisons and the like"""
    offsets: tuple[int, ...] = ()
    """at which it reads from pointers"""
    uses_floats: bool = False


Place = int | tuple[str, int]
"""An address outside the image, or an offset in data with a name."""

Content = bytes | tuple[str, int]
"""Bytes, or the address of something with a name, and an offset from there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """Everything a run begins with; equal inputs give equal runs."""

    seed: int
    """of memory"""
    number: int = 0
    """by which a verdict names these inputs"""
    salt: int = 0
    """of the arguments"""
    registers: tuple[tuple[int, int], ...]
    """(position in the bank, value) of argument registers; vector registers have 128 bits"""
    stack: tuple[tuple[int, bytes], ...]
    """(offset from the first stack argument, bytes)"""
    pokes: tuple[tuple[Place, Content], ...] = ()
    """what is put on top of memory's first content"""
    perturb_globals: bool = False
    """external data that is zero is filled too"""
    results: Mapping[tuple[str, int], int] = field(default_factory=dict[tuple[str, int], int])
    """what callees of unknown effect return: (name, which call of it from 1) to value"""
    effects: Mapping[tuple[str, int], tuple[tuple[Place, Content], ...]] = field(
        default_factory=dict[tuple[str, int], tuple[tuple[Place, Content], ...]]
    )
    """what such callees write into memory that anybody can reach"""
    before: tuple[tuple[str, Inputs], ...] = ()
    """functions that are called first, with their arguments, so that static data is as a program may have made it"""


def mix(*numbers: int) -> int:
    """64 bits that depend on all numbers (splitmix64's finaliser over a running sum)."""
    state = 0x9E3779B97F4A7C15
    for number in numbers:
        state = (state ^ (number & MASK)) * 0xBF58476D1CE4E5B9 & MASK
        state = (state ^ state >> 27) * 0x94D049BB133111EB & MASK
        state ^= state >> 31
    return state


_arena_folder: list[Path] = []


def keep_arenas(folder: Path) -> None:
    """Read arenas from files in this folder, and write those that are made: for processes that live for one object."""
    _arena_folder[:] = [folder]


@lru_cache(maxsize=NUM_ARENAS)
def _arena(variant: int) -> bytes:
    return kept(_arena_folder[0], variant) if _arena_folder else make_arena(variant)


def kept(folder: Path, variant: int) -> bytes:
    """An arena from its file, a checksum and the content; made, and written, where that is not there or damaged."""
    stamp = blake2b(Path(__file__).read_bytes() + sys.version.encode(), digest_size=6).hexdigest()
    path = folder / f"arena-{stamp}-{variant}"
    with suppress(OSError):
        data = path.read_bytes()
        if blake2b(data[16:], digest_size=16).digest() == data[:16]:
            return data[16:]
    content = make_arena(variant)
    temporary = folder / f"arena.{os.getpid()}.tmp"
    with suppress(OSError):  # then it is made every time
        folder.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(blake2b(content, digest_size=16).digest() + content)
        temporary.replace(path)
        for old in folder.glob("arena-*"):
            if not old.name.startswith(f"arena-{stamp}-"):
                old.unlink()
    return content


def make_arena(variant: int) -> bytes:
    rng = random.Random(0xA4E7A + variant)
    makers = (_structs, _structs, _numbers, _text, _doubles, _noise)
    content = bytearray()
    for page in range(ARENA_SIZE // PAGE):
        # The first variants are tame: pages of one kind; mixed pages come later.
        maker = _structs if variant == 0 else makers[(page + variant) % len(makers)]
        content += maker(rng, PAGE)
    return bytes(content)


def arena(seed: int) -> bytes:
    """Content of the arena for a seed."""
    return _arena(seed % NUM_ARENAS)


@lru_cache(maxsize=1024)
def page_content(seed: int, address: int) -> bytes:
    """Content of a page that is first touched at run time."""
    start = mix(seed, address) % (ARENA_SIZE // PAGE) * PAGE
    return arena(seed)[start : start + PAGE]


def pointer(rng: random.Random) -> int:
    """An address in the arena that an object may have."""
    return ARENA_BASE + rng.randrange(ARENA_SIZE // PAGE) * PAGE + rng.choice((0, 0, 0, 16, 64, 256, 1024))


def _structs(rng: random.Random, size: int) -> bytes:
    """Fields: pointers, nulls, pairs of small ints."""
    words: list[int] = []
    for _ in range(size // 8):
        choice = rng.random()
        if choice < 0.06 and words and words[-1] >= ARENA_BASE:
            words.append(words[-1] + rng.choice((0, 1, 4, 8, 16, 40)))  # begin, position, end
        elif choice < 0.3:
            words.append(pointer(rng))
        elif choice < 0.5:
            words.append(0)
        elif choice < 0.9:
            words.append(rng.randrange(12) | (rng.choice((0, 0, 1, 2, 5, 100)) << 32))
        else:
            words.append(int.from_bytes(rng.choice(_WORDS).encode()[:7].ljust(8, b"\0"), "little"))
    return struct.pack(f"<{len(words)}Q", *words)


def _numbers(rng: random.Random, size: int) -> bytes:
    values = [
        rng.choice((rng.randrange(-4, 20), rng.randrange(256), rng.choice(_INTERESTING))) for _ in range(size // 4)
    ]
    return struct.pack(f"<{len(values)}I", *(value & 0xFFFFFFFF for value in values))


def _text(rng: random.Random, size: int) -> bytes:
    content = bytearray()
    while len(content) < size:
        content += rng.choice(_WORDS).encode() + rng.choice((b"\0", b"\0", b" ", b",", b"\n"))
    content[size - 1] = 0
    return bytes(content[:size])


def _doubles(rng: random.Random, size: int) -> bytes:
    half = size // 2
    doubles = struct.pack(f"<{half // 8}d", *(rng.choice(_DOUBLES) for _ in range(half // 8)))
    return doubles + struct.pack(f"<{half // 4}f", *(rng.choice(_DOUBLES) for _ in range(half // 4)))


def _noise(rng: random.Random, size: int) -> bytes:
    return rng.randbytes(size)


def choose_int(rng: random.Random, bits: int, hints: Hints) -> int:
    """A value of an integer, mostly small; unsigned, of `bits` bits."""
    choice = rng.random()
    if choice < 0.5:
        value = rng.randrange(17)
    elif choice < 0.75 and hints.constants:
        value = rng.choice(hints.constants) + rng.choice((0, 0, 0, 1, -1))
    elif choice < 0.85:
        value = rng.choice(_INTERESTING)
    elif choice < 0.93:
        value = rng.randrange(256)
    else:
        value = rng.getrandbits(bits)
    return value & ((1 << bits) - 1)


def choose_float(rng: random.Random, bits: int) -> int:
    """Bits of a float."""
    value = rng.choice(_DOUBLES) if rng.random() < 0.6 else rng.uniform(-1000, 1000)
    match bits:
        case 64:
            return int.from_bytes(struct.pack("<d", value), "little")
        case 32:
            return int.from_bytes(struct.pack("<f", value), "little")
        case 16:
            return int.from_bytes(struct.pack("<e", max(-60000.0, min(60000.0, value))), "little")
        case _:  # a vector, or fp128 (whose bits then are those of some small number)
            word = choose_float(rng, rng.choice((32, 64)))
            return sum(word << shift for shift in range(0, bits, 64 if word >> 32 else 32))


def long_double_bytes(value: float) -> bytes:
    """x87's 80 bits of a double that is zero or normal."""
    (bits,) = struct.unpack("<Q", struct.pack("<d", value))
    sign, exponent, fraction = bits >> 63, bits >> 52 & 0x7FF, bits & ((1 << 52) - 1)
    if exponent == 0:
        return struct.pack("<QH", 0, sign << 15)
    if exponent == 0x7FF:
        return struct.pack("<QH", 1 << 63 | fraction << 11, sign << 15 | 0x7FFF)
    return struct.pack("<QH", 1 << 63 | fraction << 11, sign << 15 | (exponent - 1023 + 16383))


def long_double_value(data: bytes) -> float:
    """The double nearest to x87's 80 bits."""
    mantissa, high = struct.unpack("<QH", data[:10])
    sign, exponent = -1.0 if high >> 15 else 1.0, high & 0x7FFF
    if exponent == 0x7FFF:
        return sign * float("inf") if mantissa << 1 & MASK == 0 else float("nan")
    try:
        return sign * mantissa * 2.0 ** (exponent - 16383 - 63)
    except OverflowError:
        return sign * float("inf") if exponent > 16383 else sign * 0.0


def make_inputs(seed: int, machine: Machine, signature: Signature | None, hints: Hints, *, salt: int = 0) -> Inputs:
    """Arguments for a seed; `salt` varies them on the same memory."""
    rng = random.Random(mix(seed, salt, 0x1A))
    registers: dict[int, int] = {}
    stack: list[tuple[int, bytes]] = []
    if signature is None:
        _guess_arguments(rng, machine, hints, registers, stack)
    else:
        _fill_parameters(rng, machine, signature, hints, registers, stack, seed, salt)
    pokes = _pokes(rng, registers, hints) if seed or salt else ()
    return Inputs(
        seed=seed,
        salt=salt,
        registers=tuple(sorted(registers.items())),
        stack=tuple(stack),
        pokes=pokes,
        perturb_globals=(seed + salt) % 2 == 1,
    )


def _guess_arguments(
    rng: random.Random, machine: Machine, hints: Hints, registers: dict[int, int], stack: list[tuple[int, bytes]]
) -> None:
    """Something in every register and stack slot that may be an argument."""
    for position in machine.integer_arguments:
        registers[position] = pointer(rng) if rng.random() < 0.55 else choose_int(rng, 64, hints)
    for position in machine.float_arguments:
        registers[position] = choose_float(rng, rng.choice((64, 64, 32)))
    if machine.link is None:
        registers[0] = len(machine.float_arguments)  # al: vector registers used by a variadic call
    words = [pointer(rng) if rng.random() < 0.5 else choose_int(rng, 64, hints) for _ in range(NUM_STACK_WORDS)]
    stack.append((0, struct.pack(f"<{NUM_STACK_WORDS}Q", *words)))


def _fill_parameters(
    rng: random.Random,
    machine: Machine,
    signature: Signature,
    hints: Hints,
    registers: dict[int, int],
    stack: list[tuple[int, bytes]],
    seed: int,
    salt: int,
) -> None:
    """Values of the parameters' types; what is not defined by the types is garbage."""
    for position in (*machine.integer_arguments, *machine.float_arguments):
        registers[position] = rng.getrandbits(64) | 1 << 63
    counted = False
    taken, mask = set[int](), 0xFF
    if signature.is_variadic:
        _guess_arguments(rng, machine, hints, registers, stack)
    for value, location in zip(signature.parameters, parameter_locations(machine, signature), strict=True):
        if value.in_memory:
            start = rng.randrange(ARENA_SIZE // PAGE) * PAGE
            content = arena(rng.randrange(NUM_ARENAS))[start : start + value.in_memory]
            stack.append((location.offset, _fill_fields(rng, value, hints, content.ljust(value.in_memory, b"\0"))))
            continue
        bits = _choose(rng, value, hints)
        if value.kind is Kind.INT and value.bits > 4:
            # No two alike, as far as that is easy: where a compared value came from is told by the value.
            if bits & mask in taken:
                bits = _choose(rng, value, hints)
            taken.add(bits & mask)
        if value.kind is Kind.INT and value.bits > 4 and not counted and not salt and rng.random() < 0.8:
            # The first integer counts with the seed: switches and tables are met entry by entry.
            bits = (bits & ~((1 << max(32 * value.extended, value.bits)) - 1)) | seed
            counted = True
        if location.register is not None:
            registers[location.register] = bits
        elif value.kind is Kind.LONG_DOUBLE:
            stack.append((location.offset, long_double_bytes(rng.choice(_DOUBLES)).ljust(16, b"\0")))
        else:
            stack.append((location.offset, bits.to_bytes(max(8, -(-value.bits // 8)), "little")))


def _fill_fields(rng: random.Random, value: Value, hints: Hints, content: bytes) -> bytes:
    """A record passed by value, its fields filled by their types."""
    filled = bytearray(content)
    for offset, kind, bits in value.fields:
        chosen = _choose(rng, Value(kind=kind, bits=bits), hints) & ((1 << bits) - 1)
        filled[offset : offset + bits // 8] = chosen.to_bytes(bits // 8, "little")
    return bytes(filled[: len(content)])


def _choose(rng: random.Random, value: Value, hints: Hints) -> int:
    if value.kind is Kind.POINTER:
        return 0 if not value.nonnull and rng.random() < 0.05 else pointer(rng)
    if value.kind is not Kind.INT:
        return choose_float(rng, value.bits)
    chosen = choose_int(rng, value.bits, hints)
    width = value.bits
    if value.extended and width < 32:
        if value.signed and chosen >> (width - 1):
            chosen |= 0xFFFFFFFF & ~((1 << width) - 1)
        width = 32
    return chosen if width >= 64 else chosen | rng.getrandbits(64 - width) << width


def _pokes(rng: random.Random, registers: dict[int, int], hints: Hints) -> tuple[tuple[Place, Content], ...]:
    """Values at the offsets that the function reads from the objects its arguments point at."""
    if not hints.offsets:
        return ()
    pokes: list[tuple[Place, Content]] = []
    for address in registers.values():
        if not ARENA_BASE <= address < ARENA_BASE + ARENA_SIZE - PAGE // 2:
            continue
        for offset in hints.offsets:
            if not 0 <= offset < PAGE // 2 or rng.random() < 0.5:
                continue
            if offset % 8 == 0 and rng.random() < 0.4:
                pokes.append((address + offset, struct.pack("<Q", rng.choice((0, pointer(rng), pointer(rng))))))
            else:
                size = 4 if offset % 4 == 0 else 1
                pokes.append((address + offset, choose_int(rng, 8 * size, hints).to_bytes(size, "little")))
    return tuple(pokes)


def global_content(seed: int, name: str, size: int) -> bytes:
    """What to put into external data that begins as zeros."""
    rng = random.Random(f"{seed} {name}")
    if size in (1, 2, 4):
        return choose_int(rng, 8 * size, Hints()).to_bytes(size, "little")
    if size == 8:
        return struct.pack(
            "<Q", rng.choice((0, pointer(rng), pointer(rng), rng.randrange(10), rng.getrandbits(48) | 1 << 40))
        )
    # Large tables are made of the arena's pages: making numbers one by one takes a second for a megabyte.
    start = rng.randrange(ARENA_SIZE // PAGE) * PAGE
    content = arena(seed)[start:] + arena(seed)[:start]
    return (content * (size // ARENA_SIZE + 1))[:size]


def describe_arguments(inputs: Inputs, machine: Machine, signature: Signature | None) -> str:
    """Arguments as a reader of a verdict may want them."""
    positions: Sequence[int]
    if signature is not None:
        locations = parameter_locations(machine, signature)
        positions = [location.register for location in locations if location.register is not None]
    else:
        positions = machine.integer_arguments[:4]
    values = dict(inputs.registers)
    shown = [f"{machine.names[position]}={values.get(position, 0):#x}" for position in positions[:6]]
    return " ".join(shown)
