"""Asking ends where it is enough, on the items that asking all would have asked, with their answers."""

from __future__ import annotations

import itertools
import json
import math
from contextlib import closing
from pathlib import Path

import datasets
import numpy as np
import pytest

from storage.home import Home
from storage.kept_scores import AnswerStore
from tasks.evaluation.evaluating import ChosenItems, ModelToScore, evaluate, evaluate_together
from tasks.evaluation.model_reading import Reading
from tasks.evaluation.stopping import (
    ALL_SEEN,
    DECIDED,
    REACHED,
    UNBOUNDED,
    Enough,
    ToldFrom,
    ask_until_enough,
)
from tests.tasks.evaluation.test_evaluate import ABC, WORDS, BigramModel, tiny_llama

TASK = """task: letters
dataset_path: json
dataset_kwargs: {data_files: {test: data.jsonl, train: shown.jsonl}}
test_split: test
fewshot_split: train
num_fewshot: 2
fewshot_delimiter: ''
output_type: multiple_choice
doc_to_text: '{{question}}'
doc_to_choice: options
doc_to_target: gold
target_delimiter: ''
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
"""
ITEMS = 400


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A task of lm-eval with 400 items, of which b, the model's choice, is right on four of five."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "folder"
    folder.mkdir()
    words = ["".join(word) + "a" for word in itertools.product("abc", repeat=6)]
    rows = [{"question": words[n], "options": ["b", "c"], "gold": int(n % 5 == 0)} for n in range(ITEMS + 20)]
    for file, part in (("data", rows[:ITEMS]), ("shown", rows[ITEMS:])):
        (folder / f"{file}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part))
    (folder / "letters.yaml").write_text(TASK)
    return folder


def enough(half_width: float | None, **more) -> ChosenItems:
    return ChosenItems(enough=Enough(half_width, every=20, **more))


def samples(scores) -> dict[int, tuple]:
    return {
        one["doc_id"]: (one["arguments"], one["filtered_resps"], one["acc"], one["doc"])
        for one in scores.harness["samples"]["letters"]
    }


def test_what_was_asked_is_what_asking_all_would_have_asked(folder) -> None:
    everything = evaluate(BigramModel(), ABC, [folder])
    found = evaluate(BigramModel(), ABC, [folder], chosen=enough(0.1))
    [stop], [row] = found.stops, found.rows()
    assert (stop["because"], stop["of"], stop["against"]) == (REACHED, ITEMS, None)
    assert row["n"] == stop["asked"] == len(found.samples) < ITEMS / 2
    assert stop["low"] <= 0.8 <= stop["high"] <= stop["low"] + 0.2
    assert everything.rows()[0]["value"] == pytest.approx(0.8)
    of_all, of_some = samples(everything), samples(found)
    assert len(of_some) == stop["asked"] and of_some.items() <= of_all.items()  # the drawn examples too
    assert row["value"] == sum(one[2] for one in of_some.values()) / len(of_some)
    wider = evaluate(BigramModel(), ABC, [folder], chosen=enough(0.2))
    assert samples(wider).keys() < of_some.keys()
    elsewhere = evaluate(BigramModel(), ABC, [folder], chosen=enough(0.2, order_seed=1))
    assert samples(elsewhere).keys() != samples(wider).keys()
    asked = {
        about: evaluate(BigramModel(), ABC, [folder], chosen=enough(0.06, about=about)).stops[0]["asked"]
        for about in ("benchmark", "population")
    }
    assert stop["asked"] < asked["benchmark"] < asked["population"]


def test_two_models_are_asked_until_one_is_told_from_the_other(folder) -> None:
    other = BigramModel()
    other.table.weight.data.neg_()  # takes c
    models = [ModelToScore(name, m, ABC) for name, m in (("one", BigramModel()), ("two", other))]
    found = evaluate_together(models, [folder], chosen=enough(None))
    [stop] = found["two"].stops
    assert (stop["because"], stop["against"], found["one"].stops) == (DECIDED, "one", [])
    assert stop["asked"] < ITEMS / 4 and -1 <= stop["low"] <= -0.6 <= stop["high"] < 0
    assert samples(found["one"]).keys() == samples(found["two"]).keys()

    twins = [ModelToScore(name, BigramModel(), ABC) for name in ("one", "two")]
    [stop] = evaluate_together(twins, [folder], chosen=enough(None))["two"].stops
    assert (stop["because"], stop["asked"], stop["low"], stop["high"]) == (ALL_SEEN, ITEMS, 0, 0)


def told_from(scores, name: str = "one") -> ToldFrom:
    rows = scores.samples
    return ToldFrom(name, {("letters", "acc"): (rows["item"].tolist(), rows["value"].to_numpy())})


def test_a_model_that_was_asked_all_is_what_others_are_told_from(folder) -> None:
    """As when both are asked together; with more models each is asked more, as fewer may be wrong."""
    other = BigramModel()
    other.table.weight.data.neg_()
    models = [ModelToScore(name, m, ABC) for name, m in (("one", BigramModel()), ("two", other))]
    [expected] = evaluate_together(models, [folder], chosen=enough(None))["two"].stops
    base = told_from(evaluate(BigramModel(), ABC, [folder]))
    [stop] = evaluate(other, ABC, [folder], name="two", chosen=enough(None, told_from=base)).stops
    assert stop == expected
    many = enough(None, told_from=base, others=1000)
    [stop] = evaluate(other, ABC, [folder], name="two", chosen=many).stops
    assert (stop["because"], stop["confidence"]) == (DECIDED, pytest.approx(0.99995))
    assert expected["asked"] < stop["asked"] < ITEMS and stop["high"] < 0
    fewer = evaluate(BigramModel(), ABC, [folder], chosen=ChosenItems(max_items=100))
    with pytest.raises(
        ValueError, match="one, which models are told from, was asked 100 items by acc, and not the 400"
    ):
        evaluate(other, ABC, [folder], chosen=enough(None, told_from=told_from(fewer)))


class Drawn:
    """Items of a model that is as good as the one it is told from: each is right on about half of them."""

    def __init__(self, generator: np.random.Generator, count: int) -> None:
        self.right = generator.random(count) < 0.5
        self.names, self.order = [str(n) for n in range(count)], generator.permutation(count)
        self.asked, self.values = 0, {}

    def __len__(self) -> int:
        return len(self.right)

    def ask(self, count: int) -> None:
        self.asked, self.values = (
            count,
            {("acc", "none"): self.right[self.order[:count]].astype(float).tolist()},
        )


def test_with_many_models_no_more_than_alpha_are_told_apart_wrongly(monkeypatch) -> None:
    """Four models, none of them better or worse: how often any is said to be, at one confidence for all and each."""
    monkeypatch.setattr("tasks.evaluation.stopping.CONFIDENCE", 0.2)
    generator, wrong = np.random.default_rng(0), {4: 0, 1: 0}
    for _ in range(60):
        items = {str(n): Drawn(generator, 160) for n in range(4)}
        right = (generator.random(160) < 0.5).astype(float)
        base = ToldFrom("base", {("t", "acc"): (items["0"].names, right)})
        for others in wrong:
            until = Enough(every=20, about="population", told_from=base, others=others)
            stops = ask_until_enough({name: {"t": one} for name, one in items.items()}, until)
            wrong[others] += any(stop.because == DECIDED for stop in stops)
            for one in items.values():
                one.asked = 0
    assert 0 < wrong[4] <= 0.8 * 60 < wrong[1]


def test_a_group_weighs_its_tasks_by_all_their_items(folder) -> None:
    (folder / "few.yaml").write_text(TASK.replace("task: letters", "task: few").replace("data.", "few."))
    (folder / "few.jsonl").write_text("\n".join((folder / "data.jsonl").read_text().splitlines()[:5]))
    (folder / "both.yaml").write_text(
        "group: both\ntask: [letters, few]\naggregate_metric_list: [{metric: acc, weight_by_size: true}]\n"
    )
    for name in ("letters", "few"):
        path = folder / f"{name}.yaml"
        told = path.read_text().replace("test: ", f"test: {folder}/", 1)
        path.write_text(told.replace("train: ", f"train: {folder}/", 1))
    found = evaluate(BigramModel(), ABC, ["both", folder], chosen=enough(0.1))
    rows = found.frame.set_index("task")
    assert rows.loc["letters", "n"] < ITEMS and rows.loc["few", "n"] == 5
    expected = (ITEMS * rows.loc["letters", "value"] + 5 * 0.8) / (ITEMS + 5)
    assert rows.loc["both", "value"] == pytest.approx(expected)
    assert found.harness["results"]["both"]["acc,none"] == pytest.approx(expected)


def test_a_metric_without_bounds_is_measured_on_all_items(folder) -> None:
    text = TASK.replace("output_type: multiple_choice", "output_type: loglikelihood")
    text = text.replace("doc_to_choice: options\ndoc_to_target: gold", "doc_to_target: b")
    (folder / "letters.yaml").write_text(text.replace("metric: acc", "metric: perplexity"))
    found = evaluate(BigramModel(), ABC, [folder], chosen=enough(0.1))
    [stop], [row] = found.stops, found.rows()
    assert (stop["because"], stop["metric"], stop["low"], row["n"]) == (UNBOUNDED, None, None, ITEMS)


def test_what_was_answered_is_not_asked_again_when_all_is_wanted(folder, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("MIXSTITCH_HOME", str(tmp_path / "home"))
    said: list[str] = []

    def scored(chosen: ChosenItems):
        with closing(AnswerStore(Home.from_environment(), "f" * 64, {})) as store:
            reading = Reading(answers=store, say=said.append)
            return evaluate(BigramModel(), ABC, [folder], reading=reading, chosen=chosen)

    asked = scored(enough(0.1)).stops[0]["asked"]
    assert said == []
    scored(ChosenItems())
    assert said == [f"{2 * asked:,} of {2 * ITEMS:,} texts were answered before"]


def test_so_many_items_as_are_wanted_are_read_twice_in_all(folder) -> None:
    said: list[str] = []
    reading = Reading(check=30, say=said.append)
    model = tiny_llama()
    found = evaluate(model, WORDS, [folder], reading=reading, chosen=enough(0.1))
    assert [int(line.split()[0]) for line in said] == [20, 10] and found.stops[0]["asked"] > 30
    assert all(math.isfinite(one) for one in found.samples["value"])
