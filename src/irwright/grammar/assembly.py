"""Assembly checked while it is being said: the shape of a line of x86-64 in AT&T's form, which may be unfinished.

Only shapes: whether a mnemonic takes these operands, the assembler says of whole lines (guides.py).
"""

from __future__ import annotations

import re

from irwright.errors import GrammarError, UnfinishedError
from irwright.grammar.operands import library_names
from irwright.grammar.reader import Reader

_WORD = re.compile(r"[a-z][a-z0-9]*")
_SYMBOL = re.compile(r"[.A-Za-z_][\w.$]*")
_LOCAL = re.compile(
    r"\.L(?:(?:BB|JTI|CPI)[0-9]{1,2}_[0-9]{1,3}|g[0-9]{1,2}|str(?:\.[0-9]{1,2})?|switch\.table\.f0(?:\.rel)?)"
)
_LOCAL_BEGUN = re.compile(
    r"\.(?:L(?:(?:B|BB|J|JT|JTI|C|CP|CPI)|(?:BB|JTI|CPI)[0-9]{1,2}(?:_[0-9]{0,3})?|g[0-9]{0,2}|s[tr]{0,2}(?:\.[0-9]{0,2})?"
    r"|sw[.a-z]*(?:f0?)?(?:\.[rel]{0,3})?)?)?"
)
_HEX = re.compile(r"[0-9a-f]{1,16}")
_OURS = re.compile(r"[fg](?:[1-9][0-9]?|0)")
_STRING = re.compile(r'"(?:[^"\\\n]|\\[0-7]{1,3}|\\.)*"')
_STRING_BEGUN = re.compile(r'"?(?:[^"\\\n]|\\[0-7]{1,3}|\\.)*\\?')
_SIZES = ("a", "b", "c", "d")
REGISTERS = (
    *(f"{size}{name}x" for name in _SIZES for size in ("r", "e", "")),
    *(f"{name}{half}" for name in _SIZES for half in "lh"),
    *(f"{size}{name}" for name in ("si", "di", "bp", "sp") for size in ("r", "e", "")),
    *(f"{name}l" for name in ("si", "di", "bp", "sp")),
    *(f"r{number}{size}" for number in range(8, 16) for size in ("", "d", "w", "b")),
    *(f"xmm{number}" for number in range(16)),
    "st",
    *(f"st({number})" for number in range(8)),
)
MNEMONICS = frozenset(
    [
        "adcl",
        "adcq",
        "addb",
        "addl",
        "addq",
        "addsd",
        "addss",
        "addw",
        "andb",
        "andl",
        "andnpd",
        "andnps",
        "andpd",
        "andps",
        "andq",
        "andw",
        "bsfl",
        "bsfq",
        "bsrl",
        "bsrq",
        "bswapl",
        "bswapq",
        "btl",
        "btq",
        "btrq",
        "callq",
        "cltd",
        "cltq",
        "cmovael",
        "cmovaeq",
        "cmoval",
        "cmovaq",
        "cmovbeq",
        "cmovbel",
        "cmovbl",
        "cmovbq",
        "cmovel",
        "cmoveq",
        "cmovgel",
        "cmovgeq",
        "cmovgl",
        "cmovgq",
        "cmovlel",
        "cmovleq",
        "cmovll",
        "cmovlq",
        "cmovnel",
        "cmovneq",
        "cmovnol",
        "cmovnsl",
        "cmovnsq",
        "cmovsl",
        "cmovsq",
        "cmpb",
        "cmpl",
        "cmpltsd",
        "cmpltss",
        "cmpq",
        "cmpw",
        "cqto",
        "cvtsd2ss",
        "cvtsi2sd",
        "cvtsi2sdl",
        "cvtsi2sdq",
        "cvtsi2ss",
        "cvtsi2ssl",
        "cvtss2sd",
        "cvttsd2si",
        "cvttss2si",
        "cwtl",
        "decb",
        "decl",
        "decq",
        "decw",
        "divb",
        "divl",
        "divq",
        "divsd",
        "divss",
        "divw",
        "fadds",
        "fildll",
        "fldt",
        "fstpl",
        "fstpt",
        "idivl",
        "idivq",
        "imull",
        "imulq",
        "incb",
        "incl",
        "incq",
        "incw",
        "ja",
        "jae",
        "jb",
        "jbe",
        "je",
        "jg",
        "jge",
        "jl",
        "jle",
        "jmp",
        "jmpq",
        "jne",
        "jno",
        "jnp",
        "jns",
        "jo",
        "jp",
        "js",
        "leal",
        "leaq",
        "maxsd",
        "maxss",
        "minsd",
        "minss",
        "movabsq",
        "movapd",
        "movaps",
        "movb",
        "movd",
        "movdqa",
        "movdqu",
        "movl",
        "movlps",
        "movq",
        "movsbl",
        "movsbq",
        "movsd",
        "movslq",
        "movss",
        "movswl",
        "movswq",
        "movupd",
        "movups",
        "movw",
        "movzbl",
        "movzwl",
        "mull",
        "mulpd",
        "mulq",
        "mulsd",
        "mulss",
        "negb",
        "negl",
        "negq",
        "nop",
        "notb",
        "notl",
        "notq",
        "orb",
        "orl",
        "orpd",
        "orps",
        "orq",
        "orw",
        "pcmpeqb",
        "pcmpeqd",
        "pmovmskb",
        "popq",
        "pshufd",
        "pslldq",
        "punpckldq",
        "pushq",
        "pxor",
        "rep",
        "retq",
        "roll",
        "rolq",
        "rolw",
        "rorl",
        "rorq",
        "rorw",
        "sarl",
        "sarq",
        "sbbb",
        "sbbl",
        "sbbq",
        "seta",
        "setae",
        "setb",
        "setbe",
        "sete",
        "setg",
        "setge",
        "setl",
        "setle",
        "setne",
        "setno",
        "setnp",
        "setns",
        "seto",
        "setp",
        "sets",
        "shlb",
        "shldl",
        "shldq",
        "shll",
        "shlq",
        "shrb",
        "shrdl",
        "shrdq",
        "shrl",
        "shrq",
        "shrw",
        "shufps",
        "sqrtsd",
        "sqrtss",
        "subb",
        "subl",
        "subpd",
        "subq",
        "subsd",
        "subss",
        "subw",
        "testb",
        "testl",
        "testq",
        "testw",
        "ucomisd",
        "ucomiss",
        "ud2",
        "unpckhpd",
        "xchgl",
        "xchgq",
        "xorb",
        "xorl",
        "xorpd",
        "xorps",
        "xorq",
    ]
)
"""What code generation writes for most functions."""
_WIDE = ("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", *(f"r{number}" for number in range(8, 16)))
_ADDRESS = ("rip", *_WIDE)
_NUMBERS = (".long", ".quad", ".short", ".byte", ".zero")
_STRINGS = (".asciz", ".ascii")
_MAX = 1 << 64
MAX_OPERANDS = 3


