"""The instruction table against the processor: every form on random and extreme states, flags included.

Each form stands in a function that loads registers and memory from one buffer, runs the instruction, and stores all
that could have changed, with the conditions the table defines, into another. The functions are assembled as they
are, and lifted and recompiled; both run natively on the same inputs.
"""

from __future__ import annotations

import ctypes
import platform
import random
import struct
import subprocess
from pathlib import Path

import pytest

from irwright.lift.decoder import Decoder
from irwright.lift.disassembler import LiftSettings, disassemble
from irwright.lift.expressions import CC_UNITS
from irwright.lift.objects import read_object
from irwright.lift.x86_64.instructions import PARTS, TABLE
from irwright.lift.x86_64.machine import Machine
from irwright.lift.x86_64.sse4 import FEATURES
from irwright.llvm.toolchain import find

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="runs x86-64 code")

SUFFIXES = {"b": ("%al", "%cl"), "w": ("%ax", "%cx"), "l": ("%eax", "%ecx"), "q": ("%rax", "%rcx")}
EQUAL = "movups (%rsi), %xmm0\n movups %xmm0, (%rdi)\n cmpl %ecx, %ecx\n "
CONDITIONS = ("o", "no", "b", "ae", "e", "ne", "be", "a", "s", "ns", "p", "np", "l", "ge", "le", "g")


