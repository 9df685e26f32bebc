"""The pass space: every IR pass that LLVM 17 to 23 lists, and what one LLVM calls it.

The table itself is in pass_rows.py. What a list of passes is, and its text, is in passes.py.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

from irwright.pass_rows import (
    EXCLUDED,
    IMPLIED_PARAMETERS,
    OLDEST_LLVM,
    OPT_LEVELS,
    RENAMED,
    RENAMED_PARAMETERS,
    USABLE,
    Level,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One word a pass accepts between `<` and `>`."""

    name: str
    """The word, without `=N`."""
    number: bool = False
    """True if `=N` follows."""
    since: int = OLDEST_LLVM
    until: int | None = None

    def supported(self, llvm_major: int) -> bool:
        return self.since <= llvm_major and (self.until is None or llvm_major <= self.until)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PassInfo:
    """One pass: where it runs, which LLVMs have it, what it takes, and why it's left out if it is.

    There is one object per pass, in PASSES; equality is identity.
    """

    name: str
    level: Level
    """Innermost adaptor it runs under; `loop-mssa` is a loop pass that needs MemorySSA."""
    params: tuple[str, ...] = ("",)
    """Parameter texts worth trying, '' for none."""
    since: int = OLDEST_LLVM
    until: int | None = None
    """The first and last LLVM major that has it; None while the newest does."""
    excluded: str | None = None
    """Why no list may hold it; None if usable."""
    accepts: tuple[Parameter, ...] = ()
    """Every parameter word LLVM takes (usable passes only: those of excluded ones aren't checked)."""
    one_parameter: bool = False
    """True if exactly one of `accepts` is given."""

    def supported(self, llvm_major: int) -> bool:
        return self.since <= llvm_major and (self.until is None or llvm_major <= self.until)


def _span(word: str) -> tuple[str, int, int | None]:
    """Split `name@18-22` into name, since, until."""
    name, _, span = word.partition("@")
    if not span:
        return name, OLDEST_LLVM, None
    since, _, until = span.partition("-")
    return name, int(since), int(until) if until else None


def _parameters(text: str) -> tuple[Parameter, ...]:
    parameters: list[Parameter] = []
    for word in text.split():
        name, since, until = _span(word)
        number = name.endswith("=N")
        name = name.removesuffix("=N")
        names = (f"no-{name[5:]}", name[5:]) if name.startswith("[no-]") else (name,)
        parameters += (Parameter(name=one, number=number, since=since, until=until) for one in names)
    return tuple(parameters)


def _usable_row(row: str) -> PassInfo:
    head, _, rest = row.format(levels=OPT_LEVELS).partition(" : ")
    tries, _, accepted = rest.partition(" : ")
    word, level = head.split()
    name, since, until = _span(word)
    if level not in ("module", "cgscc", "function", "loop", "loop-mssa"):
        raise ValueError(f"no level {level!r} in row {row!r}")
    return PassInfo(
        name=name,
        level=level,
        params=tuple("" if text == "-" else text for text in tries.split()) or ("",),
        since=since,
        until=until,
        accepts=_parameters(accepted.removeprefix("|")),
        one_parameter=accepted.startswith("|"),
    )


def _load() -> dict[str, PassInfo]:
    """Build the table, by name; a name that occurs twice is an error."""
    rows = [_usable_row(" ".join(row.split())) for row in re.split(r"\n(?! )", USABLE.strip())]
    for reason, level, names in EXCLUDED:
        for word in names.split():
            name, since, until = _span(word)
            rows.append(PassInfo(name=name, level=level, since=since, until=until, excluded=reason))
    table: dict[str, PassInfo] = {}
    for info in rows:
        if info.name in table:
            raise ValueError(f"pass {info.name!r} is twice in the table")
        table[info.name] = info
    return table


PASSES: dict[str, PassInfo] = _load()


# ---- what one LLVM calls it


def words(params: str) -> list[str]:
    """Split the text between `<` and `>`."""
    return [word for word in params.split(";") if word]


def find_parameter(info: PassInfo, word: str) -> Parameter | None:
    """The parameter a word such as `max-iterations=3` gives, in any LLVM."""
    name, equals, value = word.partition("=")
    for parameter in info.accepts:
        if parameter.name == name and parameter.number == bool(equals):
            plain = value.isdecimal() and value.isascii() and len(value) < 10  # LLVM reads it as an int
            return parameter if plain or not equals else None
    return None


def spell_parameter(info: PassInfo, word: str, llvm_major: int) -> str | None:
    """What this LLVM calls a parameter; None if it lacks it."""
    if not info.accepts and info.excluded:
        return word
    parameter = find_parameter(info, word)
    if parameter is None:
        return None
    if parameter.supported(llvm_major):
        older, last = RENAMED_PARAMETERS.get(info.name, {}).get(word, ("", 0))
        return older if llvm_major <= last else word
    # LLVM 23 has no Os and Oz: its O2 does the same on functions that carry optsize and minsize.
    if word in ("Os", "Oz") and parameter.until is not None and llvm_major > parameter.until:
        return "O2"
    return None


@functools.lru_cache(maxsize=16384)
def spell(name: str, params: str, llvm_major: int) -> str | None:
    """What this LLVM calls a pass with its parameters; None if it lacks the pass or one of them."""
    info = PASSES[name]
    if not info.supported(llvm_major):
        return None
    spelled = [spell_parameter(info, word, llvm_major) for word in words(params)]
    known = [word for word in spelled if word is not None]
    if len(known) < len(spelled):
        return None
    implied, since = IMPLIED_PARAMETERS.get(name, ("", 0))
    if implied and llvm_major >= since:
        known.append(implied)
    older, last = RENAMED.get(name, ("", 0))
    name = older if llvm_major <= last else name
    return f"{name}<{';'.join(known)}>" if known else name


@functools.cache
def usable_passes(llvm_major: int) -> tuple[PassInfo, ...]:
    """The passes of this LLVM that lists may hold, by name."""
    if llvm_major < OLDEST_LLVM:
        raise ValueError(f"LLVM {llvm_major} is older than {OLDEST_LLVM}, the oldest one with a pass table")
    infos = (info for info in PASSES.values() if info.supported(llvm_major) and not info.excluded)
    return tuple(sorted(infos, key=lambda info: info.name))


@functools.cache
def params_worth_trying(name: str, llvm_major: int) -> tuple[str, ...]:
    """The table's texts this LLVM takes, each a text of its own there (in LLVM 23 Oz stands for Os and O2 too)."""
    texts: dict[str, str] = {}
    for text in PASSES[name].params:
        spelled = spell(name, text, llvm_major)
        if spelled is not None:
            texts.setdefault(spelled, text)
    return tuple(texts.values())
