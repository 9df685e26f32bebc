"""Made-up outcomes, for tests of what learns from them."""

from __future__ import annotations

from typing import Any

from irwright.feedback.features import NAMES
from irwright.feedback.knowledge import numpy
from irwright.feedback.learn import Observed
from irwright.passes import PassList
from irwright.plan import Plan

LISTS = ("sroa", "early-cse", "instcombine", "dse", "gvn", "simplifycfg")


def observed(num: int = 120, *, told: bool = True) -> Observed:
    """Functions of two kinds in four projects: the even ones gain by the first three lists, the odd by the others.

    A feature tells the kind if `told`; else only outcomes do.
    """
    np: Any = numpy()
    rng = np.random.default_rng(1)
    kinds = np.arange(num) % 2
    features = abs(rng.normal(size=(num, len(NAMES))))
    features[:, 0] = kinds * 4.0 if told else 0.0
    gains = np.array([0.10, 0.06, 0.03, 0.09, 0.05, 0.02])
    totals = np.where(np.arange(6)[:, None] // 3 == kinds[None], -gains[:, None], 0.05)
    totals = totals + rng.normal(scale=0.002, size=totals.shape)
    return Observed(
        plans=tuple(Plan(base=PassList.parse(text)) for text in LISTS),
        names=tuple(f"f{number}" for number in range(num)),
        projects=tuple(f"p{number // 2 % 4}" for number in range(num)),
        features=features,
        outcomes=np.stack([totals, totals / 2, totals / 4]),
    )
