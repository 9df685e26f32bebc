"""Made-up rows of an evaluation, and a small suite, for tests of its parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from irwright.models.answers import Answer, Request, Scripted

SOURCES = {
    "one/add.c": "int add(int a, int b) { int s = 0; for (int i = 0; i < b; i++) s += a ^ i; return s; }\n",
    "two/copy.c": (
        "void copy(char *to, const char *from) { while ((*to++ = *from++)) ; }\n"
        "int length(const char *s) { int n = 0; while (s[n]) n++; return n; }\n"
    ),
    "three/pick.c": "static const int t[] = {1, 2, 3, 5};\nint pick(unsigned n) { return n < 4 ? t[n] * 3 : -1; }\n",
}


def write_suite(root: Path) -> Path:
    """A folder of three projects with four functions, and a file that does not compile."""
    for name, text in {**SOURCES, "three/broken.c": "#include <missing.h>\n"}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def tune_row(
    case: str, proposer: str, budget: int, best: int | None, *, baseline: int = 1000, **more: Any
) -> dict[str, Any]:
    """A row of the task tune; without `best` it failed."""
    project = case.partition("/")[0]
    row: dict[str, Any] = {"key": f"{case} {proposer} {budget}", "task": "tune", "objects": "files"}
    row |= {"project": project, "case": case, "instructions": 100, "proposer": proposer, "protocol": "oz"}
    row |= {"budget": budget, **more}
    if best is None:
        return row | {"problem": f"{case}: no such list"}
    times = {"seconds": 0.5, "llvm": 0.25, "baseline": 0.25}
    sizes = {"baseline": [baseline, baseline // 2], "best": [best, best // 2]}
    return row | sizes | {"compilations": budget, "failed": {}, "times": times}


class Silent(Scripted):
    """A model whose server hangs."""

    def ask(self, request: Request) -> Answer:
        self.asked.append(request)
        return Answer(outcome="timeout", detail="no answer within 1 s")
