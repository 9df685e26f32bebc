"""Proofs that a mutant is no miscompilation: nothing could tell it, so nothing has to.

LLVM is the prover: two programs of which correct passes make the same code are the same program. `prove_equal` asks
that of the whole mutant, `prove_value` whether the changed instruction gives the old value wherever it is reached,
`prove_difference` whether it matters where it gives another one, `prove_table` whether a constant table lets it.
"""

from __future__ import annotations

import re
import subprocess

from mutations import Mutant, Store, Tools, changed_text, loaded_content

from irwright.errors import IrwrightError

PROVERS = (
    "default<Oz>",
    "default<O2>",
    "default<O3>",
    "function(instcombine,simplifycfg,gvn,instcombine,adce)",
    "ipsccp,function(sroa,early-cse<memssa>,correlated-propagation,constraint-elimination,simplifycfg,gvn,dse,bdce,adce)",
    "function(loop-simplify,lcssa,loop(loop-rotate,indvars,loop-unroll-full),sroa,instcombine,gvn,simplifycfg,adce)",
)
"""pass lists that keep what a program means: equal code after one of them proves that two programs are the same"""


def prove_equal(mutant: Mutant, tools: Tools, store: Store) -> str:
    """The pass list that makes the same code of the original and of the mutant; empty where none of PROVERS does."""
    text = store.get(mutant.text)
    changed = changed_text(text.decode().split("\n"), mutant.line, mutant.after)
    return same_code([text, changed], mutant.module, tools)


DIFFERS = "irwright_differs"
_SCALAR = r"(?:i\d+|ptr)"


def prove_value(mutant: Mutant, tools: Tools, store: Store) -> str:
    """The pass list that finds the changed instruction to give the value of the unchanged one, whenever it is reached.

    Both stand side by side and are compared; LLVM has to fold the comparison. Nothing may follow from the changed one
    being undefined where the other is not: flags by which it promises something are taken off, shifts and divisions
    by other operands are left out, and so are stores to memory that was made in the function and may hold nothing.
    """
    lines = store.get(mutant.text).decode().split("\n")
    both = _stores_side_by_side(lines, mutant) or _values_side_by_side(lines[mutant.line], mutant.after)
    if both is None:
        return ""
    declaration = f"declare void @{DIFFERS}(i1) nounwind willreturn memory(inaccessiblemem: readwrite)"
    text = "\n".join([*lines[: mutant.line], *both, *lines[mutant.line + 1 :], declaration, ""])
    for passes in PROVERS:
        try:
            found = tools.optimise(text.encode(), passes, text=True).decode()
        except subprocess.CalledProcessError:
            return ""
        if all(argument == "false" for argument in re.findall(rf"call .*@{DIFFERS}\(i1 (?:\w+ )*(\S+)\)", found)):
            return passes
    return ""


def _stores_side_by_side(lines: list[str], mutant: Mutant) -> list[str] | None:
    """A store that is left out or narrower, with a check of what was there; None for other changes."""
    before = lines[mutant.line]
    store = re.match(rf"\s+store ({_SCALAR}) ([^,]+), ptr ([^,]+)", before)
    if store is None or not (not mutant.after or "%irwright.half" in mutant.after):
        return None
    kind, value, place = store.groups()
    if not _is_elsewhere(lines, mutant.line, place):
        return None
    check = [f"  %irwright.differs = icmp ne {kind} %irwright.old, {value}"]
    if mutant.after:
        check = [
            f"  %irwright.change = xor {kind} %irwright.old, {value}",
            f"  %irwright.upper = lshr {kind} %irwright.change, {int(kind[1:]) // 2}",
            f"  %irwright.differs = icmp ne {kind} %irwright.upper, 0",
        ]
    return [f"  %irwright.old = load {kind}, ptr {place}", *check, _CHECK, before]


def _is_elsewhere(lines: list[str], number: int, place: str) -> bool:
    """The memory was there before the function was called: a global's, an argument's, or what these point at."""
    start = function_lines(lines, number)[0]
    for _ in range(20):
        if place.startswith("@") or re.search(rf"ptr (?:\w+ |\w+\([^)]*\) )*{re.escape(place)}[,)]", lines[start]):
            return True
        made = next((line for line in lines[start:number] if line.startswith(f"  {place} = ")), "")
        base = re.search(r"= getelementptr .*?ptr (%[^,\s]+|@[^,\s]+)|= load ptr, ptr (%[^,\s]+|@[^,\s]+)", made)
        if base is None:
            return False
        place = base.group(1) or base.group(2)
    return False


_CHECK = f"  call void @{DIFFERS}(i1 %irwright.differs)"


def _values_side_by_side(before: str, after: str) -> list[str] | None:
    result = re.match(r"\s+(%\S+) = (\w+)", before)
    if result is None or not after.strip().startswith(f"{result.group(1)} = ") or re.search(r"<\d+ x ", after):
        return None
    name, operation = result.groups()
    flags = r" (?:nuw|nsw|exact|disjoint|nneg|samesign|inbounds|nusw)\b"
    other = re.sub(flags, "", after.split(", !")[0]).replace(name, "%irwright.other", 1)
    if re.search(r"= (?:[us]div|[us]rem|shl|[la]shr) ", other) and _operands(before) != _operands(after):
        return None
    if operation in ("icmp", "getelementptr"):
        kind = "i1" if operation == "icmp" else "ptr"
    else:
        operations = "add|sub|mul|and|or|xor|[su]div|[su]rem|shl|[la]shr"
        match = (
            re.search(rf" to ({_SCALAR})$", other)
            or re.match(rf"\s+\S+ = select i1 [^,]+, ({_SCALAR}) ", other)
            or re.match(rf"\s+\S+ = (?:{operations}) ({_SCALAR}) ", other)
        )
        if match is None:
            return None
        kind = match.group(1)
    return [before, other, f"  %irwright.differs = icmp ne {kind} {name}, %irwright.other", _CHECK]


