"""The commands `disassemble` and `roundtrip`."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from irwright.cli_options import CompilerFlagsCommand, debug_option, llvm_option
from irwright.errors import InputError, StorageError

if TYPE_CHECKING:
    from irwright.lift.verdicts import ArchiveResult, LiftResult


keep_option = click.option(
    "--keep-different", is_flag=True, help="Hand out IR that behaved differently, to read it; else machine code is."
)


def _finish(result: LiftResult, output: str | None, report: Path | None, as_json: bool) -> int:
    from irwright.console import print_lifting
    from irwright.files import write_output
    from irwright.lift.report import report_page

    if report is not None:
        write_output(report, report_page([result], result.file).encode(errors="surrogateescape"))
    if output is not None and output != "-":
        write_output(_inside(output, result.file), result.ir.encode(errors="surrogateescape"))
    if output == "-":
        click.echo(result.ir, nl=False)
    elif as_json:
        click.echo(json.dumps(result.to_json(), indent=2))
    else:
        print_lifting(result)
    return 0


def _inside(output: str, name: str) -> Path:
    """Where a module goes: `-o` may be a folder."""
    path = Path(output)
    return path / f"{_plain(Path(name).stem)}.ll" if path.is_dir() or output.endswith("/") else path


def _plain(name: str) -> str:
    return re.sub(r"[^\w.+-]", "_", Path(name).name).lstrip(".") or "member"


def _finish_archive(result: ArchiveResult, output: str | None, report: Path | None, as_json: bool) -> int:
    from irwright.console import print_archive
    from irwright.files import write_output
    from irwright.lift.report import report_page

    if report is not None:
        write_output(report, report_page(result.members, result.file).encode(errors="surrogateescape"))
    if output is not None:
        folder = Path(output)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(output, f"can't be made: {error.strerror or error}") from error
        for member in result.members:
            write_output(folder / f"{_plain(member.file)}.ll", member.ir.encode(errors="surrogateescape"))
    if as_json:
        click.echo(json.dumps(result.to_json(), indent=2))
    else:
        print_archive(result)
    for name, problem in result.problems:
        click.echo(f"irwright: {result.file}({name}): {problem}", err=True)
    return 1 if result.problems else 0


@click.command()
@click.argument("path", metavar="FILE")
@click.option("-o", "--output", metavar="FILE", help="Write the module here as textual IR; - for standard output.")
@click.option("--target", metavar="TRIPLE", default="x86_64", show_default=True, help="What the code is for.")
@click.option("--budget", type=click.IntRange(1), default=24, show_default=True, help="Variants tried per function.")
@click.option("--verify/--no-verify", default=True, help="Run what is not exact beside the original.")
@keep_option
@click.option("--function", metavar="NAME", help="Report on this function alone.")
@click.option("--report", type=click.Path(path_type=Path), metavar="FILE", help="Write an HTML page of all functions.")
@click.option(
    "--proposer",
    metavar="COMMAND",
    help="Ask a command for IR of what is not exact, in JSON lines (docs/formats.md); judged as ours is.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@llvm_option
@debug_option
def disassemble(
    path: str,
    output: str | None,
    target: str,
    budget: int,
    verify: bool,
    keep_different: bool,
    function: str | None,
    report: Path | None,
    proposer: str | None,
    as_json: bool,
    llvm: str | None,
) -> int:
    """Lift x86-64 assembly, an object or a static library to LLVM IR that recompiles, with a verdict per function.

    FILE is assembly text (AT&T or Intel), an ELF object or an archive of objects (then -o names a folder, for a
    module per member); - is standard input. The module links in place of what it came from. A verdict speaks of the
    module as written, lowered by code generation alone: clang -x ir -Oz -Xclang -disable-llvm-passes -S.
    """
    from irwright.lift.disassembler import MAX_INPUT_BYTES, LiftSettings, disassemble_archive, read_input
    from irwright.lift.disassembler import disassemble as lift
    from irwright.lift.proposals import CommandProposer

    if not target.startswith(("x86_64", "x86-64", "amd64")):
        raise click.UsageError(f"code for {target!r} can't be lifted; x86_64 can")
    with ExitStack() as stack:
        asked = None
        if proposer is not None:
            words = shlex.split(proposer)
            if not words:
                raise click.UsageError("--proposer needs a command")
            asked = stack.enter_context(CommandProposer(words))
        settings = LiftSettings(
            budget=budget, verify=verify, keep_different=keep_different, function=function, llvm=llvm, proposer=asked
        )
        name = "<stdin>" if path == "-" else path
        data = sys.stdin.buffer.read(MAX_INPUT_BYTES + 1) if path == "-" else read_input(Path(path))
        if data.startswith((b"!<arch>\n", b"!<thin>\n")):
            if output == "-":
                raise click.UsageError("an archive has a module per member; -o names a folder for them")
            return _finish_archive(disassemble_archive(data, name=name, settings=settings), output, report, as_json)
        return _finish(lift(data, name=name, settings=settings), output, report, as_json)


@click.command(cls=CompilerFlagsCommand)
@click.argument("path", metavar="FILE")
@click.option(
    "-O", "level", default="z", show_default=True, metavar="LEVEL", help="Optimisation level of the compiler."
)
@click.option("-o", "--output", metavar="FILE", help="Write the module here as textual IR.")
@click.option("--budget", type=click.IntRange(1), default=24, show_default=True, help="Variants tried per function.")
@click.option("--verify/--no-verify", default=True, help="Run what is not exact beside the original.")
@keep_option
@click.option("--report", type=click.Path(path_type=Path), metavar="FILE", help="Write an HTML page of all functions.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@llvm_option
@debug_option
@click.pass_context
def roundtrip(
    ctx: click.Context,
    path: str,
    level: str,
    output: str | None,
    budget: int,
    verify: bool,
    keep_different: bool,
    report: Path | None,
    as_json: bool,
    llvm: str | None,
) -> int:
    """Compile a C or C++ file, lift the assembly, recompile, compare.

    Compiler flags come after --.
    """
    from irwright.lift.disassembler import LiftSettings, read_input
    from irwright.lift.disassembler import disassemble as lift
    from irwright.llvm.toolchain import find

    read_input(Path(path))  # what is missing or a folder is no source that does not compile
    clang = find("x86_64", llvm=llvm).need_clang()
    with tempfile.TemporaryDirectory(prefix="irwright-") as folder:
        assembly = Path(folder) / "out.s"
        command = [str(clang), *ctx.meta["compiler_flags"], f"-O{level}", "-S", "-o", str(assembly), path]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        if run.returncode != 0 or not assembly.exists():
            lines = [line for line in run.stderr.splitlines() if "error:" in line] or run.stderr.splitlines()
            raise InputError(path, f"does not compile: {lines[0] if lines else run.returncode}")
        settings = LiftSettings(budget=budget, verify=verify, keep_different=keep_different, llvm=llvm)
        result = lift(assembly.read_bytes(), name=path, settings=settings)
    return _finish(result, output, report, as_json)
