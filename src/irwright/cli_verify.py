"""The command `irwright verify`: two versions of an object compared under emulation.

cli.py puts it among the others. Heavy imports stand inside the command.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from irwright.cli_options import debug_option

if TYPE_CHECKING:
    from irwright.verify.verdicts import ObjectVerdict

COLOURS = {"different": "red", "inconclusive": "yellow", "equal": "green"}


@click.command()
@click.argument("original", type=click.Path(path_type=Path))
@click.argument("candidate", type=click.Path(path_type=Path))
@click.option(
    "--reference",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The same program from -O0: inputs on which it differs from ORIGINAL are undefined behaviour.",
)
@click.option(
    "--ir",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Textual IR (.ll) of the program, for what its functions take and return.",
)
@click.option(
    "--seeds",
    type=click.IntRange(1),
    default=8,
    show_default=True,
    help="Inputs for each function; more are made of what these runs show.",
)
@click.option("--function", "functions", multiple=True, metavar="NAME", help="Only this function; may be repeated.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON in place of the table.")
@click.option("-j", "--jobs", type=click.IntRange(1), metavar="N", help="Worker processes (default: all cores).")
@debug_option
def verify(
    original: Path,
    candidate: Path,
    reference: Path | None,
    ir: Path | None,
    seeds: int,
    functions: tuple[str, ...],
    as_json: bool,
    jobs: int | None,
) -> int:
    """Run the functions of two objects on the same inputs, and say which behave differently.

    ORIGINAL and CANDIDATE are relocatable objects (.o) of one program for x86-64 or AArch64. A function is equal
    (no run differs, or its machine code is the same), different (with an input that shows it), or inconclusive (no run
    says anything, with the reason). Without --ir only effects on memory and calls are compared, results are not.

    Exits with 1 where a function is different.
    """
    from irwright.llvm.worker import default_jobs
    from irwright.verify.signatures import signatures_of
    from irwright.verify.verifier import Verifier

    data = [_read(path) for path in (original, candidate)]
    with Verifier(jobs=jobs or default_jobs()) as verifier:
        verdict = verifier.compare(
            *data,
            reference=None if reference is None else _read(reference),
            signatures=None if ir is None else signatures_of(_read(ir).decode(errors="replace")),
            seeds=seeds,
            functions=functions or None,
            names=(str(original), str(candidate), str(reference)),
        )
    if as_json:
        click.echo(json.dumps(verdict.to_json() | {"verdicts": verdict.rows()}, indent=2))
    else:
        _print_table(verdict)
    difference = verdict.first_difference
    if difference is None:
        return 0
    click.echo(f"irwright: {candidate}: {difference.function} is different: {difference.reason}", err=True)
    return 1


def _print_table(verdict: ObjectVerdict) -> None:
    """A line for each function, different ones first, and the sum."""
    order = list(COLOURS)
    rows = sorted(verdict.functions, key=lambda row: order.index(row.kind))
    width = max([len("function"), *(len(row.function) for row in rows)])
    click.secho(f"{'function':<{width}}  {'verdict':<12}  {'runs':>7}  {'blocks':>9}  reason", bold=True)
    for row in rows:
        runs, blocks = f"{row.num_conclusive}/{row.num_runs}", f"{row.blocks_covered}/{row.blocks}"
        kind = click.style(f"{row.kind:<12}", fg=COLOURS[row.kind])
        reason = "" if row.kind == "equal" and not row.is_same_code else row.reason
        click.echo(f"{row.function:<{width}}  {kind}  {runs:>7}  {blocks:>9}  {reason}".rstrip())
    same = f" ({verdict.same_code} the same machine code)" if verdict.same_code else ""
    whose = "the others'" if same else "their"
    ran = f"; {100 * verdict.block_coverage:.0f} % of {whose} blocks ran" if verdict.same_code < len(rows) else ""
    click.echo(
        f"{len(rows)} functions: {verdict.equal} equal{same}, {verdict.inconclusive} inconclusive,"
        f" {verdict.different} different{ran}"
    )


def _read(path: Path) -> bytes:
    from irwright.errors import InputError

    if str(path) == "-":
        return sys.stdin.buffer.read()
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(str(path), f"can't be read: {error.strerror}") from error
