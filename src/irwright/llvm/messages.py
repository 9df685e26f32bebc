"""What LLVM says of broken input, as errors of one line."""

from __future__ import annotations

import re

from irwright.errors import IRError


def explain_bitcode(problem: str, major: int) -> str:
    """One line for what LLVM's bitcode reader says, with the remedy where we know it."""
    produced = re.search(r"Producer: '(?:LLVM|APPLE_\d+_)(\d+)", problem)
    if produced and int(produced.group(1)) > major:
        return (
            f"bitcode of LLVM {produced.group(1)}, which LLVM {major} can't read; "
            f"name that LLVM with --llvm, or compile with clang {major}"
        )
    return f"broken bitcode ({problem or 'LLVM gives no reason'}); compile the file again"


def ir_error(problem: str, name: str) -> IRError:
    """LLVM's `<buffer>:line:column: error: text` plus source excerpt, as an IRError of one line."""
    first = problem.strip().splitlines()[0] if problem.strip() else "not LLVM IR"
    match = re.match(r"(?:.*?):(\d+):(\d+): (?:error: )?(.*)", first)
    if match is None:
        return IRError(name, f"not LLVM IR: {first}")
    return IRError(name, f"not valid LLVM IR: {match.group(3)}", line=int(match.group(1)), column=int(match.group(2)))