def read_line(line: Reader) -> None:
    """A label, an instruction or a directive, whole."""
    if not line.at_end and line.text[line.position] != "\t":
        _symbol(line)
        line.need(":")
        line.end()
        return
    line.need("\t")
    if line.looks_at("."):
        _directive(line)
        return
    _word(line)
    if not line.at_end:
        line.need("\t")
        for number in range(MAX_OPERANDS):
            _operand(line)
            if line.at_end:
                return
            if number < MAX_OPERANDS - 1:
                line.need(", ")
    line.end()


def _matched(line: Reader, pattern: re.Pattern[str]) -> str:
    match = pattern.match(line.text, line.position)
    if match is None:
        if line.rest or line.whole:
            raise line.fail()
        raise UnfinishedError(len(line.text))
    if match.end() == len(line.text) and not line.whole:
        raise UnfinishedError(len(line.text))
    line.position = match.end()
    return match[0]


def _word(line: Reader) -> None:
    start = line.position
    try:
        word = _matched(line, _WORD)
    except UnfinishedError:
        if any(one.startswith(line.rest) for one in MNEMONICS):
            raise
        raise GrammarError(start) from None
    if word not in MNEMONICS:
        raise GrammarError(start)


def _symbol(line: Reader) -> None:
    """A label of the function's own, or a name of the canonical form or the C library."""
    start = line.position
    try:
        name = _matched(line, _SYMBOL)
    except UnfinishedError:
        begun = line.rest
        if _LOCAL_BEGUN.fullmatch(begun) or re.fullmatch(r"(?:[fg][0-9]{0,2})?", begun):
            raise
        if any(one.startswith(begun) for one in library_names()):
            raise
        raise GrammarError(start) from None
    if not (_LOCAL.fullmatch(name) or _OURS.fullmatch(name) or name in library_names()):
        raise GrammarError(start)


