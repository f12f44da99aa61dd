"""n-gram utility: worked by hand, on the sources that every machine has, and on the shared corpora."""

from __future__ import annotations

import gzip
import itertools
import json
import math
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import pytest

from tasks.sources.builtin import arithmetic_problems, junk_documents, python_code, python_docs
from tasks.utility.matrix import UtilityMatrix
from tasks.utility.methods.ngram import NgramSettings
from tasks.utility.methods.ngram_utility import ngram_utility, words

SHARED = Path(__file__).resolve().parents[4].parent / "shared" / "data"


def test_words_and_pieces_of_unspaced_scripts() -> None:
    assert words("Def f(x): 12") == ["def", "f", "(", "x", ")", ":", "12"]
    assert words("東京大学に is") == ["東京大", "京大学", "大学に", "is"]
    assert words("né") == ["né"]


def test_by_hand() -> None:
    # a has the n-grams x, x, xx and b y, y, yy: in the background x is 1/3, xx 1/6, and so are y and yy.
    # The task has {x} alone, so its log ratios are log(.1 + .9 * 3) for x and log .1 for all else.
    settings = NgramSettings(smoothing=0.1, scale="none")
    found = ngram_utility({"a": ["x x"], "b": ["y y"]}, {"t": ["x", "x"]}, settings)
    r = math.exp((2 * math.log(0.1 + 0.9 * 3) + math.log(0.1)) / 3)
    assert found.values.loc["a", "t"] == pytest.approx(r / (1 + r))
    assert found.values.loc["b", "t"] == pytest.approx(0.1 / 1.1)
    # One document leaves the sampling error unknown: .5. Both items say the same, so the jackknife finds none.
    assert found.errors.loc["a", "t"] == pytest.approx(0.5)


def test_the_error_of_the_items_is_what_other_items_would_change() -> None:
    # All documents of a source alike: their sampling error is 0, and what is left comes from the items.
    problems = list(itertools.islice(arithmetic_problems(0), 830))
    samples = {"arithmetic": ["\n".join(problems[:30])] * 3, "noise": first(junk_documents(0), 0, 3, 3000)}
    settings = NgramSettings(scale="none")
    found = [
        ngram_utility(samples, {"t": problems[i : i + 20]}, settings) for i in range(30, len(problems), 20)
    ]
    values = pd.Series([one.values.loc["arithmetic", "t"] for one in found])
    errors = pd.Series([one.errors.loc["arithmetic", "t"] for one in found])
    assert values.std() / 2 < errors.mean() < values.std() * 2


def test_the_error_of_the_documents_shrinks_with_their_number() -> None:
    problems = list(itertools.islice(arithmetic_problems(1), 220))
    items, settings = {"t": problems[200:]}, NgramSettings(scale="none")
    few, many = (
        ngram_utility({"a": problems[:n], "b": ["other words"] * n}, items, settings) for n in (10, 200)
    )
    assert many.errors.loc["a", "t"] < few.errors.loc["a", "t"] / 1.5


def first(texts: Iterable[str], skip: int, count: int, characters: int) -> list[str]:
    return [text[:characters] for text in itertools.islice(texts, skip, skip + count)]


