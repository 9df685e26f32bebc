"""BLEU as Papineni et al. (2002) define it, over assembly: words are mnemonics, registers, numbers and signs.

Corpus level, up to four words in a row, one reference, no smoothing; the brevity penalty over the whole.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence

ORDER = 4
_WORD = re.compile(r"[%$]?[\w.]+|[^\s\w]")


def words(lines: Iterable[str]) -> list[str]:
    """The words of an assembly text."""
    return [word for line in lines for word in _WORD.findall(line)]


def counts(reference: Sequence[str], candidate: Sequence[str]) -> list[int]:
    """What a corpus adds up: matches by order, words in a row by order, lengths of candidate and reference."""
    found: list[int] = []
    for n in range(1, ORDER + 1):
        wanted = Counter(zip(*[reference[k:] for k in range(n)], strict=False))
        have = Counter(zip(*[candidate[k:] for k in range(n)], strict=False))
        found.append(sum((wanted & have).values()))
    found += [max(0, len(candidate) - n) for n in range(ORDER)]
    return [*found, len(candidate), len(reference)]


def bleu(rows: Iterable[Sequence[int]]) -> float:
    """BLEU of a corpus, 0 to 1, from the counts of its texts."""
    total = [sum(column) for column in zip(*rows, strict=True)]
    if not total or not all(total[:ORDER]):
        return 0.0
    precision = math.exp(sum(math.log(total[n] / total[ORDER + n]) for n in range(ORDER)) / ORDER)
    candidate, reference = total[2 * ORDER :]
    return precision * min(1.0, math.exp(1 - reference / candidate))
