"""Reading the text of pass lists, flat form and pipeline alike; a mistake is pointed at by its column.

The two texts are explained in passes.py, whose `PassList.parse` is the way in. Items come as they are written: groups
that say nothing are dissolved by pass_items.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from irwright.errors import PassListError
from irwright.pass_items import ADAPTORS, HOLDS, Adaptor, Group, Item, Pass, inner_level
from irwright.pass_rows import ANY_LEVEL, IMPLIED_PARAMETERS, LOSES_MEMORY_SSA, RENAMED, RENAMED_PARAMETERS, Level
from irwright.pass_table import PASSES, Parameter, PassInfo, find_parameter, spell_parameter

_KEYWORDS = (*ADAPTORS, "repeat")


def parse_items(text: str, *, llvm_major: int, allow_excluded: bool) -> tuple[Item, ...]:
    """Read the items of a list; as `PassList.parse`, but not normalised."""
    return _Parser(text, llvm_major, allow_excluded).parse()


class _Parser:
    """Recursive descent over one text; positions count from 0, columns in errors from 1."""

    def __init__(self, text: str, llvm_major: int, allow_excluded: bool) -> None:
        self._text = text
        self._major = llvm_major
        self._allow_excluded = allow_excluded
        self._at = 0
        self._depth = 0

    def parse(self) -> tuple[Item, ...]:
        if self._text.strip() in ("", "no-op-module"):
            return ()
        items = self._list("module", "")
        if self._peek() == ")":
            raise self._error("')' without '('", self._at)
        return items

    def _error(self, problem: str, at: int, suggestions: Sequence[str] = ()) -> PassListError:
        return PassListError(problem, text=self._text, column=at + 1, suggestions=suggestions)

    def _peek(self) -> str:
        while self._text[self._at : self._at + 1].isspace():
            self._at += 1
        return self._text[self._at : self._at + 1]

    def _list(self, level: Level, inside: str) -> tuple[Item, ...]:
        """Items up to the end or an unopened `)`; `inside` is the adaptor around them, for messages."""
        items: list[Item] = []
        while True:
            items += self._item(level, inside)
            following = self._peek()
            if following in ("", ")"):
                return tuple(items)
            if following != ",":
                raise self._error(f"expected ',' but found {following!r}", self._at)
            self._at += 1

    def _item(self, level: Level, inside: str) -> tuple[Item, ...]:
        self._peek()
        start = self._at
        while self._text[self._at : self._at + 1] not in ("", ",", "<", ">", "(", ")"):
            self._at += 1
        name = self._text[start : self._at].rstrip()
        if not name:
            raise self._error("empty item", start)
        argument_at = self._at + 1
        argument = self._argument(name)
        if name == "repeat":
            return self._repeat(argument, level, inside, start)
        if name in ADAPTORS:
            return (self._group(cast(Adaptor, name), argument, level, inside, start),)
        if self._peek() == "(":
            self._look_up(name, start)
            raise self._error(f"{name!r} takes no passes in parentheses; only {', '.join(_KEYWORDS)} do", self._at)
        return (self._pass(name, argument, level, inside, start, argument_at),)

    def _argument(self, name: str) -> str:
        """The text between `<` and `>`, '' without."""
        start = self._at
        if self._text[start : start + 1] != "<":
            return ""
        depth = 0
        for at in range(start, len(self._text)):
            depth += {"<": 1, ">": -1}.get(self._text[at], 0)
            if depth == 0:
                self._at = at + 1
                return self._text[start + 1 : at]
        raise self._error(f"'<' after {name!r} is never closed", start)

    def _repeat(self, argument: str, level: Level, inside: str, start: int) -> tuple[Item, ...]:
        count = int(self._count("repeat", argument, start))
        items = self._parenthesised("repeat", level, inside, start)
        if len(items) * count > 10_000:
            raise self._error("'repeat' makes more than 10000 passes", start)
        return items * count

    def _group(self, adaptor: Adaptor, argument: str, level: Level, inside: str, start: int) -> Group:
        if level not in ADAPTORS[adaptor]:
            raise self._error(f"{adaptor}(...) can't stand inside {inside}(...)", start)
        argument = self._group_argument(adaptor, argument, level, start)
        return Group(adaptor, argument, self._parenthesised(adaptor, inner_level(adaptor), adaptor, start))

    def _parenthesised(self, keyword: str, level: Level, inside: str, start: int) -> tuple[Item, ...]:
        if self._peek() != "(":
            raise self._error(f"{keyword!r} needs passes in parentheses", start)
        opened = self._at
        self._at += 1
        self._depth += 1
        if self._depth > 50:
            raise self._error("more than 50 adaptors inside each other", start)
        items = self._list(level, inside)
        if self._peek() != ")":
            raise self._error(f"'(' after {keyword!r} is never closed", opened)
        self._at += 1
        self._depth -= 1
        return items

    def _count(self, keyword: str, argument: str, start: int) -> str:
        argument = argument.strip()
        if not (argument.isdecimal() and argument.isascii() and len(argument) < 10 and 0 < int(argument) <= 100):
            raise self._error(f"{keyword!r} needs a count from 1 to 100, as in {keyword}<2>(...)", start)
        return str(int(argument))

    def _group_argument(self, adaptor: Adaptor, argument: str, level: Level, start: int) -> str:
        if adaptor == "devirt":
            return self._count(adaptor, argument, start)
        given = {word.strip() for word in argument.split(";") if word.strip()}
        accepted: set[str] = set()
        if adaptor == "function" and level != "function":
            accepted = {"eager-inv", "no-rerun"} if level == "cgscc" else {"eager-inv"}
        if given <= accepted:
            return ";".join(sorted(given))
        takes = " and ".join(sorted(accepted)) or "nothing"
        raise self._error(f"{adaptor!r} takes {takes} between '<' and '>' here, not {argument!r}", start)

    def _pass(self, name: str, argument: str, level: Level, inside: str, start: int, argument_at: int) -> Pass:
        info = self._look_up(name, start)
        own = level if info.name in ANY_LEVEL else info.level
        if own not in HOLDS[level]:
            if own == "loop-mssa":
                raise self._error(f"pass {name!r} needs loop-mssa(...), not {inside}(...)", start)
            raise self._error(f"{own} pass {name!r} can't stand inside {inside}(...)", start)
        if level == "loop-mssa" and info.name in LOSES_MEMORY_SSA:
            raise self._error(f"pass {name!r} loses MemorySSA; it needs loop(...), not {inside}(...)", start)
        if info.excluded:
            return Pass(info.name, argument, own)
        return Pass(info.name, self._parameters(info, argument, start, argument_at), own)

    def _look_up(self, name: str, start: int) -> PassInfo:
        newer = next((new for new, (old, _) in RENAMED.items() if old == name), name)
        info = PASSES.get(newer)
        if info is None:
            import difflib  # slow to import, needed on mistakes alone

            allowed = (n for n, i in PASSES.items() if self._allow_excluded or not i.excluded)
            known = [*allowed, *_KEYWORDS]
            close = difflib.get_close_matches(name, known, n=2, cutoff=0.7)
            raise self._error(f"unknown pass {name!r}", start, close)
        if not info.supported(self._major):
            raise self._error(f"pass {name!r} is {_span_text(info)}, not in LLVM {self._major}", start)
        reason = info.excluded
        if reason and not self._allow_excluded:
            raise self._error(f"pass {name!r} is left out of pass lists ({reason})", start)
        return info

    def _parameters(self, info: PassInfo, argument: str, start: int, at: int) -> str:
        given: list[str] = []
        implied, _ = IMPLIED_PARAMETERS.get(info.name, ("", 0))
        for piece in argument.split(";"):
            word = piece.strip()
            if word and word != implied:
                given.append(self._parameter(info, word, at + len(piece) - len(piece.lstrip())))
            at += len(piece) + 1
        if info.one_parameter and len(given) != 1:
            accepted = ", ".join(p.name for p in info.accepts)
            raise self._error(f"pass {info.name!r} needs one of {accepted} between '<' and '>'", start)
        return ";".join(given)

    def _parameter(self, info: PassInfo, word: str, at: int) -> str:
        names = {old: new for new, (old, _) in RENAMED_PARAMETERS.get(info.name, {}).items()}
        word = names.get(word, word)
        parameter = find_parameter(info, word)
        if parameter is None:
            accepted = [f"{p.name}=N" if p.number else p.name for p in info.accepts if p.supported(self._major)]
            takes = f"accepted: {', '.join(accepted)}" if accepted else "it takes none"
            raise self._error(f"unknown parameter {word!r} of {info.name!r} ({takes})", at)
        if spell_parameter(info, word, self._major) is None:
            span = _span_text(parameter)
            raise self._error(f"parameter {word!r} of {info.name!r} is {span}, not in LLVM {self._major}", at)
        name, equals, value = word.partition("=")
        return f"{name}={int(value)}" if equals else name


def _span_text(what: PassInfo | Parameter) -> str:
    if what.until is None:
        return f"in LLVM {what.since} and later"
    return f"in LLVM {what.since} to {what.until}" if what.since < what.until else f"only in LLVM {what.since}"