def integer_forms() -> list[str]:
    forms: list[str] = []
    for suffix, (a, c) in SUFFIXES.items():
        for op in ("add", "sub", "and", "or", "xor", "cmp", "test", "adc", "sbb"):
            forms += [f"{op}{suffix} {c}, {a}", f"{op}{suffix} $77, {a}", f"{op}{suffix} {c}, 64(%rdi)"]
            if op != "test":
                forms += [f"{op}{suffix} 64(%rdi), {a}", f"{op}{suffix} {a}, {a}", f"{op}{suffix} $-3, {a}"]
        forms += [f"{op}{suffix} {a}" for op in ("inc", "dec", "neg", "not", "mul", "imul")]
        forms += [f"{op}{suffix} 64(%rdi)" for op in ("inc", "dec", "neg", "not", "mul", "imul")]
        for op in ("shl", "shr", "sar"):
            forms += [
                f"{op}{suffix} {a}",
                f"{op}{suffix} $5, {a}",
                f"{op}{suffix} %cl, {a}",
                f"{op}{suffix} %cl, 64(%rdi)",
            ]
        for op in ("rol", "ror"):
            forms += [f"{op}{suffix} $3, {a}", f"{op}{suffix} %cl, {a}"]
        forms += [f"mov{suffix} {c}, {a}", f"mov{suffix} 64(%rdi), {a}", f"mov{suffix} {a}, 64(%rdi)"]
        forms += [f"mov{suffix} $-5, {a}", f"xchg{suffix} {c}, {a}", f"xchg{suffix} {a}, 64(%rdi)"]
        forms += [f"lock xadd{suffix} {a}, 64(%rdi)", f"lock cmpxchg{suffix} {c}, 64(%rdi)"]
        forms += [f"lock {op}{suffix} {c}, 64(%rdi)" for op in ("add", "sub", "and", "or", "xor")]
        forms += [f"lock inc{suffix} 64(%rdi)", f"lock dec{suffix} 64(%rdi)"]
        forms += [f"xadd{suffix} {c}, {a}", f"xadd{suffix} {c}, 64(%rdi)", f"cmpxchg{suffix} {c}, 64(%rdi)"]
        forms += [f"rcl{suffix} {a}", f"rcr{suffix} {a}", f"rcr{suffix} 64(%rdi)"]
        forms += [f"lods{suffix}", f"stos{suffix}", f"movs{suffix}", f"scas{suffix}", f"cmps{suffix}"]
        # over sixteen bytes that differ or not, no, one or a few times
        for repeat, string in (("repne", "scas"), ("repe", "scas"), ("repe", "cmps"), ("repne", "cmps")):
            forms += [f"andl $3, %ecx\n {fill}{repeat} {string}{suffix}" for fill in ("", EQUAL)]
    for suffix in "wlq":
        a, c = SUFFIXES[suffix]
        forms += [f"imul{suffix} {c}, {a}", f"imul{suffix} 64(%rdi), {a}", f"imul{suffix} $-13, {c}, {a}"]
        forms += [f"bt{suffix} {c}, {a}", f"bts{suffix} $7, {a}", f"btr{suffix} {c}, {a}", f"btc{suffix} $9, {a}"]
        forms += [f"{op}{suffix} $3, 64(%rdi)" for op in ("bt", "bts", "btr", "btc")]
        forms += [f"lock {op}{suffix} $5, 64(%rdi)" for op in ("bts", "btr", "btc")]
        forms += [f"and{suffix} $63, {c}\n lock {op}{suffix} {c}, 64(%rdi)" for op in ("bts", "btr", "btc")]
        forms += [f"and{suffix} $63, {c}\n {op}{suffix} {c}, 64(%rdi)" for op in ("bt", "bts", "btr", "btc")]
        forms += [f"cmov{code}{suffix} {c}, {a}" for code in CONDITIONS]
        forms += [f"shld{suffix} $7, {c}, {a}", f"shrd{suffix} $15, {c}, {a}"]
        forms += [f"bsf{suffix} {c}, {a}", f"bsr{suffix} {c}, {a}", f"popcnt{suffix} {c}, {a}"]
    for suffix in "lq":
        a, c = SUFFIXES[suffix]
        forms += [f"bswap{suffix} {a}"]
        forms += [f"shld{suffix} %cl, {a}, %{'e' if suffix == 'l' else 'r'}dx"]
        forms += [f"lea{suffix} 5(%rax,%rcx,4), {a}", f"lea{suffix} (,%rcx,8), {a}", f"lea{suffix} -9(%rax), {a}"]
    forms += ["movb %ah, %cl", "movb %cl, %ah", "addb %ch, %al", "xorb %ah, %al", "movzbl %ah, %eax", "addb %al, %ah"]
    forms += ["xchgb %al, %ah", "xchgb %ah, %al", "xchgb %ah, %cl", "xchgb %ch, %ah", "xchgb %cl, %cl", "movb $5, %ah"]
    forms += ["incb %ah", "negb %ch", "notb %ah", "shlb $3, %ah", "sarb %cl, %ah", "cmpb $5, %ah", "testb $68, %ah"]
    forms += ["sete %ah", "movsbl %ah, %eax", "andb $-2, %ah", "orb %ah, %ch", "sbbb %ah, %ah", "rolb $3, %ch"]
    forms += ["movzbl %cl, %eax", "movzbw %cl, %ax", "movzwl %cx, %eax", "movzbq %cl, %rax", "movsbl %cl, %eax"]
    forms += ["movsbw %cl, %ax", "movswl %cx, %eax", "movsbq %cl, %rax", "movswq %cx, %rax", "movslq %ecx, %rax"]
    forms += ["cbtw", "cwtl", "cltq", "cwtd", "cltd", "cqto", "clc", "stc", "cmc", "mfence", "pause", "nop"]
    forms += ["lfence", "sfence", "movntil %ecx, 64(%rdi)", "movntiq %rcx, 64(%rdi)"]
    forms += [f"set{code} %al" for code in CONDITIONS] + ["setne 64(%rdi)"]
    forms += ["movabsq $81985529216486895, %rax"]
    return forms


DIVISIONS = [
    "xorl %edx, %edx\n divl %ecx",
    "xorl %edx, %edx\n divq %rcx",
    "cltd\n idivl %ecx",
    "cqto\n idivq %rcx",
    "movzbl %al, %eax\n divb %cl",
    "xorl %edx, %edx\n divw %cx",
    "andl $7, %edx\n orl $8, %ecx\n divl %ecx",
    "andl $7, %edx\n orq $8, %rcx\n divq %rcx",
]


