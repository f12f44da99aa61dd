"""Translations are scored by chrF in every direction, beside what handing the text back would score."""

from __future__ import annotations

import pytest

from tasks.languages.translation import chrf, read_directions, read_pieces, spbleu, translate
from tests.tasks.languages.conftest import write_rows

WORDS = {"en": ("rain", "falls"), "et": ("vihm", "sajab"), "sw": ("mvua", "inanyesha")}


@pytest.fixture
def parallel(tmp_path):
    rows = [
        {"id": f"t-{code}-{i}", "lang": code, "text": f"{words[0]} {words[1]} {i}"}
        for code, words in WORDS.items()
        for i in range(12)
    ]
    return str(write_rows(tmp_path / "parallel.jsonl", rows))


def test_examples_are_of_the_direction_and_tested_texts_are_none_of_them(parallel):
    directions = read_directions(parallel, ["et", "en"], 2, 2, None)
    assert directions.pairs() == [("et", "en"), ("en", "et")]
    assert not set(directions.shown) & set(directions.tested) and len(directions.tested) == 6
    prompt = directions.prompt("et", "en", directions.tested[0], 0)
    *examples, last = prompt.split("\n")
    assert len(examples) == 2 and all(
        line.startswith("et: vihm") and "= en: rain" in line for line in examples
    )
    assert last.startswith("et: vihm sajab") and last.endswith("= en:")
    assert directions.prompt("et", "en", directions.tested[0], 1) != prompt


def test_right_translations_score_100_and_copies_what_they_share(parallel):
    directions = read_directions(parallel, ["et", "en"], 1, 2, None)

    def answering(prompts):
        numbers = [prompt.rsplit(" =", 1)[0].split()[-1] for prompt in prompts]
        return [
            f" rain falls {n}\nen: more" if p.endswith("en:") else f" vihm {n}"
            for n, p in zip(numbers, prompts, strict=True)
        ]

    right, half = translate(directions, answering, say=lambda line: None)
    assert right["chrf"] == pytest.approx(100) and right["stderr"] == 0 and right["spread"] == 0
    assert 0 < right["copied"] < 40 and 0 < half["chrf"] < 80


def test_chrf_by_hand():
    """ab against ac: of single letters one of two; of pairs none of one. F2 of 1/2 and 0, a mean of the two orders."""
    assert chrf(["ab"], ["ac"]) == pytest.approx(25.0)


def test_spbleu_takes_a_given_model(tmp_path):
    import sentencepiece

    (tmp_path / "text").write_text("\n".join(f"rain falls {i} times here" for i in range(50)))
    sentencepiece.SentencePieceTrainer.train(
        input=str(tmp_path / "text"), model_prefix=str(tmp_path / "m"), vocab_size=28, minloglevel=2
    )
    pieces = read_pieces(tmp_path / "m.model")
    assert spbleu(["rain falls 3 times"], ["rain falls 3 times"], pieces) == pytest.approx(100)
    with pytest.raises(ValueError, match="no SentencePiece model"):
        read_pieces(tmp_path / "text")
    with pytest.raises(ValueError, match="none: no such file"):
        read_pieces(tmp_path / "none")


@pytest.mark.parametrize(
    ("languages", "shots", "said"),
    [
        (["et", "th"], 1, "--languages: th: not in"),
        (["et"], 1, "a direction needs two"),
        (["et", "en"], 6, "12 texts are in all of et, en; needed: 14 for 6 shots"),
    ],
)
def test_bad_input_is_named(parallel, languages, shots, said):
    with pytest.raises(ValueError, match=said):
        read_directions(parallel, languages, shots, 1, None)
