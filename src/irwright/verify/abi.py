"""Where arguments and results are: registers and stack slots, by the kinds of the values (System V x86-64, AAPCS64)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from irwright.verify.elf import EM_X86_64
from irwright.verify.machine import Machine
from irwright.verify.signatures import Kind, Signature, Value


@dataclass(frozen=True, slots=True)
class Location:
    """A register by its position in the bank, or bytes from the first stack argument."""

    register: int | None
    offset: int = 0


class Allocator:
    """Gives each argument its place, in order."""

    def __init__(self, machine: Machine, *, hidden_result: bool = False) -> None:
        self._machine = machine
        self._is_x86 = machine.elf_machine == EM_X86_64
        self._integers = list(machine.integer_arguments)
        self._floats = list(machine.float_arguments)
        self.stack_bytes = 0

    def next(self, value: Value, rest: Sequence[Value] = ()) -> Location:
        """The place of a value; `rest` follows it, for values that go together."""
        if value.is_result_address and self._machine.indirect_result is not None:
            return Location(self._machine.indirect_result)
        if value.in_memory:
            return self._stack(value.in_memory, value.alignment)
        if value.kind is Kind.LONG_DOUBLE:
            return self._stack(16, 16)
        if value.kind in (Kind.INT, Kind.POINTER):
            if value.paired and len(self._integers) < 1 + self._followers(rest):
                if not self._is_x86:
                    self._integers.clear()
                return self._stack(8, 8)
            if self._integers:
                return Location(self._integers.pop(0))
            return self._stack(8, 8)
        if self._floats:
            return Location(self._floats.pop(0))
        size = max(8, value.bits // 8)
        return self._stack(size, min(size, 16))

    def _followers(self, rest: Sequence[Value]) -> int:
        """How many integers after a paired value belong to the same argument."""
        count = 0
        for value in rest:
            count += 1
            if not value.paired:
                break
        return count

    def _stack(self, size: int, alignment: int) -> Location:
        self.stack_bytes = -(-self.stack_bytes // alignment) * alignment
        location = Location(None, self.stack_bytes)
        self.stack_bytes += -(-size // 8) * 8
        return location


def parameter_locations(machine: Machine, signature: Signature) -> list[Location]:
    """The place of each parameter."""
    allocator = Allocator(machine)
    parameters = signature.parameters
    return [allocator.next(value, parameters[index + 1 : index + 4]) for index, value in enumerate(parameters)]


ST0 = -1
"""stands for x87's top register where a place of a result is meant"""


def result_locations(machine: Machine, signature: Signature) -> list[int] | None:
    """The register of each result, ST0 for x87's; None where they are not all in registers we know."""
    integers, floats = list(machine.integer_results), list(machine.float_results)
    found: list[int] = []
    for value in signature.results:
        if value.kind is Kind.LONG_DOUBLE:
            found.append(ST0)
        elif value.kind in (Kind.INT, Kind.POINTER):
            if not integers:
                return None
            found.append(integers.pop(0))
        else:
            if not floats or value.bits > 128:
                return None
            found.append(floats.pop(0))
    return found
