"""Mutants: one instruction of a function in LLVM's -Oz IR changed, and everything that is needed to judge one.

`make_mutants` compiles them from the corpus, in an order that depends on the seed alone, and keeps them in the cache:
objects by their hash, one line of JSON for each mutant. Which of them change nothing, proofs.py says.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import subprocess
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

from irwright.coreset_build import Sample, spread
from irwright.corpus.modules import modules, shared_functions
from irwright.corpus.packages import Role, default_cache
from irwright.errors import IrwrightError
from irwright.llvm import clang
from irwright.llvm.toolchain import cache_folder, find, xtc_tool
from irwright.llvm.worker import Call, WorkerPool
from irwright.measure import PROTOCOLS
from irwright.verify.elf import read_elf
from irwright.verify.signatures import Signature, signatures_of

MARKER = "irwright_reached"
PATIENT_SECONDS = 600.0
"""for the reference of one module: nothing hangs here, but other work may have the machine"""
_OPPOSITE = {
    "eq": "ne",
    "ne": "eq",
    "slt": "sge",
    "sge": "slt",
    "sgt": "sle",
    "sle": "sgt",
    "ult": "uge",
    "uge": "ult",
    "ugt": "ule",
    "ule": "ugt",
    "oeq": "une",
    "une": "oeq",
    "olt": "uge",
    "oge": "ult",
    "ogt": "ule",
    "ole": "ugt",
}
_NEXT = {"slt": "sle", "sle": "slt", "sgt": "sge", "sge": "sgt", "ult": "ule", "ule": "ult", "ugt": "uge", "uge": "ugt"}
_OTHER = {
    "add": "sub",
    "sub": "add",
    "and": "or",
    "or": "and",
    "xor": "or",
    "mul": "add",
    "shl": "lshr",
    "lshr": "shl",
    "ashr": "lshr",
    "fadd": "fsub",
    "fsub": "fadd",
    "fmul": "fdiv",
    "fdiv": "fmul",
    "udiv": "urem",
    "urem": "udiv",
    "sdiv": "srem",
    "srem": "sdiv",
}
_FLAGS = r"((?: (?:nuw|nsw|exact|disjoint|fast|nnan|ninf|nsz|arcp|contract|afn|reassoc|samesign))*)"
_ORDERED = "sub|shl|lshr|ashr|udiv|sdiv|urem|srem|fsub|fdiv"


def _flip_condition(line: str, _rng: random.Random) -> str | None:
    match = re.search(rf"= (icmp|fcmp){_FLAGS} (\w+) ", line)
    if match is None or match.group(3) not in _OPPOSITE:
        return None
    return line[: match.start(3)] + _OPPOSITE[match.group(3)] + line[match.end(3) :]


def _move_bound(line: str, _rng: random.Random) -> str | None:
    match = re.search(rf"= icmp{_FLAGS} (\w+) ", line)
    if match is None or match.group(2) not in _NEXT:
        return None
    return line[: match.start(2)] + _NEXT[match.group(2)] + line[match.end(2) :]


def _swap_branches(line: str, _rng: random.Random) -> str | None:
    match = re.match(r"(\s+br i1 [^,]+), label (\S+), label (\S+?)(,.*)?$", line)
    if match is None or match.group(2) == match.group(3):
        return None
    return f"{match.group(1)}, label {match.group(3)}, label {match.group(2)}{match.group(4) or ''}"


def _swap_select(line: str, _rng: random.Random) -> str | None:
    match = re.match(r"(\s+\S+ = select i1 [^,]+), ([^,()]+), ([^,()]+)(,.*)?$", line)
    if match is None or match.group(2) == match.group(3):
        return None
    return f"{match.group(1)}, {match.group(3)}, {match.group(2)}{match.group(4) or ''}"


def _swap_operands(line: str, _rng: random.Random) -> str | None:
    match = re.match(rf"(\s+\S+ = (?:{_ORDERED})){_FLAGS} (\S+) ([^,()]+), ([^,()]+?)((?:, !.*)?)$", line)
    if match is None or match.group(4) == match.group(5):
        return None
    head, _, kind, x, y, rest = match.groups()
    return f"{head} {kind} {y}, {x}{rest}"


def _other_operation(line: str, _rng: random.Random) -> str | None:
    match = re.match(rf"(\s+\S+ = )({'|'.join(_OTHER)}){_FLAGS} (.*)$", line)
    return None if match is None else f"{match.group(1)}{_OTHER[match.group(2)]} {match.group(4)}"


def _off_by_one(line: str, rng: random.Random) -> str | None:
    if not re.match(r"\s+(\S+ = )?(add|sub|mul|and|or|xor|icmp|select|store|ret|shl|lshr|ashr|getelementptr)\b", line):
        return None
    places = list(re.finditer(r"(?<=[ ,])-?\d+(?=$|[,)\s])", line.split(", align")[0].split(", !")[0]))
    if not places:
        return None
    place = rng.choice(places)
    return line[: place.start()] + str(int(place.group()) + rng.choice((1, -1))) + line[place.end() :]


def _drop_store(line: str, _rng: random.Random) -> str | None:
    return "" if re.match(r"\s+store (?!volatile)", line) else None


def _drop_call(line: str, _rng: random.Random) -> str | None:
    return "" if re.match(r"\s+(tail |musttail )?call [^=]*\bvoid @(?!llvm\.)", line) else None


def _wrong_extension(line: str, _rng: random.Random) -> str | None:
    # `zext nneg` promises that both extensions are the same.
    match = re.search(r"= (zext|sext) (?!i1 |nneg )", line)
    if match is None:
        return None
    return line[: match.start(1)] + ("zext" if match.group(1) == "sext" else "sext") + line[match.end(1) :]


def _narrow_store(line: str, _rng: random.Random) -> str | None:
    match = re.match(r"(\s+)store i(64|32|16) ([^,]+), (ptr .*)$", line)
    if match is None or not match.group(3).startswith("%"):
        return None
    space, width, value, rest = match.groups()
    half = int(width) // 2
    name = f"%irwright.half{zlib.crc32(line.encode()) % 10**6}"
    return f"{space}{name} = trunc i{width} {value} to i{half}\n{space}store i{half} {name}, {rest}"


OPERATORS: dict[str, Callable[[str, random.Random], str | None]] = {
    "flip a condition": _flip_condition,
    "move a bound by one": _move_bound,
    "swap the targets of a branch": _swap_branches,
    "swap the values of a select": _swap_select,
    "swap operands": _swap_operands,
    "another operation": _other_operation,
    "constant off by one": _off_by_one,
    "drop a store": _drop_store,
    "drop a call": _drop_call,
    "wrong extension": _wrong_extension,
    "store half the width": _narrow_store,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One mutant; files are named by the hash of their content."""

    module: str
    function: str
    operator: str
    line: int
    """of the optimised IR"""
    before: str
    after: str
    text: str
    """file: the optimised IR"""
    unoptimised: str
    """file: IR for signatures"""
    original: str
    """file: object"""
    candidate: str
    """file: object of the changed IR"""
    marked: str
    """file: object with a call of MARKER in front of the instruction"""
    reference: str
    """file: object of the unoptimised IR"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which mutants to make."""

    role: Role
    seed: int
    functions: int
    """with mutants, at least"""
    mutants: int
    """at least"""
    per_module: int
    """functions"""
    per_function: int
    """mutants"""
    max_lines: int
    """of IR; larger modules are left out"""


