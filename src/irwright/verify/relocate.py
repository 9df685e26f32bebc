"""Relocations of x86-64 and AArch64 ELF objects, as the System V ABI supplements define them (psABI 1.0, AAELF64).

S is the symbol's address, A the addend, P the place. A kind that is not known is a RelocationError: the section is
not emulated, the rest of the object is.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto


class RelocationError(Exception):
    """A relocation that can't be applied; kept as the reason why a section is not emulated."""


class GotEntry(Enum):
    """What a GOT entry holds."""

    ADDRESS = auto()
    TLS_OFFSET = auto()
    """from the thread pointer"""
    TLS_MODULE = auto()
    """a module and an address: what __tls_get_addr is called with"""
    TLS_BLOCK = auto()
    TLS_DESCRIPTOR = auto()


@dataclass(frozen=True, slots=True)
class Tls:
    start: int
    """of the block"""
    thread_pointer: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One relocation to apply, with everything resolved."""

    data: bytearray
    offset: int
    address: int
    """P"""
    kind: int
    target: int
    """S"""
    addend: int
    got: Callable[[GotEntry], int]
    """address of the symbol's GOT entry"""
    got_start: int
    tls: Tls


def _store(place: Place, value: int, size: int, *, signed: bool | None = None) -> None:
    """Store little-endian; `signed` says how a value of 4 bytes must fit, None that it is cut."""
    bits = 8 * size
    if signed is not None:
        low, high = (-(1 << (bits - 1)), 1 << (bits - 1)) if signed else (0, 1 << bits)
        if not low <= value < high:
            raise RelocationError(f"relocation of kind {place.kind} overflows")
    if place.offset + size > len(place.data):
        raise RelocationError("a relocation past the end of its section")
    place.data[place.offset : place.offset + size] = (value & ((1 << bits) - 1)).to_bytes(size, "little")


def apply_x86_64(place: Place) -> None:
    """Apply one R_X86_64_* relocation."""
    total = place.target + place.addend
    match place.kind:
        case 0:  # NONE
            pass
        case 1:  # 64
            _store(place, total, 8)
        case 2 | 4:  # PC32, PLT32
            _store(place, total - place.address, 4, signed=True)
        case 10:  # 32
            _store(place, total, 4, signed=False)
        case 11:  # 32S
            _store(place, total, 4, signed=True)
        case 12:  # 16
            _store(place, total, 2)
        case 14:  # 8
            _store(place, total, 1)
        case 13:  # PC16
            _store(place, total - place.address, 2)
        case 15:  # PC8
            _store(place, total - place.address, 1)
        case 24:  # PC64
            _store(place, total - place.address, 8)
        case 9 | 41 | 42 | 43 | 44 | 45:  # GOTPCREL, GOTPCRELX, REX_GOTPCRELX, their APX forms
            _store(place, place.got(GotEntry.ADDRESS) + place.addend - place.address, 4, signed=True)
        case 28:  # GOTPCREL64
            _store(place, place.got(GotEntry.ADDRESS) + place.addend - place.address, 8)
        case 3:  # GOT32
            _store(place, place.got(GotEntry.ADDRESS) - place.got_start + place.addend, 4, signed=True)
        case 27:  # GOT64
            _store(place, place.got(GotEntry.ADDRESS) - place.got_start + place.addend, 8)
        case 25:  # GOTOFF64
            _store(place, total - place.got_start, 8)
        case 26:  # GOTPC32
            _store(place, place.got_start + place.addend - place.address, 4, signed=True)
        case 29:  # GOTPC64
            _store(place, place.got_start + place.addend - place.address, 8)
        case 31:  # PLTOFF64
            _store(place, total - place.got_start, 8)
        case 18:  # TPOFF64
            _store(place, total - place.tls.thread_pointer, 8)
        case 23:  # TPOFF32
            _store(place, total - place.tls.thread_pointer, 4, signed=True)
        case 17:  # DTPOFF64
            _store(place, total - place.tls.start, 8)
        case 21:  # DTPOFF32
            _store(place, total - place.tls.start, 4, signed=True)
        case 22:  # GOTTPOFF
            _store(place, place.got(GotEntry.TLS_OFFSET) + place.addend - place.address, 4, signed=True)
        case 19:  # TLSGD
            _store(place, place.got(GotEntry.TLS_MODULE) + place.addend - place.address, 4, signed=True)
        case 20:  # TLSLD
            _store(place, place.got(GotEntry.TLS_BLOCK) + place.addend - place.address, 4, signed=True)
        case 32 | 33:  # SIZE32, SIZE64 and what nobody emits for code
            raise RelocationError(f"relocation R_X86_64 kind {place.kind} is not emulated")
        case _:
            raise RelocationError(f"relocation R_X86_64 kind {place.kind} is not emulated")


def _page(address: int) -> int:
    return address & ~0xFFF