def sse_forms() -> list[str]:
    forms: list[str] = []
    both = ("%xmm1, %xmm0", "64(%rdi), %xmm0")
    for op in ("add", "sub", "mul", "div", "min", "max", "sqrt"):
        forms += [f"{op}{kind} {ops}" for kind in ("ss", "sd", "ps", "pd") for ops in both]
    for kind in ("ss", "sd"):
        forms += [f"ucomi{kind} {ops}" for ops in both] + [f"comi{kind} %xmm1, %xmm0", f"mov{kind} %xmm1, %xmm0"]
        forms += [f"mov{kind} 64(%rdi), %xmm0", f"mov{kind} %xmm0, 64(%rdi)"]
        forms += [f"cvtsi2{kind} %ecx, %xmm0", f"cvtsi2{kind} %rcx, %xmm0", f"cvtsi2{kind}l 64(%rdi), %xmm0"]
        forms += [f"cvtt{kind}2si %xmm0, %eax", f"cvtt{kind}2si %xmm0, %rax", f"cvt{kind}2si %xmm0, %eax"]
    for kind in ("ss", "sd", "ps", "pd"):
        forms += [f"cmp{p}{kind} %xmm1, %xmm0" for p in ("eq", "lt", "le", "unord", "neq", "nlt", "nle", "ord")]
    for op in ("and", "or", "xor", "andn"):
        forms += [f"{op}ps {both[0]}", f"{op}pd {both[1]}", f"p{op.replace('andn', 'andn')} {both[0]}"]
    forms += ["xorps %xmm0, %xmm0", "pcmpeqd %xmm0, %xmm0", "pxor %xmm1, %xmm1"]
    forms += ["cvtss2sd %xmm1, %xmm0", "cvtsd2ss %xmm1, %xmm0", "cvtdq2pd %xmm1, %xmm0", "cvtdq2ps %xmm1, %xmm0"]
    forms += ["cvtps2pd %xmm1, %xmm0", "cvtpd2ps %xmm1, %xmm0", "cvttps2dq %xmm1, %xmm0", "cvttpd2dq %xmm1, %xmm0"]
    forms += ["cvtps2dq %xmm1, %xmm0", "cvtpd2dq %xmm1, %xmm0"]
    forms += ["movaps %xmm1, %xmm0", "movups 64(%rdi), %xmm0", "movups %xmm0, 64(%rdi)", "movdqa 64(%rdi), %xmm0"]
    forms += ["movdqu %xmm1, 64(%rdi)", "movd %ecx, %xmm0", "movd %xmm0, %ecx", "movq %rcx, %xmm0", "movq %xmm0, %rcx"]
    forms += ["movq %xmm1, %xmm0", "movq 64(%rdi), %xmm0", "movq %xmm0, 64(%rdi)", "movd 64(%rdi), %xmm0"]
    forms += ["movhps 64(%rdi), %xmm0", "movlps 64(%rdi), %xmm0", "movhps %xmm0, 64(%rdi)", "movlpd %xmm0, 64(%rdi)"]
    forms += ["movhlps %xmm1, %xmm0", "movlhps %xmm1, %xmm0", "movmskps %xmm0, %eax", "movmskpd %xmm0, %eax"]
    forms += ["pmovmskb %xmm0, %eax"]
    for lane in "bwdq":
        forms += [f"padd{lane} {both[0]}", f"psub{lane} {both[1]}"]
    for lane in "bw":
        forms += [f"{op}{lane} {both[0]}" for op in ("padds", "paddus", "psubs", "psubus", "pavg")]
    for lane in "bwd":
        forms += [f"pcmpeq{lane} {both[0]}", f"pcmpgt{lane} {both[0]}"]
    forms += [f"{op} {both[0]}" for op in ("pminub", "pmaxub", "pminsw", "pmaxsw", "pmullw", "pmulhw", "pmulhuw")]
    forms += [f"{op} {both[0]}" for op in ("pmuludq", "pmaddwd", "psadbw", "packsswb", "packssdw", "packuswb")]
    for op in ("psll", "psrl", "psra"):
        for lane in "wdq" if op != "psra" else "wd":
            forms += [f"{op}{lane} $5, %xmm0", f"{op}{lane} $70, %xmm0", f"{op}{lane} %xmm1, %xmm0"]
    forms += ["pslldq $3, %xmm0", "psrldq $5, %xmm0", "psrldq $16, %xmm0", "pslldq $16, %xmm0"]
    forms += ["pshufd $27, %xmm1, %xmm0", "pshuflw $177, %xmm1, %xmm0", "pshufhw $99, %xmm1, %xmm0"]
    forms += ["shufps $78, %xmm1, %xmm0", "shufpd $1, %xmm1, %xmm0", "shufpd $2, %xmm1, %xmm0"]
    for half in "lh":
        forms += [f"punpck{half}{kind} {both[0]}" for kind in ("bw", "wd", "dq", "qdq")]
        forms += [f"unpck{half}{kind} {both[0]}" for kind in ("ps", "pd")]
    forms += ["pinsrw $3, %ecx, %xmm0", "pextrw $5, %xmm0, %eax", "pinsrw $2, 64(%rdi), %xmm0"]
    return forms