def folder() -> Path:
    """Where mutants and verdicts are kept."""
    return cache_folder() / "mutants"


class Store:
    """Files by the hash of their content, compressed."""

    def __init__(self) -> None:
        self._folder = folder() / "files"
        self._folder.mkdir(parents=True, exist_ok=True)

    def put(self, data: bytes) -> str:
        name = hashlib.sha256(data).hexdigest()[:24]
        path = self._folder / name
        if not path.exists():
            path.write_bytes(zlib.compress(data, 3))
        return name

    def get(self, name: str) -> bytes:
        return zlib.decompress((self._folder / name).read_bytes())


class Tools:
    """opt and clang."""

    def __init__(self) -> None:
        self.clang = find().need_clang()
        opt = xtc_tool("opt")
        if opt is None:
            raise SystemExit("opt is missing: pip install 'irwright[targets]'")
        self.opt = opt

    def optimise(self, ir: bytes, passes: str, *, text: bool = False) -> bytes:
        command = [str(self.opt), *(["-S"] if text else []), f"-passes={passes}", "-o", "-", "-"]
        return subprocess.run(command, input=ir, capture_output=True, check=True).stdout

    def lower(self, ir: bytes, name: str) -> bytes:
        return clang.lower(self.clang, ir, (), name=name)

    def unoptimised(self, bitcode: bytes) -> bytes:
        """The reference, as `irwright tune` makes it."""
        with WorkerPool(find().library.path, jobs=1, timeout_seconds=PATIENT_SECONDS) as pool:
            pool.add_module("m", bitcode, name="m")
            call = Call(operation="reference", module="m", arguments={"level": PROTOCOLS["oz"].level})
            return pool.call(call).unwrap("reference")


def samples(role: Role, seed: int) -> Iterator[tuple[str, bytes, frozenset[str]]]:
    """(name, bitcode, functions that no module of the other role has) of modules, projects taking turns."""
    cache = default_cache()
    found = modules(role, cache=cache)
    if not found:
        raise SystemExit(f"no {role} modules; make them with: irwright corpus fetch --role {role}")
    shared = shared_functions(cache)
    own = {
        f"{m.package}/{m.source}": frozenset(name for name, digest in m.functions if digest not in shared)
        for m in found
    }
    given = [Sample(name=f"{m.package}/{m.source}", project=m.package, bitcode=m.bitcode) for m in found]
    for sample in spread(given, random.Random(seed)):
        yield sample.name, sample.bitcode.read_bytes(), own[sample.name]


