"""Functions that a module has more than once under different names, as C++ templates make them.

LLVM's `mergefunc` keeps one of them; no default pipeline of clang runs it. Where -Oz leaves copies, every whole plan
of a search ends with it, and what it is going to save is known before anything is compiled.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace

from irwright.errors import IrwrightError
from irwright.llvm.bodies import split_text
from irwright.llvm.codegen import FunctionSize
from irwright.passes import PassList
from irwright.plan import Plan
from irwright.task import Task

MERGE = "mergefunc"

LEAST_BYTES = 16
"""of copies; where there are fewer, nothing is merged"""

JUMP_BYTES = 5
"""of a function that only jumps to the copy that is kept"""

_LOCAL = re.compile(rb'%(?:"[^"]*"|[-\w.$]+)|^([-\w.$]+|"[^"]*"):', re.MULTILINE)
_HEADER = re.compile(rb'define ([^\n]*?)@("[^"]*"|[-\w.$]+)(\([^\n]*)')
_PLACE = re.compile(rb" (?:comdat(?:\([^)]*\))?|(?:local_)?unnamed_addr)")
"""what a function's header says beside parameters and attributes"""
_NOTE = re.compile(rb", ![\w.]+ !\d+")
"""metadata of an instruction; `mergefunc` merges what differs in types for aliasing alone"""
_DISCARDED = re.compile(rb"\b(?:internal|private|linkonce|linkonce_odr)\b")


def merge_duplicates(task: Task) -> None:
    """Let every whole plan of a task end in merging, where the code of -Oz has copies that make it worth it."""
    if task.baseline is None or task.baseline.sizes is None or len(task.baseline.sizes.functions) < 2:
        return
    try:
        text = task.oz_text()
    except IrwrightError:  # IR that LLVM itself breaks; whoever compiles it next tells of it
        return
    saved = bytes_of_duplicates(text, task.baseline.sizes.functions)
    if saved >= LEAST_BYTES:
        merge = PassList.parse(MERGE, llvm_major=task.evaluator.llvm_major)
        task.finish, task.finish_saves = merge, saved
        task.coreset = replace(task.coreset, lists=tuple(_finished(plan, merge) for plan in task.coreset.lists))


def bytes_of_duplicates(text: bytes, sizes: Mapping[str, FunctionSize]) -> int:
    """What a module, as text, has too much by having functions more than once; `sizes` are of those in its object.

    Functions are copies where their text is the same but for their own name and those of values and types.
    """
    groups: defaultdict[bytes, list[tuple[bytes, FunctionSize]]] = defaultdict(list)
    for name, body in split_text(text).items():
        size = sizes.get(name)
        found = _HEADER.search(body)
        if size is not None and found is not None:
            groups[_canonical(body, found)].append((found.group(1) + found.group(3), size))
    return sum(_saved(group) for group in groups.values() if len(group) > 1)


def _canonical(body: bytes, header: re.Match[bytes]) -> bytes:
    own = re.compile(rb"@" + re.escape(header.group(2)) + rb"(?![-\w.$])")
    code = b" ".join(_PLACE.sub(b"", header.group(3)).split()) + own.sub(b"@", _NOTE.sub(b"", body[header.end() :]))
    numbers: dict[bytes, bytes] = {}

    def number(found: re.Match[bytes]) -> bytes:
        name = found.group(1)
        if name is not None:
            return b":"
        return numbers.setdefault(found.group(), b"%%%d" % len(numbers))

    return _LOCAL.sub(number, code)


def _saved(group: list[tuple[bytes, FunctionSize]]) -> int:
    """One stays; the others go where nothing can tell, or jump to it."""
    saved = 0
    for header, size in group[1:]:
        leaves = _DISCARDED.search(header) is not None and b"unnamed_addr" in header
        saved += size.total if leaves else max(0, size.code + size.data - JUMP_BYTES)
    return saved


def _finished(plan: Plan, merge: PassList) -> Plan:
    return plan if plan.preparation else replace(plan, finish=PassList((*plan.finish.items, *merge.items)))
