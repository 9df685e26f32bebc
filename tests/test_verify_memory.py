"""Memory of the emulator: pages filled on demand, where they are seen, and what a program must not touch."""

from __future__ import annotations

import pytest

from irwright.verify.elf import read_elf
from irwright.verify.emulate import Emulator, Ending, Run
from irwright.verify.image import PAGE, Externals, Image
from irwright.verify.inputs import Inputs, page_content
from irwright.verify.memory import MAX_KEPT_PAGES, POOL, Fault
from verify_tools import Compile

SOURCE = """
int other(void);
long load(const long *p) { return *p; }
void store(long *p, long value) { *p = value; }
long walk(const char *p, long pages) { long sum = 0; for (long i = 0; i < pages; i++) sum += p[i * 4096]; return sum; }
int code_of(void) { other(); return *(volatile int *)other; }
"""
FAR = 0x123400000000


@pytest.fixture(scope="module")
def emulator(compile_c: Compile) -> Emulator:
    elf = read_elf(compile_c(SOURCE, "-O1", "-fno-pic"), "object")
    return Emulator(Image(elf, Externals([elf])), signatures=compile_c.signatures(SOURCE))


def run(emulator: Emulator, name: str, *arguments: int, seed: int = 1) -> Run:
    registers = zip(emulator.machine.integer_arguments, arguments, strict=False)
    return emulator.run(emulator.image.functions[name], Inputs(seed=seed, registers=tuple(registers), stack=()))


def test_pages_begin_as_their_seed_says_in_every_run(emulator: Emulator) -> None:
    for seed in (1, 2, 1):
        expected = int.from_bytes(page_content(seed, FAR)[8:16], "little")
        assert run(emulator, "load", FAR + 8, seed=seed).integers[0] == expected
        assert run(emulator, "store", FAR + 8, 5, seed=seed).ending is Ending.RETURNED
        assert emulator.memory.read(FAR + 8, 8) == (5).to_bytes(8, "little")


def test_an_access_over_the_edge_of_two_pages(emulator: Emulator) -> None:
    at = FAR + 5 * PAGE - 3
    content = page_content(1, FAR + 4 * PAGE)[-3:] + page_content(1, FAR + 5 * PAGE)[:5]
    assert run(emulator, "load", at).integers[0] == int.from_bytes(content, "little")
    run(emulator, "store", at, 0x1122334455667788)
    assert emulator.memory.read(at, 8) == bytes.fromhex("8877665544332211")


def test_hooks_are_told_the_programs_addresses(emulator: Emulator) -> None:
    run(emulator, "load", FAR)
    offset = emulator.memory.pages[FAR]
    assert emulator.memory.seen_at(POOL[0] + offset + 17) == FAR + 17
    assert emulator.memory.seen_at(FAR + 17) == FAR + 17


def test_many_pages_are_forgotten_and_begin_anew(emulator: Emulator) -> None:
    pages = MAX_KEPT_PAGES + 10
    first = run(emulator, "walk", FAR, pages).integers[0]
    signed = [byte - 256 if byte > 127 else byte for byte in (page_content(1, FAR + n * PAGE)[0] for n in range(pages))]
    assert first == sum(signed) % (1 << 64)
    assert len(emulator.memory.pages) >= pages
    run(emulator, "load", FAR + 3 * PAGE)
    assert len(emulator.memory.pages) == 1
    assert run(emulator, "walk", FAR, pages).integers[0] == first


def test_faults_say_where(emulator: Emulator) -> None:
    for address, said in ((0x18, "null pointer"), (0x7FFFFFFFF123, "no address of a program")):
        for _ in range(2):  # not only when Unicorn asks for the first time
            ended = run(emulator, "load", address)
            assert (ended.ending, emulator.fault_address) == (Ending.FAULT, address)
            assert said in ended.detail
    assert run(emulator, "walk", FAR, 300).detail == "over 256 pages touched"
    with pytest.raises(Fault, match="null"):
        emulator.memory.read(4, 8)


def test_code_of_another_object_can_be_called_and_not_read(emulator: Emulator) -> None:
    ended = run(emulator, "code_of")
    assert ended.num_calls == 1
    assert (ended.ending, ended.detail) == (Ending.FAULT, "access to code of another object")


def test_data_that_a_run_changed(compile_c: Compile) -> None:
    text = "int a = 1, b = 2; long c[4] = {1, 2, 3, 4}; void f(long n) { b = n; c[2] = n; } void g(void) { a = 1; }"
    elf = read_elf(compile_c(text, "-O1", "-fno-pic"), "object")
    emulator = Emulator(Image(elf, Externals([elf])), signatures=compile_c.signatures(text))
    assert run(emulator, "f", 7).ending is Ending.RETURNED
    assert emulator.memory.changed_globals() == {"b", "c"}
    assert run(emulator, "g").ending is Ending.RETURNED
    assert emulator.memory.changed_globals() == set()