_LDST_SHIFT = {278: 0, 284: 1, 285: 2, 286: 3, 299: 4}
"""LDST8/16/32/64/128_ABS_LO12_NC to the scale of the immediate"""
_TPREL_LDST_SHIFT = {552: 0, 553: 0, 554: 1, 555: 1, 556: 2, 557: 2, 558: 3, 559: 3, 570: 4, 571: 4}
_MOVW_SHIFT = {263: 0, 264: 0, 265: 16, 266: 16, 267: 32, 268: 32, 269: 48}
"""MOVW_UABS_G0, _G0_NC, ... _G3"""


def apply_aarch64(place: Place) -> None:
    """Apply one R_AARCH64_* relocation."""
    total = place.target + place.addend
    match place.kind:
        case 0 | 256 | 569:  # NONE, TLSDESC_CALL
            pass
        case 257:  # ABS64
            _store(place, total, 8)
        case 258:  # ABS32
            _store(place, total, 4)
        case 259:  # ABS16
            _store(place, total, 2)
        case 260:  # PREL64
            _store(place, total - place.address, 8)
        case 261 | 314:  # PREL32, PLT32
            _store(place, total - place.address, 4, signed=True)
        case 262:  # PREL16
            _store(place, total - place.address, 2)
        case 274:  # ADR_PREL_LO21
            _adr(place, total - place.address)
        case 275 | 276:  # ADR_PREL_PG_HI21(_NC)
            _adr(place, (_page(total) - _page(place.address)) >> 12)
        case 277:  # ADD_ABS_LO12_NC
            _field(place, 10, 12, total & 0xFFF)
        case 279:  # TSTBR14
            _branch(place, total - place.address, 5, 14)
        case 280 | 273:  # CONDBR19, LD_PREL_LO19
            _branch(place, total - place.address, 5, 19)
        case 282 | 283:  # JUMP26, CALL26
            _branch(place, total - place.address, 0, 26)
        case 278 | 284 | 285 | 286 | 299:
            _field(place, 10, 12, (total & 0xFFF) >> _LDST_SHIFT[place.kind])
        case 263 | 264 | 265 | 266 | 267 | 268 | 269:
            _field(place, 5, 16, total >> _MOVW_SHIFT[place.kind] & 0xFFFF)
        case 311:  # ADR_GOT_PAGE
            _adr(place, (_page(place.got(GotEntry.ADDRESS)) - _page(place.address)) >> 12)
        case 312:  # LD64_GOT_LO12_NC
            _field(place, 10, 12, (place.got(GotEntry.ADDRESS) & 0xFFF) >> 3)
        case 309:  # GOT_LD_PREL19
            _branch(place, place.got(GotEntry.ADDRESS) - place.address, 5, 19)
        case 541:  # TLSIE_ADR_GOTTPREL_PAGE21
            _adr(place, (_page(place.got(GotEntry.TLS_OFFSET)) - _page(place.address)) >> 12)
        case 542:  # TLSIE_LD64_GOTTPREL_LO12_NC
            _field(place, 10, 12, (place.got(GotEntry.TLS_OFFSET) & 0xFFF) >> 3)
        case 549:  # TLSLE_ADD_TPREL_HI12
            _field(place, 10, 12, (total - place.tls.thread_pointer) >> 12 & 0xFFF)
        case 550 | 551:  # TLSLE_ADD_TPREL_LO12(_NC)
            _field(place, 10, 12, (total - place.tls.thread_pointer) & 0xFFF)
        case 552 | 553 | 554 | 555 | 556 | 557 | 558 | 559 | 570 | 571:
            offset = (total - place.tls.thread_pointer) & 0xFFF
            _field(place, 10, 12, offset >> _TPREL_LDST_SHIFT[place.kind])
        case 562:  # TLSDESC_ADR_PAGE21
            _adr(place, (_page(place.got(GotEntry.TLS_DESCRIPTOR)) - _page(place.address)) >> 12)
        case 563:  # TLSDESC_LD64_LO12
            _field(place, 10, 12, (place.got(GotEntry.TLS_DESCRIPTOR) & 0xFFF) >> 3)
        case 564:  # TLSDESC_ADD_LO12
            _field(place, 10, 12, place.got(GotEntry.TLS_DESCRIPTOR) & 0xFFF)
        case _:
            raise RelocationError(f"relocation R_AARCH64 kind {place.kind} is not emulated")


def _field(place: Place, position: int, width: int, value: int) -> None:
    """Replace bits of the instruction at the place."""
    (word,) = struct.unpack_from("<I", place.data, place.offset)
    mask = ((1 << width) - 1) << position
    struct.pack_into("<I", place.data, place.offset, word & ~mask | (value << position) & mask)


def _branch(place: Place, distance: int, position: int, width: int) -> None:
    if distance & 3 or not -(1 << (width + 1)) <= distance < 1 << (width + 1):
        raise RelocationError(f"relocation of kind {place.kind} overflows")
    _field(place, position, width, distance >> 2)


def _adr(place: Place, value: int) -> None:
    if not -(1 << 20) <= value < 1 << 20:
        raise RelocationError(f"relocation of kind {place.kind} overflows")
    _field(place, 29, 2, value & 3)
    _field(place, 5, 19, value >> 2)
