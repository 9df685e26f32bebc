"""Textual IR to assembly, many variants in one call; assembly text to an object; modules linked into one.

What a worker does for lift/. Every text is parsed in a context of its own that keeps the names of values, since
what comes out is read by people.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from irwright.errors import IrwrightError, LLVMError
from irwright.llvm.codegen import CodegenLevel, FileType, TargetMachines, emit
from irwright.llvm.library import Library
from irwright.llvm.module import Context, Module


@dataclass(frozen=True, slots=True, kw_only=True)
class Lowered:
    """What became of one text: IR after the passes and its assembly, or LLVM's words on why not."""

    ir: str = ""
    asm: str = ""
    problem: str = ""


def lower(
    library: Library, machines: TargetMachines, jobs: Sequence[tuple[str, str]], *, keep_ir: bool = True
) -> list[Lowered]:
    """(textual IR, pipeline) pairs, each optimised and lowered as `clang -Oz` lowers without IR passes."""
    results: list[Lowered] = []
    # The same text under several pipelines is parsed once.
    text_before, context, module = "", None, None
    try:
        for text, pipeline in jobs:
            if library.major < 18:  # which had no such check
                pipeline = pipeline.replace("<no-verify-fixpoint>", "")
            try:
                if context is None or text != text_before:
                    if context is not None:
                        context.close()
                    context = Context(library, keep_names=True)
                    module = context.parse(text.encode(errors="surrogateescape"), name="lifted")
                    text_before = text
                    problem = module.verify()
                    if problem is not None:
                        raise LLVMError(f"broken IR: {problem.strip().splitlines()[0]}")
                assert module is not None
                results.append(_lower_one(machines, module, pipeline, keep_ir))
            except IrwrightError as error:
                results.append(Lowered(problem=str(error)))
                if module is None:
                    text_before = ""
    finally:
        if context is not None:
            context.close()
    return results


def _lower_one(machines: TargetMachines, module: Module, pipeline: str, keep_ir: bool) -> Lowered:
    with module.clone() as clone:
        machine = machines.get(clone, CodegenLevel.DEFAULT)
        if pipeline:
            clone.run_passes(pipeline, target_machine=machine)
        ir = clone.text() if keep_ir else ""
        asm = emit(clone, machine, FileType.ASSEMBLY).decode(errors="surrogateescape")
    return Lowered(ir=ir, asm=asm)


def assemble(library: Library, machines: TargetMachines, text: str) -> bytes:
    """The object of textual IR (with `module asm`); LLVMError with the assembler's first message."""
    with Context(library, keep_names=True) as context, context.parse(text.encode(), name="assembly") as module:
        machine = machines.get(module, CodegenLevel.DEFAULT)
        return emit(module, machine, FileType.OBJECT)


def link(library: Library, machines: TargetMachines, texts: Sequence[str]) -> Lowered:
    """Modules linked in order, and the assembly of the whole."""
    with Context(library, keep_names=True) as context:
        whole = context.parse(texts[0].encode(errors="surrogateescape"), name="lifted")
        for text in texts[1:]:
            whole.link(context.parse(text.encode(errors="surrogateescape"), name="lifted"))
        problem = whole.verify()
        if problem is not None:
            raise LLVMError(f"broken IR: {problem.strip().splitlines()[0]}")
        return _lower_one(machines, whole, "", True)
