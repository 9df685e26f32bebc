"""Hostile objects against the reader and the emulator: what came of each, for as long as you like.

    python benchmarks/fuzz.py --seconds 3600

Objects are those of examples/, x86-64 and AArch64 where there is a backend, with bytes flipped, runs of bytes copied,
lengths and offsets replaced by extreme numbers, or the end cut off. Each is compared with its original by a Verifier;
anything but a verdict or a one-line error of ours within the time limits is a finding: its object is kept in --keep.
"""

from __future__ import annotations

import argparse
import random
import struct
import tempfile
import time
from collections import Counter
from pathlib import Path

from report import ROOT

from irwright.errors import IrwrightError
from irwright.llvm import clang
from irwright.llvm.toolchain import find
from irwright.verify.verdicts import Limits
from irwright.verify.verifier import Verifier

EXTREMES = (0, 1, 0x7F, 0xFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 62, (1 << 64) - 1)
CALL_SECONDS = 60.0
"""a comparison that takes longer is a finding"""


def originals() -> list[bytes]:
    toolchain = find()
    with tempfile.TemporaryDirectory() as folder:
        made: list[bytes] = []
        for source in sorted((ROOT / "examples").glob("*.c"))[:4]:
            bitcode = Path(folder) / f"{source.stem}.bc"
            bitcode.write_bytes(clang.seed_bitcode(toolchain.need_clang(), source, ()))
            made.append(clang.baseline(toolchain.need_clang(), bitcode, (), "obj"))
    return made


def damage(data: bytes, rng: random.Random) -> bytes:
    """One to eight changes."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 8)):
        # Headers and tables are where a reader can go wrong: half of all changes are made there.
        place = rng.choice((rng.randrange(64), rng.randrange(len(changed)), len(changed) - 1 - rng.randrange(4096)))
        place = max(0, min(place, len(changed) - 9))
        dice = rng.random()
        if dice < 0.4:
            changed[place] ^= 1 << rng.randrange(8)
        elif dice < 0.6:
            changed[place : place + 8] = struct.pack("<Q", rng.choice(EXTREMES))
        elif dice < 0.75:
            changed[place : place + 4] = struct.pack("<I", rng.choice(EXTREMES) & 0xFFFFFFFF)
        elif dice < 0.9:
            source = rng.randrange(len(changed) - 64)
            changed[place : place + 32] = changed[source : source + min(32, len(changed) - place)]
        else:
            del changed[rng.randrange(64, len(changed)) :]
            if len(changed) < 128:
                return bytes(changed)
    return bytes(changed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, default=Path("fuzz-findings"), help="objects that broke something")
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    objects = originals()
    limits = Limits(function_seconds=0.5)
    counts: Counter[str] = Counter()
    started = time.monotonic()
    with Verifier(jobs=1) as verifier:
        while time.monotonic() - started < arguments.seconds:
            original = rng.choice(objects)
            candidate = damage(original, rng)
            lost, begun = verifier.num_replaced, time.monotonic()
            finding = ""
            try:
                verdict = verifier.compare(original, candidate, seeds=2, limits=limits, run_same=True)
                counts["verdict"] += 1
                counts["functions"] += len(verdict.functions)
            except IrwrightError as error:
                counts["refused" if "\n" not in str(error) else "error of several lines"] += 1
                finding = "lines" if "\n" in str(error) else ""
            except Exception as error:
                finding = type(error).__name__
            if verifier.num_replaced > lost:
                counts["worker lost"] += verifier.num_replaced - lost
                finding = finding or "worker"
            if time.monotonic() - begun > CALL_SECONDS:
                finding = finding or "slow"
            if finding:
                counts[f"finding: {finding}"] += 1
                arguments.keep.mkdir(parents=True, exist_ok=True)
                (arguments.keep / f"{finding}-{sum(counts.values())}.o").write_bytes(candidate)
            counts["objects"] += 1
            if counts["objects"] % 50 == 0:
                print(dict(counts), flush=True)
    print(f"{time.monotonic() - started:.0f} s: {dict(counts)}")


if __name__ == "__main__":
    main()
