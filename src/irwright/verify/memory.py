"""Memory of one emulated object: host buffers that Unicorn works on in place, restored between runs by copying.

Pages that nothing maps are filled from the seed when they are first touched: they lie in one pool that is mapped for
Unicorn once, and its translation of addresses leads there, since mapping a page costs fifty times as much. Addresses
near zero, the gaps of the image, and what no process can map are faults.
"""

from __future__ import annotations

import ctypes
import mmap
import weakref
from bisect import bisect_right
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from typing import Any

from unicorn import (
    UC_HOOK_MEM_READ_UNMAPPED,
    UC_HOOK_MEM_WRITE_UNMAPPED,
    UC_HOOK_TLB_FILL,
    UC_PROT_EXEC,
    UC_PROT_READ,
    UC_PROT_WRITE,
    UC_TLB_VIRTUAL,
)
from unicorn.unicorn_const import UC_CTL_TLB_FLUSH, UC_MEM_FETCH

from irwright.errors import IrwrightError
from irwright.verify.image import PAGE, Image
from irwright.verify.inputs import ARENA_BASE, ARENA_SIZE, Content, Inputs, Place, arena, global_content, page_content
from irwright.verify.machine import library

HEAP_BASE = 0x5581C0DE0000
HEAP_SIZE = 64 * PAGE
STACK_TOP = 0x7FFD9ABC8000
STACK_SIZE = 32 * PAGE
STACK_MARGIN = 4 * PAGE
"""above the first stack pointer: arguments, and what buggy code reads beyond them"""
LIBC_BASE = 0x7F31C0440000
LIBC_SIZE, ERRNO = 2 * PAGE, 0x1040
"""data of the C library itself"""
MAX_FILLED = 1 << 16
"""bytes of external data that may be filled"""
RETURN_ADDRESS = 0x1EADBEEC000
"""where a function returns to; no memory is there"""
LOWEST = 0x10000
HIGHEST = 0x7FFFFFFFF000
MAX_PAGES, MAX_KEPT_PAGES = 256, 48
"""pages filled on demand in one run, and kept for the next"""
POOL_BASE = 1 << 50
POOL = POOL_BASE, POOL_BASE + MAX_PAGES * PAGE - 1
"""where Unicorn holds the pages filled on demand, and says that it sees them"""
NOWHERE = POOL_BASE - PAGE
"""what Unicorn is told of a page that a program must not touch: nothing is mapped there"""
ADDRESS_BITS = (1 << 52) - 1
"""what Unicorn looks at of an address: callees that are played do the same"""
FREE_FILL, STACK_FILL = 0xA5, 0x5C
FILE_OFFSET = 0x800
"""of the FILE that `stdout` and its like point at, in the page of the symbol"""
STANDARD_STREAMS = ("stdin", "stdout", "stderr")


class Fault(Exception):  # noqa: N818 - ends a run, which is data
    """The emulated program touched what it must not."""


@dataclass(slots=True)
class Region:
    """Some pages on the host."""

    address: int
    size: int
    host: mmap.mmap
    pointer: int
    """of the host"""
    pristine: bytes | None = None
    """what a run begins with; None where that depends on the run"""

    @property
    def end(self) -> int:
        return self.address + self.size


def _new_host(size: int) -> tuple[mmap.mmap, int]:
    host = mmap.mmap(-1, size)
    return host, ctypes.addressof(ctypes.c_char.from_buffer(host))


def loosely(method: Callable[..., Any]) -> Callable[..., Any]:
    """A hook that does not keep its object alive: an emulator is freed with its last user, and a gigabyte with it."""
    reference = weakref.WeakMethod(method)

    def hook(*arguments: Any) -> Any:
        target = reference()
        return None if target is None else target(*arguments)

    return hook