def sse4_forms() -> list[str]:
    """Forms that not every processor has."""
    forms: list[str] = []
    for ops in ("%xmm1, %xmm0", "64(%rdi), %xmm0"):
        names = [name for name in FEATURES if name[:4] not in ("pins", "pext", "extr", "inse", "roun", "blen", "pble")]
        forms += [f"{name} {ops}" for name in names if name not in ("palignr", "popcnt", "crc32")]
        forms += [f"{name} ${n}, {ops}" for name in ("palignr", "pblendw") for n in (5, 19, 33, 0xB6)]
        forms += [f"blendps $6, {ops}", f"blendpd $1, {ops}", f"insertps $0x9a, {ops}", f"insertps $0x45, {ops}"]
        forms += [
            f"round{kind} ${n}, {ops}" for kind in ("ss", "sd", "ps", "pd") for n in (0, 1, 2, 3, 4, 9, 10, 11, 12)
        ]
    forms += [f"{name} %xmm0, 64(%rdi), %xmm1" for name in ("blendvps", "blendvpd", "pblendvb")]
    forms += [
        "pinsrb $3, %ecx, %xmm0",
        "pinsrd $2, %ecx, %xmm0",
        "pinsrq $1, %rcx, %xmm0",
        "pinsrd $1, 64(%rdi), %xmm0",
    ]
    forms += ["pextrb $5, %xmm0, %eax", "pextrd $3, %xmm0, %eax", "pextrq $1, %xmm0, %rax", "extractps $2, %xmm0, %eax"]
    forms += ["pextrb $7, %xmm0, 64(%rdi)", "pextrd $1, %xmm0, 64(%rdi)", "pextrq $0, %xmm0, 64(%rdi)"]
    forms += ["crc32b %cl, %eax", "crc32w %cx, %eax", "crc32l %ecx, %eax", "crc32q %rcx, %rax", "crc32l 64(%rdi), %eax"]
    return forms


def x87_forms() -> list[str]:
    """Sequences that load two numbers, combine them, and store what comes out."""
    load = "fldl 64(%rdi)\n fldl 72(%rdi)\n "
    forms = [f"{load}f{op}p %st, %st(1)\n fstpl 64(%rdi)" for op in ("add", "sub", "subr", "mul", "div", "divr")]
    for op in ("add", "sub", "subr", "mul", "div", "divr"):
        forms += [f"{load}f{op} %st(1), %st\n fstpt 64(%rdi)\n fstpl 80(%rdi)"]
        forms += [f"{load}f{op} %st, %st(1)\n fstpl 64(%rdi)\n fstpl 72(%rdi)"]
        forms += [f"fldl 64(%rdi)\n f{op}{size} 72(%rdi)\n fstpl 64(%rdi)" for size in "sl"]
        forms += [f"fldl 64(%rdi)\n fi{op}{size} 72(%rdi)\n fstpl 64(%rdi)" for size in "sl"]
    forms += [f"fild{size} 64(%rdi)\n fstpt 64(%rdi)" for size in ("s", "l", "ll")]
    forms += [f"fldl 64(%rdi)\n fisttp{size} 64(%rdi)" for size in ("l", "ll")]
    forms += [f"fldl 64(%rdi)\n fistp{size} 64(%rdi)" for size in ("l", "ll")]
    forms += [f"{name}\n fstpt 64(%rdi)" for name in ("fld1", "fldz", "fldpi", "fldl2e", "fldl2t", "fldlg2", "fldln2")]
    forms += [f"fldl 64(%rdi)\n {op}\n fstpl 64(%rdi)" for op in ("fchs", "fabs", "fsqrt", "frndint")]
    forms += [f"{load}fxch %st(1)\n fstpl 64(%rdi)\n fstpl 72(%rdi)", f"{load}fstp %st(1)\n fstpl 64(%rdi)"]
    forms += [
        f"{load}fst %st(1)\n fstpl 64(%rdi)\n fstpl 72(%rdi)",
        "flds 64(%rdi)\n fld %st(0)\n faddp\n fstps 64(%rdi)",
    ]
    forms += [f"{load}{op}i %st(1), %st\n fstp %st(0)\n fstp %st(0)" for op in ("fucom", "fcom")]
    forms += [f"{load}{op}pi %st(1), %st\n fstp %st(0)" for op in ("fucom", "fcom")]
    forms += [
        f"{load}cmpq %rcx, %rax\n fcmov{code} %st(1), %st\n fstpl 64(%rdi)\n fstp %st(0)"
        for code in ("b", "e", "be", "u", "nb", "ne", "nbe", "nu")
    ]
    return forms


