"""Proposers: different valid lists from every kind of model, the same from each way of running one."""

from __future__ import annotations

from pathlib import Path

import pytest

from irwright.errors import InputError
from irwright.models.answers import Answer, Request, Scripted
from irwright.passes import PassList
from irwright.proposers import BASELINE, BUNDLED, CoresetProposer, ModelProposer, bundled_model, open_model
from irwright.tasks import tune
from irwright.tasks.tune import Outcomes, Tried

IR = "define i32 @f(i32 %0) {\n  ret i32 %0\n}\n"


def test_the_table_proposes_its_lists() -> None:
    lists = [str(one.passes) for one in CoresetProposer().lists(IR, 3)]
    assert len(set(lists)) == 3


def test_answers_that_are_no_list_are_counted_and_repeated_ones_left_out() -> None:
    model = Scripted(
        ["<code>opt -p 'module(default<Oz>)'</code>", "I can't", "-passes=sroa,nope", "opt -p 'sroa'"], "meta"
    )
    proposer = ModelProposer(model=model)
    assert [str(one.passes) for one in proposer.lists(IR, 3)] == ["sroa"]  # -Oz is measured anyway
    assert (proposer.num_asked, proposer.num_invalid) == (9, 4)
    assert model.asked[0].prompt.startswith("[INST] Tell me how to optimize this LLVM-IR")
    assert [one.temperature for one in model.asked[:2]] == [0.0, 0.8]


def test_a_model_that_fails_is_asked_once() -> None:
    class Gone(Scripted):
        def ask(self, request: Request) -> Answer:
            return Answer(outcome="timeout", detail="no answer in 3 seconds")

    for style in ("native", "meta"):
        proposer = ModelProposer(model=Gone([""], style))
        assert list(proposer.lists(IR, 4)) == []
        assert (proposer.num_asked, proposer.problems) == (1, ("timeout: no answer in 3 seconds",))


def test_of_a_module_that_is_too_long_the_longest_functions_are_asked_about() -> None:
    class Short(Scripted):
        def ask(self, request: Request) -> Answer:
            if len(request.prompt) > 150:
                self.asked.append(request)
                return Answer(outcome="too-long", detail="HTTP 400")
            return super().ask(request)

    bodies = ["  %2 = add i32 %0, 1\n" * times for times in (9, 3, 2, 1)]
    ir = "\n".join(f"define i32 @f{at}(i32 %0) {{\n{body}  ret i32 %0\n}}" for at, body in enumerate(bodies))
    model = Short(["sroa", "gvn", "dse", "adce", "early-cse", "sroa"])
    proposer = ModelProposer(model=model, constrained=False)
    assert [str(one.passes) for one in proposer.lists(ir, 4)] == ["dse", "adce", "early-cse", "sroa"]
    assert proposer.problems == () and "@f1" in model.asked[3].prompt and "@f2" in model.asked[4].prompt
    hopeless = ModelProposer(model=Short(["sroa"]), constrained=False)
    assert list(hopeless.lists(ir[:200], 4)) == [] and len(hopeless.problems) == 1


class Rounds(Scripted):
    """Knows outcomes; a prompt of more than so many characters is too long."""

    room = 10_000

    def ask(self, request: Request) -> Answer:
        if len(request.prompt) > self.room:
            self.asked.append(request)
            return Answer(outcome="too-long", detail="HTTP 400")
        return super().ask(request)


def asked_in_rounds(model: Rounds, changes: list[int]) -> tuple[list[str], list[str], ModelProposer]:
    """Lists, what stands behind the code in each prompt, and who asked."""
    tried: list[Tried] = []
    outcomes = lambda: Outcomes(oz_bytes=100, tried=tuple(tried))  # noqa: E731
    proposer = ModelProposer(model=model, outcomes=outcomes, constrained=False)
    for one, change in zip(proposer.lists(IR, len(changes)), changes, strict=True):
        tried.append(Tried(passes=one.passes, change=change))
    return [str(one.passes) for one in tried], [one.prompt.split("}\n")[1] for one in model.asked], proposer


def test_a_model_that_knows_outcomes_is_told_them_one_by_one() -> None:
    model = Rounds(["sroa", "sroa", "gvn", "dse"], knows_outcomes=True)
    lists, told, _ = asked_in_rounds(model, [-3, 0, 5])
    assert lists == ["sroa", "gvn", "dse"]
    after_one = "<|sizes|>100<|passes|>sroa<|sizes|>-3"
    assert told[0] == "<|answer|>" and told[-1] == f"{after_one}<|passes|>gvn<|sizes|>+0<|answer|>"
    assert told[1] == f"{after_one}<|answer|>"
    model = Rounds(["sroa", "gvn", "dse"])
    assert set(asked_in_rounds(model, [-3, 0, 5])[1]) == {"<|answer|>"}


def test_the_oldest_outcomes_are_dropped_where_a_prompt_is_too_long() -> None:
    model = Rounds(["sroa", "gvn", "dse", "adce"], knows_outcomes=True)
    model.room = len(tune.prompt(IR)) + 45
    lists, told, proposer = asked_in_rounds(model, [-3, 0, 5, 1])
    assert sorted(lists) == ["adce", "dse", "gvn", "sroa"] and proposer.problems == ()
    assert told[-1] == f"<|sizes|>100<|passes|>{lists[2]}<|sizes|>+5<|answer|>"
    model = Rounds(["sroa", "gvn"], knows_outcomes=True)
    model.room = len(tune.prompt(IR))
    assert asked_in_rounds(model, [-3, 0])[0] == ["sroa", "gvn"]
    model.room = 5
    with pytest.raises(ValueError, match="zip"):
        asked_in_rounds(model, [1])


def test_predicted_sizes_come_along() -> None:
    proposer = ModelProposer(model=Scripted(["sroa,early-cse<|sizes|>90 80"]))
    (one,) = proposer.lists(IR, 1)
    assert (one.oz_bytes, one.tuned_bytes) == (90, 80)


def test_names_of_models(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such model; give a GGUF file, a folder of transformers, or http://HOST"):
        open_model(str(tmp_path / "none.gguf"))
    with open_model("http://127.0.0.1:9", model="m") as model:
        assert (model.name, model.style) == ("http://127.0.0.1:9 m", "meta")


def test_the_bundled_model_says_valid_lists() -> None:
    pytest.importorskip("xllamacpp")
    assert bundled_model().stat().st_size < 10_000_000
    with open_model(BUNDLED, threads=1) as model:
        lists = list(ModelProposer(model=model).lists(IR, 3))
    assert model.style == "native" and len({str(one.passes) for one in lists}) == 3
    assert all(PassList.parse(str(one.passes)) == one.passes and str(one.passes) != BASELINE for one in lists)
