"""What compilers emit and what the lifter makes of it: mnemonics, and functions not lifted by reason.

    python benchmarks/lift_census.py --compiler clang --levels -O0,-O1,-O2,-O3,-Os,-Oz --num 40
    python benchmarks/lift_census.py --compiler gcc --levels -O2,-Os --num 40

Training packages alone. A function counts as lifted where the sound analysis and emission go through.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter
from pathlib import Path

from lift_cases import bitcode_files, source_files

from irwright.errors import IrwrightError, LiftError
from irwright.lift.decoder import Decoder
from irwright.lift.disassembler import Disassembler, LiftSettings
from irwright.lift.lifted import SOUND
from irwright.lift.lifter import FileLifter
from irwright.lift.variants import PLAIN, Search, Variant
from irwright.lift.x86_64.instructions import TABLE
from irwright.llvm.toolchain import find
from irwright.llvm.worker import WorkerPool

CONTROL = {"call", "ret", "push", "pop", "leave"}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--compiler", choices=("clang", "gcc"), default="clang")
    parser.add_argument("--levels", default="-Oz,-O2")
    parser.add_argument("--num", type=int, default=40, help="files for each level")
    parser.add_argument("--seed", type=int, default=11, help="of the order of files (clang)")
    parser.add_argument("--max-bytes", type=int, default=200_000, help="larger assembly texts or objects are left out")
    parser.add_argument("--mnemonics-only", action="store_true")
    parser.add_argument("--out", type=Path, help="JSON with the counts and an example of each reason")
    return parser.parse_args()


def main() -> None:
    arguments = _arguments()
    mnemonics: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    examples: dict[str, list[str]] = {}
    functions = lifted = 0
    toolchain = find()
    with WorkerPool(toolchain.library.path, jobs=1) as pool:
        reader = Disassembler(pool, LiftSettings(verify=False))
        for level in arguments.levels.split(","):
            made = (
                source_files("training", Path("/usr/bin/gcc"), level)
                if arguments.compiler == "gcc"
                else bitcode_files("training", level, arguments.seed)
            )
            count = 0
            for case in made:
                if count >= arguments.num:
                    break
                if len(case.data) > arguments.max_bytes or case.data[:2] == b"# ":
                    continue
                count += 1
                try:
                    source = reader.read(case.data, case.name)
                except IrwrightError as error:
                    reasons[f"FILE: {re.sub(r'^.*?: ', '', str(error))[:60]}"] += 1
                    continue
                decoder = Decoder(source.program)
                for code in source.program.functions:
                    decoder.decode(code)
                    for insn in code.instructions:
                        mnemonics[f"{insn.prefix} {insn.mnemonic}".strip()] += 1
                if arguments.mnemonics_only:
                    continue
                search = Search(pool, source.program, source.layout, source.text, 1, "")
                lifter = search.lifters[SOUND] = FileLifter(source.program, SOUND)
                lifter.analyse()
                for name, one in lifter.functions.items():
                    functions += 1
                    problem = one.problem
                    if not problem:
                        try:
                            search.emit(name, Variant(SOUND, PLAIN, "light"))
                        except LiftError as error:
                            problem = str(error)
                        except (AssertionError, KeyError, IndexError, ValueError) as error:
                            problem = f"not understood ({type(error).__name__}: {error})"
                    if not problem:
                        lifted += 1
                        continue
                    short = re.sub(r"\(.*", "", problem).strip()
                    reasons[short] += 1
                    examples.setdefault(short, []).append(f"{level} {case.name}:{name}: {problem}")
            print(f"{level}: {count} files, {functions} functions, {lifted} lifted", file=sys.stderr, flush=True)
    missing = {m: n for m, n in mnemonics.most_common() if not _is_known(m)}
    print(f"{sum(mnemonics.values())} instructions, {len(mnemonics)} mnemonics, not in the table: {missing}")
    print(f"{functions} functions, {lifted} lifted ({100 * lifted / max(1, functions):.2f} %)")
    for reason, number in reasons.most_common():
        print(f"{number:6} {reason}   e.g. {examples.get(reason, [''])[0]}")
    if arguments.out is not None:
        arguments.out.write_text(
            json.dumps({"mnemonics": mnemonics, "reasons": reasons, "examples": examples}, indent=1)
        )


def _is_known(mnemonic: str) -> bool:
    word = mnemonic.split()[-1]
    return word in TABLE or word in CONTROL or word[0] == "j"


if __name__ == "__main__":
    main()
