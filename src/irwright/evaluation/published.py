"""What others published on the same ground, and what of it can be compared with ours.

Meta LLM Compiler, arXiv 2407.02524, on MiBench (2,398 function objects; 2,015 samples of assembly), LLVM 17.0.6.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """One figure."""

    name: str
    value: float
    """percent"""
    what: str
    mark: str = ""
    """as a drawing calls it; empty where it is not drawn"""


TUNE = (
    Published(
        name="LLM Compiler FTD 13B", value=5.26, what="saved by one list, -Oz as backup", mark="LLM Compiler 13B"
    ),
    Published(name="LLM Compiler FTD 13B", value=4.88, what="saved by one list", mark="the same, no backup"),
    Published(name="LLM Compiler FTD 7B", value=5.24, what="saved by one list, -Oz as backup"),
    Published(name="their autotuner", value=6.8, what="saved; FTD 13B has 77 % of it", mark="their autotuner"),
    Published(name="GPT-4 Turbo", value=0.03, what="saved by one list, -Oz as backup"),
)
DISASSEMBLE = (
    Published(name="LLM Compiler FTD 7B", value=46.5, what="of 2,015 outputs recompile (936)", mark="recompiles"),
    Published(name="LLM Compiler FTD 13B", value=44.9, what="of 2,015 outputs recompile (905)"),
    Published(name="LLM Compiler FTD 13B", value=13.8, what="are exact: the same assembly again", mark="exact"),
    Published(name="LLM Compiler FTD 7B", value=12.7, what="are exact: the same assembly again"),
    Published(name="LLM Compiler FTD 13B", value=96.0, what="BLEU of the recompiled assembly, times 100"),
)
EMULATE = (
    Published(name="LLM Compiler", value=95.6, what="of its outputs compile, after stage two", mark="valid"),
    Published(name="LLM Compiler", value=20.0, what="of its outputs are exact", mark="exact"),
    Published(name="LLM Compiler FTD 13B", value=8.2, what="error of sizes it predicts, unoptimised code"),
    Published(name="LLM Compiler FTD 13B", value=22.5, what="error of sizes it predicts, optimised code"),
)

TUNE_PAPER = (
    "The marked lines are what was published for one list on MiBench's functions with LLVM 17. Protocol `paper` counts "
    "as they did (-Oz passes, then code generation without optimisation), so the points at one compilation stand "
    "beside them as far as suite, LLVM version and passes are alike; unless this suite is MiBench, the programs are "
    "others. All points right of it spent more compilations than they did, their autotuner many hundred."
)
TUNE_OTHER = (
    "What was published for one list on MiBench's functions (5.26 % with -Oz as a backup) was measured under the "
    "protocol `paper`, with code generation that does not optimise, and can't be compared with these numbers."
)
DISASSEMBLE_NOTE = (
    "Published figures are of model outputs for single functions of MiBench, whose assembly LLVM 17 made; they count "
    "outputs that recompile whatever they do, and say nothing of equivalence. Recompiled and exact shares can be "
    "compared as far as the programs are alike; theirs is asked of a model with no compiler at hand, while the lifter "
    "compiles its variants and keeps the best. Their BLEU is of the outputs that recompile."
)
EMULATE_NOTE = (
    "The published shares are of another set of programs and of LLVM 17's passes, measured after the second stage; "
    "valid and exact are counted as here. Their errors of sizes are of the flag-tuning model's own predictions, not of "
    "emulation: only the order of magnitude can be compared."
)