def make_mutants(wanted: Wanted) -> Iterator[Mutant]:
    """Mutants of the first functions drawn, a few of each module; those made before are read."""
    key = hashlib.sha256(json.dumps(asdict(wanted)).encode()).hexdigest()[:12]
    path = folder() / f"made-{wanted.role}-{wanted.seed}-{key}.jsonl"
    if path.exists():
        yield from (Mutant(**json.loads(line)) for line in path.read_text().splitlines())
        return
    maker = Maker(wanted)
    made: list[Mutant] = []
    for mutant in maker.mutants():
        made.append(mutant)
        yield mutant
    path.write_text("".join(json.dumps(asdict(mutant)) + "\n" for mutant in made))


class Maker:
    """Changes instructions and compiles."""

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.tools = Tools()
        self.store = Store()

    def mutants(self) -> Iterator[Mutant]:
        wanted = self.wanted
        rng = random.Random(wanted.seed)
        num_functions = num_mutants = 0
        for name, bitcode, own in samples(wanted.role, wanted.seed):
            if num_functions >= wanted.functions and num_mutants >= wanted.mutants:
                return
            text = self.tools.optimise(bitcode, "default<Oz>", text=True).decode()
            if text.count("\n") > wanted.max_lines:
                continue
            unoptimised = self.tools.optimise(bitcode, "verify", text=True)
            signatures = signatures_of(unoptimised.decode())
            original = self.tools.lower(text.encode(), name)
            reference = self.tools.unoptimised(bitcode)
            files = {
                "text": self.store.put(text.encode()),
                "unoptimised": self.store.put(unoptimised),
                "original": self.store.put(original),
                "reference": self.store.put(reference),
            }
            bodies = [b for b in _bodies(text) if b[0] in signatures and b[0] in own and b[2] - b[1] > 8]
            for function, start, end in rng.sample(bodies, min(wanted.per_module, len(bodies))):
                made = list(self.of_function(name, text, function, start, end, original, files, rng))
                num_functions += bool(made)
                num_mutants += len(made)
                yield from made

    def of_function(
        self,
        name: str,
        text: str,
        function: str,
        start: int,
        end: int,
        original: bytes,
        files: dict[str, str],
        rng: random.Random,
    ) -> Iterator[Mutant]:
        lines = text.split("\n")
        made = 0
        for number, operator, after in _choices(lines, start, end, rng):
            if made >= self.wanted.per_function:
                return
            marked = "\n".join([*lines[:number], f"  call void @{MARKER}()", *lines[number:]])
            try:
                candidate = self.tools.lower(changed_text(lines, number, after), name)
                marker = self.tools.lower((marked + f"\ndeclare void @{MARKER}()\n").encode(), name)
            except IrwrightError:
                continue  # no valid IR: it is no mutant
            if loaded_content(candidate) == loaded_content(original):
                continue
            made += 1
            yield Mutant(
                module=name,
                function=function,
                operator=operator,
                line=number,
                before=lines[number].strip(),
                after=after,
                candidate=self.store.put(candidate),
                marked=self.store.put(marker),
                **files,
            )


def changed_text(lines: list[str], number: int, after: str) -> bytes:
    """IR with one line replaced."""
    return "\n".join([*lines[:number], after, *lines[number + 1 :]]).encode()


def _choices(lines: list[str], start: int, end: int, rng: random.Random) -> list[tuple[int, str, str]]:
    """(line, operator, new line) of what can be changed; operators take turns: else most would be constants."""
    choices = [
        (number, operator, after)
        for number in range(start, end)
        for operator, change in OPERATORS.items()
        if (after := change(lines[number], rng)) is not None and after != lines[number]
    ]
    rng.shuffle(choices)
    turn: Counter[str] = Counter()
    ranked: list[tuple[int, tuple[int, str, str]]] = []
    for choice in choices:
        ranked.append((turn[choice[1]], choice))
        turn[choice[1]] += 1
    ranked.sort(key=lambda entry: entry[0])
    return [choice for _, choice in ranked]


@lru_cache(maxsize=4)
def signatures_in(store: Store, name: str) -> dict[str, Signature]:
    """Signatures of IR in the store."""
    return signatures_of(store.get(name).decode())


def _bodies(text: str) -> Iterator[tuple[str, int, int]]:
    """(name, first line, line behind) of the body of each function that other modules can call."""
    name, start = "", 0
    for number, line in enumerate(text.split("\n")):
        match = re.match(r"define (?!internal|private|available_externally).*?@([\w.$]+)\(", line)
        if match is not None:
            name, start = match.group(1), number + 1
        elif line == "}" and name:
            yield name, start, number
            name = ""


def loaded_content(data: bytes) -> tuple[bytes, ...]:
    """Content of the loaded sections and their relocations: what of an object can matter."""
    elf = read_elf(data)
    return (*(s.content for s in elf.sections if s.is_loaded), repr(sorted(elf.relocations.items())).encode())