def _operand(line: Reader) -> None:
    if line.maybe("*"):
        if line.maybe("%"):
            line.need(*_WIDE)
        else:
            _memory(line)
    elif line.maybe("$"):
        if line.looks_at("-", *"0123456789"):
            line.number(-_MAX, _MAX)
        else:
            _symbol(line)
    elif line.maybe("%"):
        segment = line.need(*REGISTERS, "fs:", "gs:")
        if segment.endswith(":"):
            _memory(line)
    else:
        _memory(line)


def _memory(line: Reader) -> None:
    """A place in memory, or the target of a jump or call."""
    if line.looks_at("-", *"0123456789"):
        line.number(-(1 << 31), (1 << 32) - 1)
        if line.at_end or not line.looks_at("("):
            return
    elif not line.looks_at("("):
        _symbol(line)
        if not line.at_end and line.maybe("@PLT", "@GOTPCREL", "@TPOFF", "@GOTTPOFF", "@TLSGD"):
            pass
        if not line.at_end and line.looks_at("+", "-"):
            line.position += 1
            line.number(0, 1 << 31)
        if line.at_end or not line.looks_at("("):
            return
    line.need("(")
    if line.maybe("%"):
        line.need(*_ADDRESS)
    if line.need(",", ")") == ",":
        line.need("%")
        line.need(*_WIDE)
        if line.need(",", ")") == ",":
            line.need("1", "2", "4", "8")
            line.need(")")


def _directive(line: Reader) -> None:
    word = line.need(".section", ".p2align", ".text", ".data", *_NUMBERS, *_STRINGS)
    if word in (".text", ".data"):
        line.end()
        return
    line.need("\t")
    if word in _STRINGS:
        _string(line)
    elif word in _NUMBERS:
        if line.maybe("0x"):
            _matched(line, _HEX)
        elif line.looks_at("-", *"0123456789"):
            line.number(-_MAX, _MAX)
        else:
            _symbol(line)
            if not line.at_end and line.maybe("-"):
                _symbol(line)
    elif word == ".p2align":
        line.number(0, 12)
        if not line.at_end:
            line.need(", 0x0", ", 0x90")
    else:
        line.need(*_SECTIONS)
    line.end()


_SECTIONS = (
    '.rodata.str1.1,"aMS",@progbits,1',
    '.rodata.str1.16,"aMS",@progbits,1',
    '.rodata.str4.4,"aMS",@progbits,4',
    '.rodata,"a",@progbits',
    '.rodata.cst4,"aM",@progbits,4',
    '.rodata.cst8,"aM",@progbits,8',
    '.rodata.cst16,"aM",@progbits,16',
    '.data.rel.ro,"aw",@progbits',
    '.text.unlikely.,"ax",@progbits',
)


def _string(line: Reader) -> None:
    match = _STRING.match(line.text, line.position)
    if match is None:
        if not line.whole and _STRING_BEGUN.fullmatch(line.rest):
            raise UnfinishedError(len(line.text))
        raise line.fail()
    line.position = match.end()


def line_fault(text: str) -> int | None:
    """Where the beginning of a line goes wrong, if it does."""
    try:
        read_line(Reader(text, whole=False))
    except UnfinishedError:
        return None
    except GrammarError as wrong:
        return wrong.position
    return None


def is_shaped(text: str) -> bool:
    """True if a whole line has a right shape."""
    try:
        read_line(Reader(text, whole=True))
    except GrammarError:
        return False
    return True
