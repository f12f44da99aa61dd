"""Scores against log-likelihoods known by hand or computed the slow way."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path

import datasets
import numpy as np
import pandas as pd
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerFast
from transformers.modeling_outputs import CausalLMOutput

from models import StitchedForCausalLM, new_seed_model, seed_config
from tasks.benchmarks.harness_tasks import check_names, lm_eval_items
from tasks.benchmarks.items import Benchmark
from tasks.evaluation.evaluating import ChosenItems, evaluate
from tasks.evaluation.harness_model import harness_model
from tasks.evaluation.heldout_text import bits_per_byte
from tasks.evaluation.model_reading import Reading
from tasks.evaluation.scores import Scores

LETTERS = "abcdefghijklmnopqrstuvwxyz "
# P(next | last) of a language of a, b, c; every row begins with what follows <eos>, a, b, c.
NEXT = {
    "<eos>": {"a": 0.5, "b": 0.25, "c": 0.25},
    "a": {"a": 0.2, "b": 0.5, "c": 0.3},
    "b": {"a": 0.6, "b": 0.2, "c": 0.2},
    "c": {"a": 0.05, "b": 0.9, "c": 0.05},
}


class BigramModel(PreTrainedModel):
    """Logits are the log-probabilities of `NEXT`, looked up by the last token."""

    config_class = PreTrainedConfig

    def __init__(self) -> None:
        config = PreTrainedConfig()
        config.max_position_embeddings = 16
        super().__init__(config)
        tokens = ["a", "b", "c", "<eos>"]
        table = [[NEXT[last].get(token, 1e-30) for token in tokens] for last in tokens]
        self.table = nn.Embedding.from_pretrained(torch.tensor(table).log())

    def get_input_embeddings(self) -> nn.Module:
        return self.table

    def forward(self, input_ids: torch.Tensor, **_: object) -> CausalLMOutput:
        return CausalLMOutput(logits=self.table(input_ids))


def letter_tokenizer(letters: str) -> PreTrainedTokenizerFast:
    vocabulary = {letter: index for index, letter in enumerate(letters)} | {"<eos>": len(letters)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<eos>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<eos>")


ABC = letter_tokenizer("abc")


def choice(number: int, context: str, choices: list[str], answer: int) -> dict:
    return {"id": f"i{number}", "context": context, "choices": choices, "answer": answer}


def scored(benchmark: Benchmark) -> dict[str, dict]:
    scores = evaluate(BigramModel(), ABC, [benchmark])
    return {row["metric"]: row for row in scores.rows()}


def test_choice_by_hand() -> None:
    # ln .5 > ln(.3 * .9): acc takes "b"; a byte, ln .27 / 2 > ln .5: acc_norm takes "cb".
    items = [choice(n, "a", ["b", "cb"], answer) for n, answer in enumerate([0, 0, 0, 1])]
    rows = scored(Benchmark("t", "choice", None, "acc", items))
    # Three of four right: sqrt(.75 * .25 / 3) = .25.
    assert rows["acc"] == {
        "model": "model", "task": "t", "metric": "acc", "value": 0.75, "stderr": pytest.approx(0.25), "n": 4
    }  # fmt: skip
    assert (rows["acc_norm"]["value"], rows["acc_norm"]["stderr"]) == (0.25, pytest.approx(0.25))
    # Right answers: "b" at 1 bit three times, "cb" at -log2 .27; 3 * 1 + 2 bytes.
    assert rows["bits_per_byte"]["value"] == pytest.approx((3 - math.log2(0.27)) / 5)


def test_an_empty_context_begins_after_eos() -> None:
    # P(ab) = .5 * .5 = .25, P(cb) = .25 * .9 = .225.
    rows = scored(Benchmark("pairs", "choice", None, "acc", [choice(0, "", ["cb", "ab"], 1)]))
    assert rows["acc"]["value"] == 1
    assert rows["acc"]["stderr"] is None


def test_cloze_compares_contexts() -> None:
    # P(b|a) = .5, P(b|c) = .9.
    items = [
        {"id": str(n), "contexts": ["ba", "bc"], "continuation": "b", "answer": answer}
        for n, answer in enumerate([1, 1, 0])
    ]
    scores = evaluate(BigramModel(), ABC, [Benchmark("w", "cloze", None, "acc", items)])
    rows = scores.frame.set_index("metric")
    assert rows.loc["acc", "value"] == pytest.approx(2 / 3)
    assert rows.loc["acc", "stderr"] == pytest.approx(math.sqrt(2 / 9 / 2))
    # One byte each: -log2 .9 twice, -log2 .5 once.
    assert rows.loc["bits_per_byte", "value"] == pytest.approx((1 - 2 * math.log2(0.9)) / 3)
    samples = scores.samples[scores.samples["metric"] == "acc"]
    assert samples["prediction"].tolist() == ["bc"] * 3
    assert samples["target"].tolist() == ["bc", "bc", "ba"]


def test_answers_are_right_where_an_accepted_one_is_the_greedy_text() -> None:
    items = [
        {"id": "0", "context": "a", "answers": ["b"]},  # greedy; 1 bit
        {"id": "1", "context": "a", "answers": ["c", "b"]},  # an alias is greedy; -log2 .3
        {"id": "2", "context": "a", "answers": ["cb"]},  # not greedy; -log2 .27 over two bytes
    ]
    scores = evaluate(BigramModel(), ABC, [Benchmark("q", "answer", None, "acc", items)])
    values = scores.frame.set_index("metric")["value"]
    assert values["acc"] == pytest.approx(2 / 3)
    bits = [1.0, -math.log2(0.3), -math.log2(0.27)]
    assert values["bits_per_byte"] == pytest.approx(sum(bits) / 4, abs=1e-5)
    # Delta method: residuals y - R x over bytes 1, 1, 2.
    residuals = np.array(bits) - sum(bits) / 4 * np.array([1, 1, 2])
    stderr = scores.frame.set_index("metric")["stderr"]["bits_per_byte"]
    assert stderr == pytest.approx(math.sqrt(3 / 2 * (residuals**2).sum()) / 4, abs=1e-5)
    samples = scores.samples[scores.samples["metric"] == "bits_per_byte"]
    assert samples["value"].tolist() == pytest.approx([bits[0], bits[1], bits[2] / 2], abs=1e-5)
    assert scores.samples["prediction"].tolist()[:3] == ["b", "b", ""]


def test_bits_per_byte_by_hand() -> None:
    # <eos>ab: .5 * .5, <eos>c: .25: 4 bits over 3 bytes.
    scores = bits_per_byte(BigramModel(), ABC, ["ab", "c"], source="abc")
    (row,) = scores.rows()
    assert (row["task"], row["n"], row["value"]) == ("heldout:abc", 2, pytest.approx(4 / 3, abs=1e-6))
    # Residuals 2 - 4/3 * 2 = -2/3 and 2 - 4/3 = 2/3: sqrt(2 * 8/9) / 3 = 4/9.
    assert row["stderr"] == pytest.approx(4 / 9, abs=1e-6)


def tiny_llama(random_seed: int = 0):
    config = seed_config(
        len(LETTERS) + 1, hidden_size=16, num_layers=2, num_heads=2, max_length=8, eos_token_id=len(LETTERS)
    )
    model = new_seed_model(config, random_seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)  # far from uniform, so that a wrong window shows
    return model


WORDS = letter_tokenizer(LETTERS)


def slow_nats(model, text: str, max_length: int) -> float:
    """One forward pass a token: windows of `max_length`, the last one as full as it can be."""
    ids = [WORDS.eos_token_id, *WORDS.encode(text, add_special_tokens=False)]
    num_tokens, total = len(ids) - 1, 0.0
    for position in range(1, num_tokens + 1):
        end = min(((position - 1) // max_length + 1) * max_length, num_tokens)
        context = ids[max(0, end - max_length) : position]
        with torch.no_grad():
            logits = model(torch.tensor([context])).logits[0, -1].double()
        total -= torch.log_softmax(logits, -1)[ids[position]].item()
    return total


TEXTS = ["the quick brown fox jumps over it", "a", "lazy dog", "one two three four five"]


@pytest.mark.parametrize("stitched", [False, True])
def test_bits_per_byte_equals_a_slow_computation(stitched: bool) -> None:
    model = tiny_llama()
    if stitched:
        model = StitchedForCausalLM.from_models(model, {"other": tiny_llama(1)}, 2)
    model.train()
    scores = bits_per_byte(model, WORDS, TEXTS, reading=Reading(batch_tokens=30))
    assert model.training
    model.eval()
    expected = sum(slow_nats(model, text, 8) for text in TEXTS) / math.log(2) / sum(map(len, TEXTS))
    assert scores.frame["value"].item() == pytest.approx(expected, rel=1e-5)
    tokens = [json.loads(outputs)["tokens"] for outputs in scores.samples["outputs"]]
    assert tokens == [len(text) for text in TEXTS]


def test_long_contexts_lose_their_beginning_and_long_choices_nothing() -> None:
    model = tiny_llama().eval()
    context, continuations = "abcdefghijklmnop", ["xyz", "the lazy dog sleeps"]
    benchmark = Benchmark("long", "choice", None, "acc", [choice(0, context, continuations, 0)])
    scores = evaluate(model, WORDS, [benchmark])
    outputs = json.loads(scores.samples["outputs"][0])
    ids = WORDS.encode(context + continuations[1], add_special_tokens=False)
    expected = 0.0
    for first in range(16, len(ids), 8):
        last = min(first + 8, len(ids))
        with torch.no_grad():
            window = ids[last - 9 : last - 1]
            logits = torch.log_softmax(model(torch.tensor([window])).logits[0].double(), -1)
        expected += sum(
            logits[place - (last - 9), ids[place + 1]].item() for place in range(first - 1, last - 1)
        )
    assert outputs[1][0] == pytest.approx(expected, rel=1e-5)


@pytest.fixture
def task_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one task of lm-eval and its data beside it."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "folder"
    folder.mkdir()
    rows = [
        {"question": letter, "options": ["b", "c"], "gold": n % 2}
        for n, letter in enumerate("abcabbacca" * 2)
    ]
    for n, row in enumerate(rows):
        row["question"] = "abc"[n % 3] * (n // 3 + 1)
    (folder / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "letters.yaml").write_text(
        "task: letters\n"
        "dataset_path: json\n"
        "dataset_kwargs: {data_files: {test: data.jsonl}}\n"
        "test_split: test\n"
        "output_type: multiple_choice\n"
        "doc_to_text: '{{question}}'\n"
        "doc_to_choice: options\n"
        "doc_to_target: gold\n"
        "target_delimiter: ''\n"
        "metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]\n"
    )
    return folder


def test_a_folder_of_task_yamls_with_local_data_runs(task_folder: Path) -> None:
    scores = evaluate(BigramModel(), ABC, [task_folder])
    # After a and c comes b; after b, b and c are as likely and the first is taken. Half the golds are b.
    assert scores.rows() == [
        {
            "model": "model",
            "task": "letters",
            "metric": "acc",
            "value": 0.5,
            "stderr": pytest.approx(math.sqrt(0.25 / 19)),
            "n": 20,
        }
    ]


def test_a_group_has_the_error_of_its_weighted_mean(task_folder: Path) -> None:
    letters = (task_folder / "letters.yaml").read_text()
    (task_folder / "few.yaml").write_text(
        letters.replace("task: letters", "task: few").replace("data.", "few.")
    )
    rows = (task_folder / "data.jsonl").read_text().splitlines()[:5]  # golds b c b c b: .6
    (task_folder / "few.jsonl").write_text("\n".join(rows))
    (task_folder / "both.yaml").write_text(
        "group: both\ntask: [letters, few]\naggregate_metric_list: [{metric: acc, weight_by_size: true}]\n"
    )
    for name in ("letters", "few"):  # members of a group are read with paths as they stand
        path = task_folder / f"{name}.yaml"
        path.write_text(path.read_text().replace("test: ", f"test: {task_folder}/", 1))
    scores = evaluate(BigramModel(), ABC, ["both", task_folder])
    row = scores.frame.set_index("task").loc["both"]
    assert (row["n"], row["value"]) == (25, pytest.approx((10 + 3) / 25))
    errors = math.sqrt(0.25 / 19), math.sqrt(0.24 / 4)
    assert row["stderr"] == pytest.approx(math.hypot(20 / 25 * errors[0], 5 / 25 * errors[1]))


def test_only_test_items_of_lm_eval_tasks_are_scored(task_folder: Path) -> None:
    (items,) = lm_eval_items(task_folder=task_folder, dev_share=0.4, max_items=15)
    assert len(items.dev_texts) + len(items.test_texts) == 15
    assert set(items.test_texts) <= {"abc"[n % 3] * (n // 3 + 1) + "bc"[n % 2] for n in range(20)}
    scores = evaluate(BigramModel(), ABC, [task_folder], chosen=ChosenItems(0.4, 15))
    assert scores.samples["item"].tolist() == [str(index) for index in items.test_indices]
    assert scores.frame["n"].item() == len(items.test_texts)


def test_a_broken_folder_names_the_file(task_folder: Path) -> None:
    (task_folder / "data.jsonl").unlink()
    with pytest.raises(ValueError, match="lm-eval task 'letters': could not be loaded: "):
        evaluate(BigramModel(), ABC, [task_folder])
    (task_folder / "letters.yaml").write_text("task: [letters\n")
    with pytest.raises(ValueError, match=r"letters\.yaml: not a readable lm-eval task"):
        evaluate(BigramModel(), ABC, [task_folder])
    with pytest.raises(ValueError, match="no such folder"):
        evaluate(BigramModel(), ABC, [task_folder / "absent"])


@pytest.mark.slow
def test_a_task_that_runs_what_a_model_writes_is_refused_before_it_is_loaded(task_folder: Path) -> None:
    path = task_folder / "letters.yaml"
    path.write_text(path.read_text().replace("doc_to_choice: options", "unsafe_code: true"))
    (task_folder / "data.jsonl").unlink()
    for refused in (
        lambda: evaluate(BigramModel(), ABC, [task_folder]),
        lambda: check_names([], task_folder),
    ):
        with pytest.raises(ValueError, match="'letters': runs the code that a model writes"):
            refused()


def test_an_unknown_name_is_refused_with_similar_ones() -> None:
    with pytest.raises(ValueError, match=r"lm-eval task 'arc_eazy': unknown; allowed: .* arc_easy"):
        evaluate(BigramModel(), ABC, ["arc_eazy"])


def test_several_tasks_and_held_out_text_make_one_table_that_survives_the_disk(tmp_path: Path) -> None:
    benchmarks = [
        Benchmark(name, "choice", None, "acc", [choice(0, "a", ["b", "c"], 0), choice(1, "c", ["a", "b"], 0)])
        for name in ("one", "two")
    ]
    scores = evaluate(BigramModel(), ABC, benchmarks, name="seed", heldout={"abc": ["abab", "ca"]})
    assert scores.frame["task"].tolist() == ["one"] * 3 + ["two"] * 3 + ["heldout:abc"]
    scores.save(tmp_path)
    back = Scores.load(tmp_path)
    pd.testing.assert_frame_equal(back.frame, scores.frame)
    pd.testing.assert_frame_equal(back.samples, scores.samples)
    with pytest.raises(ValueError, match=r"scores\.parquet is missing"):
        Scores.load(tmp_path / "absent")


def test_random_states_are_left_as_they_were() -> None:
    random.seed(5), np.random.seed(5), torch.manual_seed(5)
    expected = random.random(), np.random.random(), torch.rand(1).item()
    random.seed(5), np.random.seed(5), torch.manual_seed(5)
    bits_per_byte(BigramModel(), ABC, ["ab"])
    assert (random.random(), np.random.random(), torch.rand(1).item()) == expected


def test_what_does_not_fit_is_refused() -> None:
    benchmark = Benchmark("t", "choice", None, "acc", [choice(0, "a", ["b", "c"], 0)])
    with pytest.raises(ValueError, match="tokenizer has 28 tokens but the model embeds 4"):
        evaluate(BigramModel(), WORDS, [benchmark])
    with pytest.raises(ValueError, match="max_length is 17; allowed: 1 to 16"):
        evaluate(BigramModel(), ABC, [benchmark], max_length=17)
    with pytest.raises(ValueError, match="model is a Linear"):
        evaluate(nn.Linear(2, 2), ABC, [benchmark])
    with pytest.raises(ValueError, match="task 't' is given twice"):
        evaluate(BigramModel(), ABC, [benchmark, benchmark])
    with pytest.raises(ValueError, match="nothing to evaluate"):
        evaluate(BigramModel(), ABC, [])
    with pytest.raises(ValueError, match="source 'x': empty"):
        bits_per_byte(BigramModel(), ABC, [], source="x")


def test_a_special_token_in_a_text_is_scored_as_its_letters() -> None:
    assert ABC.encode("a<eos>b") == [0, 3, 1]
    with harness_model(BigramModel(), ABC, Reading(), None) as wrapped:
        assert wrapped.tok_encode("ab", add_special_tokens=False) == [0, 1]
        assert len(wrapped.tok_encode("a<eos>b", add_special_tokens=False)) == len("a<eos>b")
    assert not ABC.split_special_tokens and ABC.pad_token is None  # the caller's is as it was


def test_a_model_that_gives_no_numbers_has_no_score() -> None:
    benchmark = Benchmark("b", "choice", None, "acc", [choice(0, "a", ["b", "c"], 0)])
    broken = BigramModel()
    with torch.no_grad():
        broken.table.weight[0, 0] = math.nan
    with pytest.raises(
        ValueError, match=r"weight 'table\.weight' holds 1 of 16 values that are NaN or infinite"
    ):
        evaluate(broken, ABC, [benchmark])

    class GivesNaN(BigramModel):
        def forward(self, input_ids: torch.Tensor, **_: object) -> CausalLMOutput:
            return CausalLMOutput(logits=self.table(input_ids) * math.nan)

    with pytest.raises(ValueError, match="a log-likelihood that is not a number, and no score comes of that"):
        evaluate(GivesNaN(), ABC, [benchmark])
    with pytest.raises(ValueError, match="a log-likelihood that is not a number"):
        evaluate(GivesNaN(), ABC, [], heldout={"s": ["abc"]})