HAS_SSE4 = "sse4_2" in Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else False
FORMS = [*integer_forms(), *DIVISIONS, *sse_forms(), *(sse4_forms() if HAS_SSE4 else []), *x87_forms()]
NUM_STATES = 24
BUFFER = 160


def harness(number: int, form: str, conditions: list[str]) -> str:
    """The function that runs one form. rdx at the start of the output tells nothing, so it is loaded too."""
    lines = [f".globl f{number}", f".type f{number},@function", f"f{number}:", "movq %rsi, %r8", "movq %rdi, %r9"]
    lines += ["movups 32(%rdi), %xmm0", "movups 48(%rdi), %xmm1"]
    lines += [
        "movq (%rdi), %rax",
        "movq 16(%rdi), %rdx",
        "leaq 96(%rdi), %rsi",
        "cmpq %rdx, %rax",
        "movq 8(%rdi), %rcx",
    ]
    string = (
        form[:4] in ("lods", "stos", "scas", "cmps") or "rep" in form or form in ("movsb", "movsw", "movsl", "movsq")
    )
    if string:
        lines.append("leaq 64(%rdi), %rdi")
    lines += form.split("\n")
    lines += [f"set{condition} {120 + n}(%r8)" for n, condition in enumerate(conditions)]
    lines += ["movq %rax, (%r8)", "movq %rcx, 8(%r8)", "movq %rdx, 16(%r8)"]
    lines += ["movups %xmm0, 32(%r8)", "movups %xmm1, 48(%r8)"]
    if string:
        lines += ["subq %r9, %rsi", "subq %r9, %rdi", "movq %rsi, 64(%r8)", "movq %rdi, 72(%r8)"]
    return "\n".join([*lines, "retq", f".size f{number}, .-f{number}", ""])


SPECIAL_INTEGERS = [
    0,
    1,
    2,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0x8000,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
    1 << 63,
    (1 << 64) - 1,
]
SPECIAL_DOUBLES = [0.0, -0.0, 1.0, -1.5, 1e300, -1e-300, float("inf"), float("nan"), 2.0**31, -(2.0**31) - 1, 2.0**63]


def make_state(rng: random.Random, form: str) -> bytes:
    """Registers and memory: rax, rcx, rdx, xmm0, xmm1, and what lies at 64."""

    def integer() -> int:
        return rng.choice(SPECIAL_INTEGERS) if rng.random() < 0.4 else rng.getrandbits(64) >> rng.choice((0, 0, 32, 56))

    def vector() -> bytes:
        kind = rng.random()
        if kind < 0.35:
            return struct.pack("<2d", *(rng.choice(SPECIAL_DOUBLES) for _ in range(2)))
        if kind < 0.6:
            return struct.pack("<4f", *(rng.uniform(-100, 100) for _ in range(4)))
        return rng.randbytes(16)

    rax, rcx, rdx = integer(), integer(), integer()
    if "div" in form and not form.startswith("div"):
        rcx = rcx | 1 if "idiv" not in form else rng.randrange(2, 1000)
        rcx = (rcx | 0x10101) if "divb" in form or "divw" in form else rcx | 1 << 20 if "idiv" not in form else rcx
        rax &= 0x7FFF if "divb" not in form else 0xF0
    if form.startswith(("bsf", "bsr")) and not rcx & 0xFFFF:
        rcx |= 0x10
    head = struct.pack("<4Q", rax & (1 << 64) - 1, rcx & (1 << 64) - 1, rdx, 0)
    return head + vector() + vector() + vector() + rng.randbytes(BUFFER - 80)


