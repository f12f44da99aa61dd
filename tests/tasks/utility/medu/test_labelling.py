"""MEDU against a real HTTP server on loopback that speaks chat completions: the matrix and what it cost."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from tasks.utility.medu.answers import Answer, AnswerFile
from tasks.utility.medu.labelling import label_error, medu_utility
from tasks.utility.medu.meter import ablation_flops
from tasks.utility.medu.openai_judge import read_label
from tests.chat_server import completion, labelling, settings_for

SAMPLES = {"web": ["Great", "Good", "Okay", "Poor"], "junk": ["Useless", "Useless", "nothing to say"]}
ITEMS = {"t": ["item1", "item2"]}


def test_labels_become_the_matrix(serve, tmp_path: Path) -> None:
    server, said = serve(), []
    found = medu_utility(SAMPLES, ITEMS, settings_for(server.url), tmp_path, said.append)
    assert found.values.loc["web", "t"] == pytest.approx((1 + 0.75 + 0.5 + 0.25) / 4)
    # Scatter .375^2 * 2 + .125^2 * 2 = .3125, and 1/4 for the observation of the largest variance.
    assert found.errors.loc["web", "t"] == pytest.approx(math.sqrt((0.3125 + 0.25) / 16))
    assert found.values.loc["junk", "t"] == 0
    assert found.errors.loc["junk", "t"] == pytest.approx(math.sqrt(0.25 / 4))
    assert found.about["labels"] == {"web": {"t": 4}, "junk": {"t": 2}}
    assert found.about["unreadable"] == {"web": {"t": 0}, "junk": {"t": 1}}
    assert found.about["label_shares"]["web"]["t"] == dict(
        zip(("Great", "Good", "Okay", "Poor", "Useless"), (0.25, 0.25, 0.25, 0.25, 0), strict=True)
    )
    # One description and six different documents; "Useless" stands twice and is asked once.
    assert found.about["requests"] == {"asked": 7, "answered_before": 1}
    assert (found.about["prompt_tokens"], found.about["completion_tokens"]) == (70, 21)
    assert found.about["descriptions"] == {"t": "a test of item1 item2"}
    assert found.about["served"] == {"served-model": 7}
    assert any(line.startswith("labels: 7/7") for line in said)


def test_descriptions_are_merged_in_a_binary_tree(serve, tmp_path: Path) -> None:
    server = serve()
    items = {"t": [f"item{i} " + "x" * 590 for i in range(1, 6)]}
    settings = settings_for(server.url, chunk_tokens=600)
    found = medu_utility({"web": ["Great"]}, items, settings, tmp_path, str)
    assert found.about["descriptions"]["t"] == "a test of item1 item2 item3 item4 item5"
    merges = [prompt for prompt in server.log.prompts if "<first>" in prompt]
    # Five: two pairs, then one pair, then what is left with the odd one.
    assert len(merges) == 4
    assert len(server.log.prompts) == 5 + 4 + 1


def test_a_second_run_asks_nothing_and_a_killed_one_only_what_it_lacks(serve, tmp_path: Path) -> None:
    server = serve()
    settings = settings_for(server.url)
    first = medu_utility(SAMPLES, ITEMS, settings, tmp_path, str)
    asked = len(server.log.prompts)
    again = medu_utility(SAMPLES, ITEMS, settings, tmp_path, str)
    assert len(server.log.prompts) == asked
    assert again.values.equals(first.values)
    assert again.about["prompt_tokens"] == first.about["prompt_tokens"]

    answers = tmp_path / "answers.jsonl"
    lines = answers.read_text().splitlines(keepends=True)
    answers.write_text("".join(lines[:-2]) + lines[-2][:20])  # killed while writing
    resumed = medu_utility(SAMPLES, ITEMS, settings, tmp_path, str)
    assert len(server.log.prompts) == asked + 2
    assert resumed.values.equals(first.values)


@pytest.mark.parametrize(
    "change", [{"model": "n"}, {"revision": "2"}, {"temperature": 0.2}, {"max_answer_tokens": 99}]
)
def test_another_model_revision_or_sampling_has_other_answers(serve, tmp_path: Path, change: dict) -> None:
    server = serve()
    for settings in (settings_for(server.url), settings_for(server.url, **change)):
        medu_utility({"web": ["Great"]}, ITEMS, settings, tmp_path, str)
    assert len(server.log.prompts) == 4


def test_a_named_revision_keeps_its_answers_wherever_it_is_served(serve, tmp_path: Path) -> None:
    one, other = serve(), serve()
    for revision, asked_again in (("v1", 0), ("", 2)):
        for server in (one, other):
            settings = settings_for(server.url, revision=revision)
            medu_utility({"web": ["Great"]}, ITEMS, settings, tmp_path, str)
        assert len(other.log.prompts) == asked_again


def test_a_model_that_gives_no_labels(serve, tmp_path: Path) -> None:
    server = serve(answer=lambda _: "I would rather not say.")
    with pytest.raises(ValueError, match=r"4 of 4 answers.*source 'web' and task 't'.*at most half"):
        medu_utility(SAMPLES, ITEMS, settings_for(server.url), tmp_path, str)


def test_a_document_that_the_endpoint_refuses_is_missing_and_not_asked_again(serve, tmp_path: Path) -> None:
    def filtered(prompt: str) -> tuple[int, dict, str]:
        if "<document>\nPoor" in prompt:
            return 400, {}, '{"error": {"message": "content filter"}}'
        return 200, {}, completion("Final Score: Good" if "<document>" in prompt else "a test")

    server = serve(reply=filtered)
    for _ in range(2):
        found = medu_utility(SAMPLES, ITEMS, settings_for(server.url), tmp_path, str)
        assert found.about["refused"] == {"web": {"t": 1}, "junk": {"t": 0}}
        assert found.values.loc["web", "t"] == 0.75
        assert found.about["labels"]["web"]["t"] == 3
    assert sum("<document>\nPoor" in prompt for prompt in server.log.prompts) == 1


def test_a_token_budget_is_kept_and_buys_labels_for_all_cells_alike(serve, tmp_path: Path) -> None:
    server = serve()
    samples = {name: [f"Good {name} {i}" for i in range(40)] for name in ("a", "b", "c")}
    most = 50_000
    settings = settings_for(server.url, max_tokens=most, concurrency=4)
    said: list[str] = []
    found = medu_utility(samples, ITEMS, settings, tmp_path, said.append)
    labels = [found.about["labels"][name]["t"] for name in samples]
    assert max(labels) - min(labels) <= 1
    assert sum(labels) + 1 == len(server.log.prompts) == found.about["requests"]["asked"]
    assert 30 <= sum(labels) < 100
    assert found.about["not_asked"]["a"]["t"] == 40 - labels[0]
    # Without a tokenizer a text counts its bytes, and 64 tokens for what a server puts around a prompt.
    sizes = [len(prompt.encode()) + 64 + len(labelling(prompt)) for prompt in server.log.prompts]
    assert found.about["cost"]["counted_for_max_tokens"] == sum(sizes) <= most
    assert sum(sizes) + max(sizes) + settings.max_answer_tokens > most  # nothing more would have fitted
    assert found.about["cost"]["tokens"] == 13 * (sum(labels) + 1)
    assert found.about["cost"]["budget_spent"]
    assert found.errors.loc["a", "t"] == pytest.approx(0.5 / labels[0])
    assert any("is spent" in line for line in said)
    # The same budget rests on the same answers, a larger one on these and more.
    again = medu_utility(samples, ITEMS, settings, tmp_path, str)
    assert again.about["labels"] == found.about["labels"]
    assert again.about["cost"]["bought_in_this_run"] == 0
    everything = medu_utility(samples, ITEMS, settings_for(server.url), tmp_path, str)
    assert everything.about["requests"] == {"asked": 120 - sum(labels), "answered_before": sum(labels) + 1}


def test_a_budget_that_leaves_a_cell_without_a_label_names_what_to_raise(serve, tmp_path: Path) -> None:
    server = serve()
    with pytest.raises(ValueError, match=r"max_tokens=100: spent .* before the tasks were described"):
        medu_utility(SAMPLES, ITEMS, settings_for(server.url, max_tokens=100), tmp_path, str)
    assert server.log.prompts == []
    samples = {name: ["Good " + "x" * 3000] for name in ("a", "b")}
    with pytest.raises(
        ValueError, match=r"max_tokens=3000: spent before any document of source 'a'.*raise it"
    ):
        medu_utility(samples, ITEMS, settings_for(server.url, max_tokens=3000), tmp_path, str)
    assert len(server.log.prompts) == 1


def test_the_meter(serve, tmp_path: Path) -> None:
    server = serve()
    cost = {
        "parameters": 70e9,
        "price_in": 2.0,
        "price_out": 10.0,
        "proxy_parameters": 1e8,
        "proxy_tokens": 1e9,
    }
    found = medu_utility(SAMPLES, ITEMS, settings_for(server.url, cost=cost), tmp_path, str).about["cost"]
    assert found["flops"] == 2 * 70e9 * 91
    assert found["price"] == pytest.approx((2 * 70 + 10 * 21) / 1e6)
    assert found["ablation_flops"] == 2 * 6 * 1e8 * 1e9
    assert found["ablations_cost_times_as_much"] == pytest.approx(1.2e18 / (2 * 70e9 * 91))
    assert ablation_flops(1, 1e8) == 6 * 1e8 * 20e8


def test_damaged_answers_are_set_aside_and_the_others_stay(tmp_path: Path) -> None:
    path, told = tmp_path / "answers.jsonl", []
    with AnswerFile(path) as answers:
        for key in "abcd":
            answers.keep(key, Answer(f"Final Score: {key}", 3, 1))
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    of_old = '{"key": "e", "answer": "paid for", "prompt_tokens": 2, "completion_tokens": 1}\n'
    flipped = lines[1].replace("Score: b", "Score: c")
    path.write_text(lines[0] + flipped + "\x00\n" + lines[2] + '{"key": "f"}\n' + of_old + lines[3][:-9])
    with AnswerFile(path, told.append) as answers:
        assert sorted(answers.known) == ["a", "c", "e"]
        answers.keep("b", Answer("again", 3, 1))
    assert told == [
        f"{path}: 3 lines are damaged: set aside in {path}.damaged, their questions are asked again"
    ]
    assert flipped in Path(f"{path}.damaged").read_text(encoding="utf-8")
    with AnswerFile(path, told.append) as answers:
        assert sorted(answers.known) == ["a", "b", "c", "e"]
    assert len(told) == 1


def test_nothing_to_label(tmp_path: Path) -> None:
    settings = settings_for("http://127.0.0.1:9/v1")
    with pytest.raises(ValueError, match=r"sources \['b'\] have no texts"):
        medu_utility({"a": ["x"], "b": []}, ITEMS, settings, tmp_path, str)
    with pytest.raises(ValueError, match=r"tasks \[\] have no texts"):
        medu_utility({"a": ["x"]}, {}, settings, tmp_path, str)


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("Fine.\nFinal Score: Great", "Great"),
        ("**Final Score:** good.", "Good"),
        ("Final Score: Great\nNo, wait.\nFinal score: poor\n\n  \n", "Poor"),
        ("Final Score: Great\nThat is all.", None),
        ("Final Score: Great or Good", None),
        ("It is Great", None),
        ("The document is Great. Final Score: Great", None),
        ("Final Score: Excellent", None),
        ("Final Score: Great\nFinal Score:", None),
        ("", None),
    ],
)
def test_the_label_is_read_from_the_last_line_alone(answer: str, label: str | None) -> None:
    assert read_label(answer) == label


def test_few_labels_are_never_certain() -> None:
    assert label_error([1.0]) == 0.5
    assert label_error([1.0] * 4) == pytest.approx(0.125)
    assert label_error([0.0, 1.0] * 500) == pytest.approx(0.5 / math.sqrt(1000), rel=1e-3)


def test_the_matrix_and_its_costs_are_json(serve, tmp_path: Path) -> None:
    found = medu_utility(SAMPLES, ITEMS, settings_for(serve().url), tmp_path, str)
    found.save(tmp_path / "saved")
    assert json.loads((tmp_path / "saved" / "about.json").read_text())["labels"]["web"] == {"t": 4}


def test_what_is_not_read_is_said(serve, tmp_path: Path) -> None:
    """Chunks of 20 bytes hold one item of 12 each, and there may be two; documents are read up to 30 bytes."""
    items = {"t": [f"item {number} ....." for number in range(5)]}
    samples = {"web": ["Great", "Good " * 20], "junk": ["Useless"]}
    said: list[str] = []
    settings = settings_for(serve().url).model_copy(
        update={"chunk_tokens": 20, "max_chunks": 2, "document_tokens": 30, "documents": 2}
    )
    found = medu_utility(samples, items, settings, tmp_path, said.append)
    assert found.about["described"] == {"t": 2} and found.about["items"] == {"t": 5}
    assert found.about["documents"] == {"web": 2, "junk": 1} and found.about["cut"] == {"web": 1, "junk": 0}
    assert said[:4] == [
        "described by 2 of 5 items of t: medu.max_chunks and chunk_tokens hold no more",
        "of the 2 documents of medu.documents there are 1 of junk: sources.sample_documents",
        "1 of 3 documents are longer than medu.document_tokens and are cut",
        "lengths are told from bytes, 1 a token, so of a document at most 30 bytes are read: "
        "medu.tokenizer counts tokens",
    ]
