"""A callee of which at most the signature is known: its arguments are recorded, and it does something.

What it returns, and writes into objects that it is given, depends on the seed, its name and how often it was called.
"""

from __future__ import annotations

import struct

from irwright.verify.abi import ST0, result_locations
from irwright.verify.calls import Call, EndRun
from irwright.verify.image import PAGE
from irwright.verify.inputs import ARENA_BASE, ARENA_SIZE, MASK, mix
from irwright.verify.memory import STACK_FILL, Fault
from irwright.verify.signatures import Kind, Signature, Value
from irwright.verify.trace import Argument

TIRED = 24
"""calls of one callee after which it returns the same for a while: loops that wait for a result come to an end"""
PHASES = (0, -1, 1, 2)
"""what it then returns, each so many times in turn"""
PHASE_CALLS = 12
MAX_LOCAL_TEXT = 64
"""bytes of a text on the stack that are looked at"""
UNWRITTEN = 4
"""bytes of it that are as they were at first, where nothing was written"""


def play_unknown(call: Call) -> None:
    """A function of which at most the signature is known."""
    signature = call.external.signature
    target = () if call.external.name else ((Kind.POINTER, 64, call.external.address),)
    if signature is None:
        call.record(*target)
        bits = call.chance()
        call.give_pair(likely_pointer(bits, call.seed) if bits & 1 else bits >> 8 & 0xF, bits >> 16 & 0xFF)
        call.give_double((bits >> 24 & 0xFF) / 4)
        return
    arguments: list[Argument] = [*target]
    objects: list[tuple[int, Value]] = []
    texts: list[bytes] = []
    for value in signature.parameters:
        if value.in_memory or value.is_result_address:
            call.next(value)
            continue
        address = call.next(value)
        arguments.append((value.kind, value.bits, address))
        if value.kind is Kind.POINTER and call.memory.is_stack(address):
            texts.append(read_text(call, address, value))
        if value.fields and not signature.is_pure:
            objects.append((address, value))
            if call.memory.is_stack(address):  # other memory is compared at the end
                arguments += read_fields(call, address, value)
    if not signature.is_pure:
        call.record(*arguments, texts=tuple(texts))
    if signature.is_noreturn:
        raise EndRun(f"{call.external.name} does not return")
    # The result of a pure function depends on its arguments alone: calls of it may be merged or left out.
    bits = mix(*(value for _, _, value in arguments), 5, call.seed) if signature.is_pure else call.chance()
    give_results(call, signature, bits)
    for number, (address, value) in enumerate(objects):
        if call.chance(number) & 7:
            write_fields(call, address, value, call.chance(number, 1), number)
    if not signature.is_pure and call.effects:
        for place, content in call.effects.get(call.key, ()):
            call.memory.poke(place, content)


def read_text(call: Call, address: int, value: Value) -> bytes:
    """A text on the stack that the callee can read, as far as it was written; empty where it has no end."""
    if value.fields and not is_text(value):
        return b""
    size = min(field_bytes(value), MAX_LOCAL_TEXT) if value.fields else MAX_LOCAL_TEXT
    try:
        text, end, _ = call.memory.read(address, size).partition(b"\0")
    except Fault:
        return b""
    if not end or text[:2] == bytes(2 * [STACK_FILL]):
        return b""
    return text.partition(bytes(UNWRITTEN * [STACK_FILL]))[0]