@pytest.fixture(scope="module")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> tuple[ctypes.CDLL, ctypes.CDLL, dict[str, str]]:
    folder = tmp_path_factory.mktemp("semantics")
    clang = str(find().need_clang())
    texts: list[str] = []
    probes = "".join(
        f'.section .text.p{n},"ax"\n.globl p{n}\n.type p{n},@function\np{n}:\n{form}\n.size p{n}, .-p{n}\n'
        for n, form in enumerate(FORMS)
    )
    probe = folder / "probe.s"
    probe.write_text(probes)
    subprocess.run([clang, "-c", str(probe), "-o", str(probe.with_suffix(".o"))], check=True)
    program = read_object(probe.with_suffix(".o").read_bytes(), "probe")
    decoder = Decoder(program)
    for code in program.functions:
        decoder.decode(code)
    by_name = {code.name: code for code in program.functions}
    for number, form in enumerate(FORMS):
        killed: set[str] = set()
        code = by_name[f"p{number}"]
        assert not code.problem, f"{form}: {code.problem}"
        depth = 0
        for insn in code.instructions:
            machine = Machine(insn, lambda _: None, lambda _: True)
            machine.depth = depth
            TABLE[insn.mnemonic](machine, insn)
            depth = machine.depth
            for effect in machine.effects:
                (killed.add if effect.kind == "kill" else killed.discard)(effect.unit)
        texts.append(harness(number, form, [unit[3:] for unit in CC_UNITS if unit not in killed]))
    source = folder / "forms.s"
    source.write_text(".text\n" + "\n".join(texts))
    result = disassemble(source, settings=LiftSettings(budget=1, verify=False))
    problems = {FORMS[int(one.function[1:])]: one.reason for one in result.functions if one.verdict == "not-lifted"}
    lifted = folder / "lifted.ll"
    lifted.write_text(result.ir)
    paths: list[Path] = []
    for name, arguments in (
        ("original", [str(source)]),
        ("lifted", ["-x", "ir", "-Oz", "-Xclang", "-disable-llvm-passes", str(lifted)]),
    ):
        path = folder / f"{name}.so"
        subprocess.run([clang, "-shared", "-fPIC", "-w", *arguments, "-o", str(path)], check=True)
        paths.append(path)
    return ctypes.CDLL(str(paths[0])), ctypes.CDLL(str(paths[1])), problems


def test_no_mnemonic_stands_in_two_tables_by_accident() -> None:
    names = [name for part in PARTS for name in part.TABLE]
    assert {name for name in names if names.count(name) > 1} == {"movsd", "cmpsd"}


def test_every_form_is_lifted(libraries: tuple[ctypes.CDLL, ctypes.CDLL, dict[str, str]]) -> None:
    assert libraries[2] == {}


def test_every_form_does_what_the_processor_does(
    libraries: tuple[ctypes.CDLL, ctypes.CDLL, dict[str, str]],
) -> None:
    original, lifted, problems = libraries
    rng = random.Random(7)
    wrong: list[str] = []
    for number, form in enumerate(FORMS):
        if form in problems:
            continue
        for _ in range(NUM_STATES):
            state = make_state(rng, form)
            outs: list[bytes] = []
            for library in (original, lifted):
                memory = ctypes.create_string_buffer(BUFFER + 16)
                start = ctypes.addressof(memory) + 15 & ~15
                ctypes.memmove(start, state, BUFFER)
                out = ctypes.create_string_buffer(BUFFER)
                library[f"f{number}"](ctypes.c_void_p(start), ctypes.c_void_p(ctypes.addressof(out)))
                outs.append(out.raw + ctypes.string_at(start, BUFFER))
            if outs[0] != outs[1]:
                at = next(n for n in range(len(outs[0])) if outs[0][n] != outs[1][n])
                wrong.append(f"{form}: byte {at}: {outs[0][at]:#x} {outs[1][at]:#x}")
                break
    assert wrong == [], "\n".join(wrong)