class Memory:
    """All memory of one emulator."""

    def __init__(
        self, uc: Any, image: Image, *, functions: Container[str] = (), libc: bytes = b"", fill: int = 0
    ) -> None:
        """`functions` holds those of other objects; `libc` is what the C library's pages hold.

        `fill` changes what is in memory that a program has not written, and where stack and heap are: correct
        programs do the same.
        """
        self._uc = uc
        self._handle = uc._uch
        self._image = image
        self._fill = fill
        self._regions: list[Region] = []
        self._starts: list[int] = []
        self.writable: list[Region] = []
        """of the image"""
        self._map_image()
        both = UC_PROT_READ | UC_PROT_WRITE
        self.arena = self._map(ARENA_BASE, bytes(ARENA_SIZE), both)
        self.libc = self._map(LIBC_BASE, libc.ljust(LIBC_SIZE, b"\0"), both)
        self.libc.pristine = self._libc_content = bytes(self.libc.host[:])
        shift = PAGE * 16 * fill
        self.heap = self._map(HEAP_BASE + shift, bytes(HEAP_SIZE), both)
        self.stack = self._map(STACK_TOP - STACK_SIZE - shift, bytes(STACK_SIZE), both)
        self._stack_content = bytes([0 if fill else STACK_FILL]) * STACK_SIZE
        self._heap_content = bytes([0 if fill else FREE_FILL]) * HEAP_SIZE
        self._pool, self._pool_pointer = _new_host(MAX_PAGES * PAGE)
        self.heap_used = HEAP_SIZE
        """bytes from its start that were allocated in this run"""
        self.pages: dict[int, int] = {}
        """pages filled on demand: address to offset in the pool"""
        self._page_at: list[int] = []
        """their addresses, by number in the pool"""
        self._filled: dict[int, bytes] = {}
        """what the pool begins with, by seed"""
        externals = image.externals
        self._streams = {externals.address(name) for name in STANDARD_STREAMS if name in externals.names}
        self.fault = ""
        """why the last access that Unicorn refused is one"""
        self.fault_address: int | None = None
        self._refused: int | None = None
        """the last page that a program must not touch, and did"""
        self._is_stale = False
        """pages were forgotten"""
        self._seed = 0
        self.globals = {named.name: (named, self.read(named.address, named.size)) for named in image.writable_names()}
        """named data that code may write, with its first content"""
        self._placed: dict[int, list[tuple[str, int, int]]] = {}
        self._fillable = [
            named
            for named, content in self.globals.values()
            if not named.is_local and named.size <= MAX_FILLED and not any(content)
        ]
        self._map_host(POOL_BASE, MAX_PAGES * PAGE, both, self._pool_pointer)
        uc.hook_add(UC_HOOK_MEM_READ_UNMAPPED | UC_HOOK_MEM_WRITE_UNMAPPED, loosely(self._on_unmapped))
        translate = loosely(self._translate)
        for begin, end in self._gaps(functions):
            uc.hook_add(UC_HOOK_TLB_FILL, translate, begin=begin, end=end)
        uc.ctl_set_tlb_mode(UC_TLB_VIRTUAL)

    def _map_image(self) -> None:
        for segment in self._image.segments:
            protection = UC_PROT_READ
            if segment.is_code:
                protection |= UC_PROT_EXEC
            elif segment.is_writable:
                protection |= UC_PROT_WRITE
            before = segment.address % PAGE
            content = bytes(before) + segment.data
            region = self._map(segment.address - before, content, protection)
            if segment.is_writable and not segment.is_code:
                region.pristine = content
                self.writable.append(region)

    def _map(self, address: int, content: bytes, protection: int) -> Region:
        host, pointer = _new_host(len(content))
        host[:] = content
        region = Region(address, len(content), host, pointer)
        self._map_host(address, len(content), protection, pointer)
        at = bisect_right(self._starts, address)
        self._starts.insert(at, address)
        self._regions.insert(at, region)
        return region

    def _map_host(self, address: int, size: int, protection: int, pointer: int) -> None:
        code = library.uc_mem_map_ptr(
            self._handle, ctypes.c_uint64(address), ctypes.c_size_t(size), protection, ctypes.c_void_p(pointer)
        )
        if code:
            raise IrwrightError(f"the emulator can't map {size} bytes at {address:#x} (error {code})")

    def _gaps(self, functions: Container[str]) -> Iterator[tuple[int, int]]:
        """First and last addresses of what a page may be filled in; what runs often leads to is left out."""
        externals = self._image.externals
        known = [(one.address, one.end) for one in self._regions]
        known += [(at, at + PAGE) for at in map(externals.address, filter(functions.__contains__, externals.names))]
        known.append((RETURN_ADDRESS - PAGE, RETURN_ADDRESS + PAGE))
        begin = 0
        for start, end in sorted(known):
            if begin < start:
                yield begin, start - 1
            begin = end
        yield begin, (1 << 64) - 1

    @property
    def stack_start(self) -> int:
        """The first stack pointer, aligned to 16, where stack arguments of a callee begin."""
        return self.stack.end - STACK_MARGIN

    # -------------------------------------------------------------- a run begins

    def restore(self, inputs: Inputs) -> None:
        """Make memory what a run with these inputs begins with."""
        self._seed = inputs.seed
        self.fault = ""
        self.fault_address = None
        if len(self.pages) > MAX_KEPT_PAGES:
            self.forget_pages()
        if self._refused is not None or self._is_stale:  # Unicorn remembers where pages are
            self._uc._Uc__ctl_w(UC_CTL_TLB_FLUSH)
            self._refused, self._is_stale = None, False
        if self.pages:  # kept, since asking Python for a page costs more than filling it
            self._fill_pages()
        for region in self.writable:
            assert region.pristine is not None
            ctypes.memmove(region.pointer, region.pristine, region.size)
        ctypes.memmove(self.libc.pointer, self._libc_content, LIBC_SIZE)
        if inputs.seed:
            self.write(LIBC_BASE + ERRNO, (inputs.seed * 5 % 40).to_bytes(4, "little"))
        ctypes.memmove(self.arena.pointer, arena(inputs.seed), ARENA_SIZE)
        ctypes.memmove(self.stack.pointer, self._stack_content, STACK_SIZE)
        ctypes.memmove(self.heap.pointer, self._heap_content, min(HEAP_SIZE, self.heap_used + 4 * PAGE))
        self.heap_used = 0
        if inputs.perturb_globals:
            for named in self._fillable:
                self.write(named.address, global_content(inputs.seed, named.name, named.size))
        for place, content in inputs.pokes:
            self.poke(place, content)

    def _fill_pages(self) -> None:
        """Give every page its first content: one copy where this seed had as many before."""
        filled = self._filled.get(self._seed, b"")
        size = PAGE * len(self.pages)
        if len(filled) != size:
            filled = b"".join(map(self.first_content, self.pages))
            self._filled[self._seed] = filled
        ctypes.memmove(self._pool_pointer, filled, size)

    @property
    def first_arena(self) -> bytes:
        """What the arena began with, but for what was put on top of it."""
        return arena(self._seed)

    def changed_globals(self) -> set[str]:
        """Names of `globals` that hold something else than at first."""
        found: set[str] = set()
        for region in self.writable:
            content = region.host[:]
            if content == region.pristine:
                continue
            assert region.pristine is not None
            for name, start, end in self._globals_in(region):
                if content[start:end] != region.pristine[start:end]:
                    found.add(name)
        return found

    def _globals_in(self, region: Region) -> list[tuple[str, int, int]]:
        """(name, start, end) of each in a region."""
        if region.address not in self._placed:
            self._placed[region.address] = [
                (name, named.address - region.address, named.end - region.address)
                for name, (named, _) in self.globals.items()
                if region.address <= named.address < region.end
            ]
        return self._placed[region.address]

    def same_pages(self, other: Memory) -> bool:
        """Both have the same pages that were filled on demand, with the same content."""
        size = PAGE * len(self.pages)
        return self.pages == other.pages and self._pool[:size] == other._pool[:size]

    def forget_pages(self) -> None:
        """Forget what was filled on demand: after the next run, `pages` are those that it touched."""
        self._is_stale = self._is_stale or bool(self.pages)
        self.pages.clear()
        self._page_at.clear()
        self._filled.clear()

    def poke(self, place: Place, content: Content) -> None:
        """Put something into memory, wherever each version has it."""
        if isinstance(content, tuple):
            address = self._image.address_of(content[0])
            if address is None:
                return
            content = (address + content[1]).to_bytes(8, "little")
        if isinstance(place, int):
            if ARENA_BASE <= place <= ARENA_BASE + ARENA_SIZE - len(content):
                offset = place - ARENA_BASE
                self.arena.host[offset : offset + len(content)] = content
            else:
                self.write(place, content)
            return
        named, _ = self.globals.get(place[0], (None, b""))
        if named is not None and place[1] + len(content) <= named.size:
            self.write(named.address + place[1], content)

    def is_stack(self, address: int) -> bool:
        return self.stack.address <= address < self.stack.end

    def is_data(self, address: int) -> bool:
        """Mapped, and a program may write there."""
        region = self.region_at(address)
        return region is not None and (region.pristine is not None or not self._image.contains(address))

    def is_writable(self, address: int) -> bool:
        """In data of the image that code may write."""
        return any(region.address <= address < region.end for region in self.writable)

    # ------------------------------------------------------------------ accesses

    def _translate(self, _uc: Any, address: int, access: int, entry: Any, _data: Any) -> bool:
        """Where Unicorn finds a page: at its own address, in the pool, or nowhere."""
        address &= ADDRESS_BITS & -PAGE
        entry.paddr = address
        if access == UC_MEM_FETCH:
            entry.perms = UC_PROT_EXEC
            return True
        entry.perms = UC_PROT_READ | UC_PROT_WRITE
        if self.region_at(address) is None:
            try:
                entry.paddr = POOL_BASE + self.page(address)
            except Fault as fault:
                self.fault, self._refused = str(fault), address
                entry.paddr = NOWHERE
        return True

    def _on_unmapped(self, _uc: Any, _access: int, address: int, _size: int, _value: int, _data: Any) -> bool:
        if self._refused is None:
            self.fault, self._refused = "access to code of another object", address & -PAGE
        self.fault_address = self._refused + address % PAGE
        return False

    def seen_at(self, address: int) -> int:
        """The program's address of what Unicorn tells its hooks."""
        if not POOL[0] <= address <= POOL[1]:
            return address
        return self._page_at[(address - POOL_BASE) // PAGE] + address % PAGE

    def page(self, address: int) -> int:
        """Fill a page; its offset in the pool. Fault where a program must not go."""
        known = self.pages.get(address)
        if known is not None:
            return known
        if address < LOWEST:
            raise Fault("null pointer access")
        if address >= HIGHEST:
            raise Fault(f"access to {address:#x}, which is no address of a program")
        if self._image.contains(address):
            raise Fault("access outside the object's data")
        if self.stack.address - 64 * PAGE <= address < self.stack.address:
            raise Fault("stack overflow")
        if len(self.pages) >= MAX_PAGES:
            raise Fault(f"over {MAX_PAGES} pages touched")
        offset = PAGE * len(self.pages)
        content = self.first_content(address)
        self._pool[offset : offset + PAGE] = content
        self.pages[address] = offset
        self._page_at.append(address)
        return offset

    def first_content(self, address: int) -> bytes:
        """What a page that is filled on demand begins with."""
        content = page_content(self._seed, address)
        if address in self._streams:
            return (address + FILE_OFFSET).to_bytes(8, "little") + content[8:]
        return content

    def region_at(self, address: int) -> Region | None:
        at = bisect_right(self._starts, address) - 1
        if at >= 0 and address < self._regions[at].end:
            return self._regions[at]
        return None

    def read(self, address: int, size: int) -> bytes:
        """Bytes as the program sees them; Fault."""
        address &= ADDRESS_BITS
        region = self.region_at(address)
        if region is not None and address + size <= region.end:
            offset = address - region.address
            return region.host[offset : offset + size]
        content = bytearray()
        self.fault_address = address  # until it is clear that it is none
        while size > 0:
            chunk = min(size, PAGE - address % PAGE)
            region = self.region_at(address)
            if region is not None:
                offset = address - region.address
                content += region.host[offset : offset + chunk]
            else:
                offset = self.page(address & -PAGE) + address % PAGE
                content += self._pool[offset : offset + chunk]
            address += chunk
            size -= chunk
        self.fault_address = None
        return bytes(content)

    def write(self, address: int, content: bytes) -> None:
        """Store bytes as the program would; Fault for what it must not write."""
        address &= ADDRESS_BITS
        done = 0
        self.fault_address = address
        while done < len(content):
            at = address + done
            chunk = min(len(content) - done, PAGE - at % PAGE)
            region = self.region_at(at)
            piece = content[done : done + chunk]
            if region is None:
                offset = self.page(at & -PAGE) + at % PAGE
                self._pool[offset : offset + chunk] = piece
            elif region.pristine is None and self._image.contains(at):
                raise Fault("write to read-only data")
            else:
                offset = at - region.address
                region.host[offset : offset + chunk] = piece
            done += chunk
        self.fault_address = None

    def read_string(self, address: int, limit: int = 1 << 16) -> bytes:
        """Bytes up to the first NUL, which is left out; Fault where there is none within `limit`."""
        content = b""
        while len(content) < limit:
            chunk = self.read(address + len(content), PAGE - (address + len(content)) % PAGE)
            end = chunk.find(b"\0")
            if end >= 0:
                return content + chunk[:end]
            content += chunk
        raise Fault(f"a string of over {limit} bytes")

    def page_bytes(self, address: int) -> bytes:
        """Content of a page that was filled on demand, or what it would be filled with."""
        offset = self.pages.get(address)
        if offset is not None:
            return self._pool[offset : offset + PAGE]
        return self.first_content(address)