def read_fields(call: Call, address: int, value: Value) -> list[Argument]:
    """What the callee can read of an object on the stack; nothing of text, most of which is never written."""
    if is_text(value):
        return []
    try:
        content = call.memory.read(address, field_bytes(value))
    except Fault:
        return []
    return [
        (kind, bits, int.from_bytes(content[offset : offset + bits // 8], "little"))
        for offset, kind, bits in value.fields
    ]


def field_bytes(value: Value) -> int:
    """From the beginning of an object to the end of its last known field."""
    offset, _, bits = value.fields[-1]
    return offset + bits // 8


def is_text(value: Value) -> bool:
    """It points at an array of characters."""
    return len(value.fields) > 1 and all(width == 8 for _, _, width in value.fields)


def write_fields(call: Call, address: int, value: Value, bits: int, number: int) -> None:
    """Change an object that the callee is given, by number: most of its fields, each to something of its type."""
    memory, size = call.memory, field_bytes(value)
    if not memory.is_data(address) or not memory.is_data(address + size - 1):
        return
    if is_text(value):
        words = b"".join(mix(bits, number).to_bytes(8, "little") for number in range(len(value.fields) // 8 + 1))
        text = bytes(97 + byte % 26 for byte in words[: bits % len(value.fields)])
        memory.write(address, text.ljust(len(value.fields), b"\0"))
        return
    content = bytearray(memory.read(address, size))
    word = bits
    for offset, kind, width in value.fields:
        word = (word ^ word >> 29) * 0xBF58476D1CE4E5B9 & MASK
        if word >> 60 < 4 and len(value.fields) > 1:
            continue
        if kind is Kind.POINTER:
            chosen = likely_pointer(word, 0)
        elif kind is Kind.INT:
            chosen = likely_number(word)
        else:
            number_value = (word >> 8 & 0xFF) / 4
            chosen = int.from_bytes(struct.pack("<f" if width == 32 else "<d", number_value), "little")
        key = (f"{call.key[0]} {number}+{offset}", call.count)
        chosen = call.overrides.get(key, chosen & ((1 << width) - 1))
        call.filled.append((key, chosen, width))
        end = offset + width // 8
        content[offset:end] = (chosen & ((1 << width) - 1)).to_bytes(width // 8, "little")
    memory.write(address, bytes(content))


def give_results(call: Call, signature: Signature, bits: int) -> None:
    """Something of the signature's type, made from random bits."""
    places = result_locations(call.machine, signature)
    if places is None:
        raise EndRun(f"{call.external.name} returns what is not played", chosen=False)
    for index, (value, place) in enumerate(zip(signature.results, places, strict=True)):
        word = mix(bits, index)
        if place == ST0:
            call.give_long_double((word & 0xFF) / 4)
            continue
        is_free = index == 0 and value.kind in (Kind.INT, Kind.POINTER) and not signature.is_pure
        if is_free and call.override is not None:
            chosen = extended_integer(call.override, word, value)
        elif is_free and call.count > TIRED:
            chosen = tired_result(call, word, value)
        elif value.kind is Kind.POINTER:
            chosen = likely_pointer(word, call.seed)
        elif value.kind is Kind.INT:
            chosen = likely_integer(word, value)
        elif value.bits == 32:
            chosen = int.from_bytes(struct.pack("<f", (word & 0xFFF) / 16), "little")
        elif value.bits == 64:
            chosen = int.from_bytes(struct.pack("<d", (word & 0xFFF) / 16), "little")
        else:
            chosen = word | mix(word) << 64
        if is_free:
            call.free_result = (call.key, chosen & ((1 << value.bits) - 1), value.bits)
        call.place_result(place, chosen)


def tired_result(call: Call, word: int, value: Value) -> int:
    """What a callee returns that was called often: one thing for a while, then another."""
    phase = call.count // PHASE_CALLS % len(PHASES)
    if value.kind is Kind.POINTER:
        return 0 if phase % 2 else likely_pointer(word, call.seed)
    return extended_integer(PHASES[phase], word, value)


def likely_pointer(bits: int, seed: int) -> int:
    """An object in the arena; for most seeds, null one time in eight."""
    if bits >> 8 & 7 == 0 and seed & 3:
        return 0
    return ARENA_BASE + (bits >> 16) % (ARENA_SIZE // PAGE) * PAGE + (bits >> 32 & 3) * 64


def likely_integer(bits: int, value: Value) -> int:
    """Mostly zero or small, as results of functions are; with garbage above what is defined."""
    return extended_integer(likely_number(bits), bits, value)


def likely_number(bits: int) -> int:
    """Mostly zero or small; of any width and sign."""
    choice, word = bits & 15, bits >> 16
    if choice < 5:
        return 0
    if choice < 9:
        return 1
    if choice < 11:
        return -1
    return word & 0x3F if choice < 15 else word


def extended_integer(chosen: int, bits: int, value: Value) -> int:
    """A result of its width, with garbage above what is defined."""
    defined = (1 << value.bits) - 1
    chosen &= defined
    if value.extended and value.bits < 8:
        defined = 0xFF
    return chosen | (bits << 32 | bits >> 8 & 0xFFFFFF00) & MASK & ~defined
