"""Run a function of an object under Unicorn: what it returns, what it calls, how it ends.

An `Emulator` holds one object; `run` restores its memory, calls a function and records a `Run`. Calls that leave the
object (undefined symbols, function pointers into data) end at code that is not there: the loop in `run` plays
the callee (calls.py), and goes on at the return address. Memory stays as the run left it until the next one.

What two runs must have in common is observe.py's business.
"""

from __future__ import annotations

import ctypes
import re
import struct
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from unicorn import (
    UC_ERR_EXCEPTION,
    UC_ERR_FETCH_PROT,
    UC_ERR_FETCH_UNMAPPED,
    UC_ERR_INSN_INVALID,
    UC_ERR_OK,
    UC_HOOK_BLOCK,
    UC_HOOK_EDGE_GENERATED,
)

from irwright.verify.calls import Call, EndRun, External, Heap
from irwright.verify.elf import EM_X86_64
from irwright.verify.image import Image, Named
from irwright.verify.inputs import Inputs
from irwright.verify.libc import may_look, play
from irwright.verify.libc_numbers import libc_data
from irwright.verify.machine import MACHINES, RegisterBank, library
from irwright.verify.memory import RETURN_ADDRESS, Fault, Memory, loosely
from irwright.verify.signatures import INDIRECT, Signature, indirect_of
from irwright.verify.trace import Event
from irwright.verify.verdicts import Limits

_PUSHES_RAX = re.compile(rb"(?:[\x51-\x57]|\x41[\x50-\x57])*\x50")
"""the begin of a function's code: registers that are pushed, rax among them"""
SCRUBBED = 8192
"""bytes of unused stack that are cleared at a call"""
MAX_DEPTH = 8
"""of callees that call back"""
GARBAGE, OTHER_GARBAGE = 0xBAD0C0DE5EED0000, 0x0101010101010100
CLOCK = 16
"""calls after which the clock is read again: that is a call of the system, in which others get the processor"""
LOOKED = "ended at a call, as asked for"


class _Ended(Exception):  # noqa: N818 - not an error
    """A run ended inside a callback; how is in the Run."""


class Ending(StrEnum):
    """How a run ended."""

    RETURNED = "returned"
    EXITED = "exited"
    """in a call that does not return"""
    TRAPPED = "trapped"
    """at an instruction that is there to trap"""
    FAULT = "fault"
    LIMIT = "limit"
    UNSUPPORTED = "unsupported"


@dataclass(slots=True, kw_only=True)
class Run:
    """What a run did, beside what it left in memory."""

    ending: Ending
    detail: str = ""
    """why it ended there, where it did not return"""
    events: list[Event] = field(default_factory=list[Event])
    integers: tuple[int, ...] = ()
    """registers of integer results"""
    floats: tuple[int, ...] = ()
    """registers of floating-point results, 128 bits each"""
    long_double: bytes = b""
    """x87's top register"""
    clobbered: str = ""
    """a register that the function should have restored, and did not"""
    num_calls: int = 0
    num_looks: int = 0
    """calls of what may read all memory that it can reach"""
    stuck: str = ""
    """the function called first that did not come back"""

    @property
    def is_complete(self) -> bool:
        """It came to an end that the program chose."""
        return self.ending in (Ending.RETURNED, Ending.EXITED)