@pytest.fixture(scope="module")
def builtin() -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Samples by source, and other texts of the same sources as items by task."""
    made = {
        "code": python_code(),
        "docs": python_docs(),
        "arithmetic": arithmetic_problems(0),
        "noise": junk_documents(0),
    }
    drawn = {name: first(texts, 0, 150, 3000) for name, texts in made.items()}
    items = {name: [text[:600] for text in drawn[name][1::3]] for name in ("code", "docs", "arithmetic")}
    return {name: texts[::3] + texts[2::3] for name, texts in drawn.items()}, items


@pytest.mark.parametrize("scale", ["minmax", "items"])
def test_on_the_builtin_sources_the_own_source_wins_and_junk_is_last(builtin, scale) -> None:
    samples, items = builtin
    found = ngram_utility(samples, items, NgramSettings(scale=scale))
    for task in items:
        others = found.values[task].drop(task)
        assert found.values.loc[task, task] > others.max() + 0.15
        assert found.values.loc["noise", task] < 0.06
        # Last, or apart from the last by next to nothing.
        assert found.values.loc["noise", task] <= found.values[task].min() + 0.03


def test_minmax_stretches_values_and_errors_alike() -> None:
    samples = {"a": ["x x y", "x y"], "b": ["y z", "z z"], "c": ["q q", "q"]}
    items = {"t": ["x y", "x", "y z"]}
    raw = ngram_utility(samples, items, NgramSettings(scale="none"))
    scaled = ngram_utility(samples, items, NgramSettings(scale="minmax"))
    low, high = raw.values["t"].min(), raw.values["t"].max()
    pd.testing.assert_frame_equal(scaled.values, (raw.values - low) / (high - low))
    pd.testing.assert_frame_equal(scaled.errors, raw.errors / (high - low))


def test_order_and_names_do_not_matter() -> None:
    samples = {"a": ["x x y", "x y"], "b": ["y z", "z z"]}
    items = {"t": ["x y", "x"], "s": ["z", "z y"]}
    found = ngram_utility(samples, items, NgramSettings())
    turned = ngram_utility(dict(reversed(samples.items())), dict(reversed(items.items())), NgramSettings())
    pd.testing.assert_frame_equal(turned.values.loc[["a", "b"], ["t", "s"]], found.values)


def test_what_has_no_text_is_named() -> None:
    with pytest.raises(ValueError, match=r"sources \['b'\] have no documents"):
        ngram_utility({"a": ["x"], "b": []}, {"t": ["x"]}, NgramSettings())
    with pytest.raises(ValueError, match=r"tasks \['t'\] have no dev items"):
        ngram_utility({"a": ["x"]}, {"t": []}, NgramSettings())
    with pytest.raises(ValueError, match="task 't': no word in any of its 2 dev items"):
        ngram_utility({"a": ["x"]}, {"t": ["", "..."]}, NgramSettings())


def test_a_source_without_a_word_is_at_the_bottom() -> None:
    found = ngram_utility({"a": ["x y"], "dots": ["... !"]}, {"t": ["x", "y"]}, NgramSettings(scale="none"))
    assert found.values.loc["dots", "t"] == pytest.approx(0.1 / 1.1)


def read(path: Path, count: int) -> list[dict]:
    """So many rows from all over the file."""
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        rows = [json.loads(line) for line in stream]
    return rows[:: max(len(rows) // count, 1)][:count]


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"{SHARED} is not on this machine")
def test_on_the_shared_corpora() -> None:
    samples = {
        path.name.split(".")[0]: [row["text"][:3000] for row in read(path, 100)]
        for path in sorted((SHARED / "corpora").glob("*.jsonl.gz"))
    }
    benchmarks = SHARED / "benchmarks"
    items = {
        "gsm8k": [row["question"] for row in read(benchmarks / "gsm8k_test.jsonl.gz", 100)],
        "lambada": [row["context"] for row in read(benchmarks / "lambada.jsonl.gz", 100)],
        "xcopa": [row["premise"] for row in read(benchmarks / "xcopa_test.jsonl.gz", 300)],
        "humaneval": [row["prompt"] for row in read(benchmarks / "humaneval.jsonl.gz", 100)],
    }
    found: UtilityMatrix = ngram_utility(samples, items, NgramSettings())
    assert found.values["gsm8k"].idxmax() == "math_gsm8k_train"
    assert found.values["lambada"].idxmax() == "books_gutenberg"
    assert found.values["xcopa"].idxmax().startswith("multilingual")
    assert found.values["humaneval"].idxmax() == "instruct_gpteacher"
    assert found.values.loc["noise_loghub"].max() < 0.35
    assert found.values.loc["noise_loghub", ["gsm8k", "lambada", "xcopa"]].max() < 0.15