def _operands(line: str) -> str:
    """The last two words of an instruction, its operands."""
    return " ".join(line.split(", !")[0].split()[-2:])


# ----------------------------------------------------------------- where it differs

_FLAG = re.compile(r" (?:nuw|nsw|exact|disjoint|nneg|samesign|inbounds|nusw)\b")


def prove_difference(mutant: Mutant, tools: Tools, store: Store) -> str:
    """The pass list that makes the same code of both where the changed instruction gives another value than before.

    What gives the same value needs no proof. Instructions in loops are left out: assumed is of every round what is
    true of one. No instruction of the function promises anything (`nsw`), and null may be an address: else the mutant
    could be undefined where the original is not, and would count as anything.
    """
    lines = store.get(mutant.text).decode().split("\n")
    start, end = function_lines(lines, mutant.line)
    both = _either(lines[mutant.line], mutant.after)
    if both is None or _is_in_loop(lines[start:end], mutant.line - start):
        return ""
    plain = [_FLAG.sub("", line) for line in lines[start + 1 : end]]
    head = re.sub(r" (#\d+)", r" \1 null_pointer_is_valid", lines[start], count=1)
    at = mutant.line - start - 1
    texts = [
        "\n".join(
            [*lines[:start], head, *plain[:at], *given, *plain[at + 1 :], *lines[end:], _ASSUME, ""],
        ).encode()
        for given in both
    ]
    return same_code(texts, mutant.module, tools)


_ASSUME = "declare void @llvm.assume(i1)"


def function_lines(lines: list[str], number: int) -> tuple[int, int]:
    """The first and the last line of the function that a line is in."""
    start = max(at for at in range(number) if lines[at].startswith("define "))
    return start, next(at for at in range(number, len(lines)) if lines[at] == "}")


def _either(before: str, after: str) -> tuple[list[str], list[str]] | None:
    """Both values, assumed to be different, and one of them taken: as in the original, and as in the mutant."""
    made = _values_side_by_side(before, after)
    if made is None:
        return None
    name = made[0].split()[0]
    first = _FLAG.sub("", made[0]).replace(name, "%irwright.first", 1)
    check = made[2].replace(name, "%irwright.first", 1)
    kind = check.split()[4]
    found: list[list[str]] = []
    for choice in ("true", "false"):
        taken = f"  {name} = select i1 {choice}, {kind} %irwright.first, {kind} %irwright.other"
        found.append([first, made[1], check, "  call void @llvm.assume(i1 %irwright.differs)", taken])
    return found[0], found[1]


def _is_in_loop(lines: list[str], number: int) -> bool:
    """Whether control can come back to a line of a function."""
    block, own = "", ""
    leads: dict[str, set[str]] = {}
    for at, line in enumerate(lines):
        label = re.match(r'("[^"]*"|[-\w.$]+):', line)
        block = label[1] if label is not None else block
        leads.setdefault(block, set()).update(re.findall(r'label %("[^"]*"|[-\w.$]+)', line))
        own = block if at == number else own
    rest, seen = [*leads[own]], set[str]()
    while rest:
        block = rest.pop()
        if block not in seen:
            seen.add(block)
            rest += leads.get(block, ())
    return own in seen


def same_code(texts: list[bytes], name: str, tools: Tools) -> str:
    """The pass list that makes the same code of two texts."""
    for passes in PROVERS:
        try:
            one, other = (tools.lower(tools.optimise(ir, passes), name) for ir in texts)
        except (IrwrightError, subprocess.CalledProcessError):
            continue
        if loaded_content(one) == loaded_content(other):
            return passes
    return ""


# -------------------------------------------------------------------- constant tables


def prove_table(mutant: Mutant, _tools: Tools, store: Store) -> str:
    """An extension of what a constant table holds, where no entry has the sign bit; says so."""
    lines = store.get(mutant.text).decode().split("\n")
    extended = re.match(r"\s+\S+ = [sz]ext (?:nneg )?i(8) (%\S+) to", lines[mutant.line])
    if extended is None or mutant.operator != "wrong extension":
        return ""
    start, _ = function_lines(lines, mutant.line)
    place = extended.group(2)
    table = None
    for _ in range(4):
        made = next((line for line in lines[start : mutant.line] if line.startswith(f"  {place} = ")), "")
        found = re.search(r"= (?:load i8, ptr|getelementptr .*?ptr) (@[\w.$]+|%[^,\s]+)", made)
        if found is None:
            return ""
        place = found.group(1)
        if place.startswith("@"):
            table = next((line for line in lines if line.startswith(f"{place} = ")), "")
            break
    text = re.search(r'constant \[\d+ x i8\] (?:c"(.*?)"|zeroinitializer)', table or "")
    if text is None or re.search(r"\\[89A-F][0-9A-F]", text.group(1) or ""):
        return ""
    return "no entry of the table has the sign bit"


def prove(mutant: Mutant, tools: Tools, store: Store) -> str:
    """How a mutant is known to be the same program; empty where it is not."""
    for proof in (prove_table, prove_equal, prove_value, prove_difference):
        found = proof(mutant, tools, store)
        if found:
            return found
    return ""
