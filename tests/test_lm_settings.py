"""What a run is asked to do: mixes of stages, what is stored of it, and mistakes in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from irwright.errors import ModelError
from irwright.lm.batches import MIXES
from irwright.lm.settings import TrainSettings, check_same
from irwright.lm.tokenizer import STAGES


def test_a_mix_is_the_papers_or_what_was_asked_for() -> None:
    for stage in STAGES:
        assert TrainSettings().mix(stage) == MIXES[stage]
    settings = TrainSettings(stages=("disassemble",), kept=(("emulate", 0.4), ("tune", 0.05)))
    assert settings.mix("disassemble") == pytest.approx({"disassemble": 0.55, "emulate": 0.4, "tune": 0.05})


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"stages": ("tune", "emulate"), "kept": (("pretrain", 0.1),)}, "for one stage, not for tune, emulate"),
        ({"stages": ("tune",), "kept": (("tune", 0.1),)}, "'tune' can't be kept beside 'tune'; there are pretrain"),
        ({"stages": ("tune",), "kept": (("sleep", 0.1),)}, "'sleep' can't be kept"),
        ({"stages": ("tune",), "kept": (("pretrain", 1.5),)}, "share of 'pretrain' must be between 0 and 1, not 1.5"),
        ({"stages": ("tune",), "kept": (("pretrain", 0.6), ("emulate", 0.4))}, "leaves nothing for 'tune'"),
        ({"stages": ("sleep",)}, "unknown stage 'sleep'"),
        ({"rate": 0}, "rate must be positive, not 0"),
    ],
)
def test_mistakes_are_told(named: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        TrainSettings(**named)


def test_a_run_goes_on_only_as_it_was_begun() -> None:
    plain = TrainSettings(stages=("tune",))
    kept = TrainSettings(stages=("tune",), kept=(("emulate", 0.25),))
    assert "kept" not in plain.to_json()  # runs from before it was known go on
    check_same(plain.to_json(), plain, Path("run"))
    check_same(kept.to_json(), kept, Path("run"))
    with pytest.raises(ModelError, match=r"run was begun with kept None, not \[\['emulate', 0.25\]\]"):
        check_same(plain.to_json(), kept, Path("run"))
    with pytest.raises(ModelError, match=r"run was begun with kept \[\['emulate', 0.25\]\], not None"):
        check_same(kept.to_json(), plain, Path("run"))