class Emulator:
    """One object in memory. Not for several threads; closed by being forgotten."""

    def __init__(
        self,
        image: Image,
        *,
        signatures: Mapping[str, Signature] | None = None,
        limits: Limits | None = None,
        fill: int = 0,
        forgets_frames: bool = False,
    ) -> None:
        """`fill` other than 0 changes whatever correct programs do not depend on; see Memory.

        With `forgets_frames`, what a function of the object leaves on the stack is gone when the next one begins, and
        looks as if nothing had been written there. Slow.
        """
        self.image = image
        self.machine = MACHINES[image.elf.machine]
        self.limits = limits or Limits()
        self.signatures = signatures or {}
        self._fill = fill
        self._uc = self.machine.new()
        self.memory = Memory(self._uc, image, functions=self.signatures, libc=libc_data(), fill=fill)
        self.bank = RegisterBank(self._uc, self.machine)
        self.heap = Heap(self.memory)
        self.executed: dict[int, int] = {}
        """address to size of every piece of code that ever ran; 0: up to the next branch or call"""
        self.known_places: dict[int, dict[tuple[int, int], Any]] = {}
        self.same_at_first: dict[int, dict[str, bool]] = {}
        """what observe.py found of this image and another, by the other emulator's id"""
        self._callees: dict[int, External] = {}
        """functions elsewhere that were called, by address"""
        self._indirect: Signature | None = None
        self._depth = 0
        self._steps, self._max_calls = self.limits.steps, self.limits.calls
        self._looks = 0
        self.on_call: Callable[[Call], None] | None = None
        """is told of each callee that was played"""
        self._first_registers = self._make_first_registers()
        self._uc.hook_add(UC_HOOK_EDGE_GENERATED, loosely(self._on_new_code))
        self._entries = frozenset(function.address for function in image.functions.values())
        if forgets_frames:
            self._makes_room = frozenset(filter(self._pushes_rax, self._entries))
            self._uc.hook_add(UC_HOOK_BLOCK, loosely(self._on_block))
        if self.machine.elf_machine != EM_X86_64:
            self._enable_vectors()

    def _enable_vectors(self) -> None:
        from unicorn import arm64_const

        self._uc.reg_write(arm64_const.UC_ARM64_REG_CPACR_EL1, 3 << 20)

    def _on_new_code(self, _uc: Any, block: Any, _previous: Any, _data: Any) -> None:
        self.executed[block.pc] = max(self.executed.get(block.pc, 0), block.size)

    def _on_block(self, _uc: Any, address: int, _size: int, _data: Any) -> None:
        if address in self._entries:
            self._scrub(self._uc.reg_read(self.machine.registers[self.machine.stack_pointer]))
        if address in self._makes_room:
            self._uc.reg_write(
                self.machine.registers[self.machine.integer_results[0]],
                int.from_bytes(self.memory.stack.host[:1] * 8, "little"),
            )

    def _pushes_rax(self, entry: int) -> bool:
        """A function of x86-64 makes room on the stack by pushing rax, which holds nothing when it begins.

        Such code is not the head of a loop.
        """
        if self.machine.elf_machine != EM_X86_64:
            return False
        segment = self.image.segment_at(entry)
        return segment is not None and _PUSHES_RAX.match(segment.data, entry - segment.address) is not None

    def __del__(self) -> None:
        # Unicorn's object is in a cycle with its own hooks: left to the collector, emulators pile up by the gigabyte.
        uc: Any = getattr(self, "_uc", None)
        if uc is not None:
            uc._Uc__finalizer()

    def watch(self, kind: int, callback: Callable[..., Any], address: int) -> None:
        """Let Unicorn call back at one place of the code."""
        self._uc.hook_add(kind, callback, begin=address, end=address)

    @property
    def fault_address(self) -> int | None:
        """What the last run touched and must not."""
        return self.memory.fault_address

    def forget_code(self) -> None:
        """Forget what was executed; what is executed again is noted again."""
        self._uc.ctl_flush_tb()
        self.executed.clear()

    @property
    def handle(self) -> Any:
        """Unicorn's, for calls of its C API."""
        return self._uc._uch

    @property
    def instruction(self) -> int:
        """The address of the instruction under way; for hooks."""
        return self.bank.program_counter()

    def flush(self) -> None:
        """Translate code anew: hooks that were added since then are called."""
        self._uc.ctl_flush_tb()

    def stop(self) -> None:
        """End the run under way; for hooks."""
        self._uc.emu_stop()

    def run(self, function: Named, inputs: Inputs, *, patience: int = 1, calls: int = 1, looks: int = 0) -> Run:
        """Call a function of the object; `patience` times the steps of the limits, `calls` times the calls.

        With `looks`, the run ends at that one of `Run.num_looks`, where memory is as the callee would find it.
        """
        self._looks = looks
        self._steps, self._max_calls = patience * self.limits.steps, calls * self.limits.calls
        self.memory.restore(inputs)
        self.heap.restart()
        self._depth = 0
        self._counts: dict[int, int] = {}
        run = Run(ending=Ending.LIMIT)
        try:
            for name, arguments in inputs.before:
                run.stuck = name
                self._indirect = self._indirect_of(name)
                self._enter(arguments)
                self._loop(self.image.functions[name].address, run, inputs)
                if run.ending is not Ending.RETURNED:
                    return run
                run.ending, run.stuck = Ending.LIMIT, ""
            self._indirect = self._indirect_of(function.name)
            first_stack = self._enter(inputs)
            self._loop(function.address, run, inputs)
            if run.ending is Ending.RETURNED:
                self._leave(run, first_stack)
        except _Ended:
            pass
        except EndRun as end:
            run.ending, run.detail = (Ending.EXITED if end.chosen else Ending.UNSUPPORTED), end.detail
        except Fault as fault:
            run.ending, run.detail = Ending.FAULT, str(fault)
        return run

    # ------------------------------------------------------------ entry and end

    def _make_first_registers(self) -> bytes:
        """The bank as it is before arguments: garbage, and control registers as at the start of a program."""
        machine, bank = self.machine, self.bank
        garbage = GARBAGE ^ self._fill * OTHER_GARBAGE
        for position in range(len(machine.registers)):
            bank[position] = garbage + position
            bank.values[2 * position + 1] = garbage
        for position, value in machine.control:
            bank[position] = value
        bank[machine.thread_pointer] = self.image.thread_pointer
        return bytes(bank.values)

    def _enter(self, inputs: Inputs) -> int:
        """Registers and stack as a caller leaves them; the stack pointer that is to be there at the end."""
        machine, bank, memory = self.machine, self.bank, self.memory
        ctypes.memmove(bank.values, self._first_registers, len(self._first_registers))
        for position, value in inputs.registers:
            bank.set_wide(position, value)
        for offset, content in inputs.stack:
            memory.write(memory.stack_start + offset, content)
        stack = memory.stack_start
        if machine.link is None:
            stack -= 8
            memory.write(stack, struct.pack("<Q", RETURN_ADDRESS))
        else:
            bank[machine.link] = RETURN_ADDRESS
        bank[machine.stack_pointer] = stack
        bank.write()
        return memory.stack_start

    def _leave(self, run: Run, stack: int) -> None:
        """Take the results, and check what a function has to restore."""
        machine, bank = self.machine, self.bank
        garbage = GARBAGE ^ self._fill * OTHER_GARBAGE
        run.integers = tuple(bank[position] for position in machine.integer_results)
        run.floats = tuple(bank.wide(position) for position in machine.float_results)
        run.long_double = self._top_of_x87()
        if bank[machine.stack_pointer] != stack:
            run.clobbered = machine.names[machine.stack_pointer]
        for position in (*machine.preserved, *machine.preserved_low):
            if bank[position] != garbage + position:
                run.clobbered = run.clobbered or machine.names[position]

    def _top_of_x87(self) -> bytes:
        if self.machine.elf_machine != EM_X86_64:
            return b""
        from unicorn import x86_const

        slot = (ctypes.c_uint8 * 16)()
        library.uc_reg_read(self._uc._uch, x86_const.UC_X86_REG_ST0, slot)
        return bytes(slot[:10])

    # ------------------------------------------------------------------- running

    def _loop(self, address: int, run: Run, inputs: Inputs) -> None:
        handle = self._uc._uch
        deadline = 0.0
        steps = ctypes.c_size_t(self._steps)
        until, no_timeout = ctypes.c_uint64(RETURN_ADDRESS), ctypes.c_uint64(0)
        while True:
            self.executed.setdefault(address, 0)  # the hook is told of code that other code leads to
            code = library.uc_emu_start(handle, ctypes.c_uint64(address), until, no_timeout, steps)
            address = self.bank.program_counter()
            self.bank.read()
            if address == RETURN_ADDRESS:
                run.ending = Ending.RETURNED
                return
            if code not in (UC_ERR_FETCH_PROT, UC_ERR_FETCH_UNMAPPED):
                self._explain(run, code, address)
                return
            run.num_calls += 1
            if run.num_calls > self._max_calls:
                run.ending, run.detail = Ending.LIMIT, f"over {self._max_calls} calls"
                return
            if run.num_calls % CLOCK == 0:
                now = time.thread_time()
                deadline = deadline or now + self.limits.run_seconds
                if now > deadline:
                    run.ending, run.detail = Ending.LIMIT, f"over {self.limits.run_seconds:g} s"
                    return
            self._counts[address] = self._counts.get(address, 0) + 1
            address = self._call(address, self._counts[address], run, inputs)

    def _call(self, address: int, count: int, run: Run, inputs: Inputs) -> int:
        """Play a function outside the object; the address to go on at."""
        self._scrub(self.bank[self.machine.stack_pointer])
        external = self._callees.get(address) or self._callee(address)
        if may_look(external):
            run.num_looks += 1
            if run.num_looks == self._looks:
                run.detail = LOOKED
                raise _Ended
        call = Call(
            external=external,
            count=count,
            machine=self.machine,
            bank=self.bank,
            memory=self.memory,
            heap=self.heap,
            events=run.events,
            seed=inputs.seed,
            fill=self._fill,
            run_callback=lambda target, arguments: self._call_back(target, arguments, run, inputs),
            external_name=self.image.externals.name_at,
            overrides=inputs.results,
            effects=inputs.effects,
        )
        play(call)
        if self.on_call is not None:
            self.on_call(call)
        return call.leave()

    def _indirect_of(self, function: str) -> Signature | None:
        """What is known of calls through pointers that a function comes to."""
        return self.signatures.get(indirect_of(function)) or self.signatures.get(INDIRECT)

    def _callee(self, address: int) -> External:
        name = self.image.externals.name_at(address)
        if name is None and (address < 0x10000 or self.image.contains(address)):
            self.memory.fault_address = address
            raise Fault("jump to null" if address < 0x10000 else "jump into data")
        signature = self._indirect if name is None else self.signatures.get(name)
        found = External(name=name, address=address, signature=signature)
        if name is not None:
            self._callees[address] = found
        return found

    def _scrub(self, end: int) -> None:
        """Clear the stack that nobody uses, up to the stack pointer: what calls left should not look like data."""
        stack = self.memory.stack
        start = max(stack.address, end - SCRUBBED)
        if stack.address <= start < end <= stack.end:
            ctypes.memset(stack.pointer + start - stack.address, stack.host[0], end - start)

    def _call_back(self, address: int, arguments: tuple[int, ...], run: Run, inputs: Inputs) -> int:
        """Let a callee call a function of the program: registers are as at the call afterwards."""
        machine, bank = self.machine, self.bank
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise Fault(f"callees call back over {MAX_DEPTH} deep")
        kept = bytes(bank.values)
        stack = (bank[machine.stack_pointer] - 256) & -16
        for position, value in zip(machine.integer_arguments, arguments, strict=False):
            bank[position] = value
        if machine.link is None:
            stack -= 8
            self.memory.write(stack, struct.pack("<Q", RETURN_ADDRESS))
        else:
            bank[machine.link] = RETURN_ADDRESS
        bank[machine.stack_pointer] = stack
        bank.write_data()
        self._loop(address, run, inputs)
        if run.ending is not Ending.RETURNED:
            raise _Ended
        result = bank[machine.integer_results[0]]
        ctypes.memmove(bank.values, kept, len(kept))
        self._depth -= 1
        return result

    def _explain(self, run: Run, code: int, address: int) -> None:
        if code == UC_ERR_OK:
            run.ending, run.detail = Ending.LIMIT, f"over {self._steps} instructions without a call"
            return
        if code in (UC_ERR_INSN_INVALID, UC_ERR_EXCEPTION):
            run.ending, run.detail = self._explain_exception(address)
            return
        run.ending, run.detail = Ending.FAULT, self.memory.fault or "write to read-only memory"

    def _explain_exception(self, address: int) -> tuple[Ending, str]:
        try:
            content = self.memory.read(address, 4)
        except Fault:
            content = b""
        if self.machine.elf_machine == EM_X86_64:
            if content.startswith((b"\x0f\x0b", b"\xcc", b"\x0f\xb9", b"\x67\x0f\xb9")):
                return Ending.TRAPPED, "trap instruction"
            if content.startswith(b"\x0f\x05"):
                return Ending.UNSUPPORTED, "system call"
            if content[:1] in (b"\xf6", b"\xf7") or content[1:2] in (b"\xf6", b"\xf7") or content[2:3] == b"\xf7":
                return Ending.FAULT, "division by zero or overflow"
        elif len(content) == 4:
            (word,) = struct.unpack("<I", content)
            if word >> 16 == 0 or word & 0xFFE0001F == 0xD4200000:  # udf, brk
                return Ending.TRAPPED, "trap instruction"
            if word & 0xFFE0001F == 0xD4000001:
                return Ending.UNSUPPORTED, "system call"
        return Ending.UNSUPPORTED, f"instruction {content.hex()} is not emulated"
