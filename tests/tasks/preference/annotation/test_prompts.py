"""Prompts from held-out text: the answer is the next word, and bits per byte reads other documents."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest

from tasks.preference.annotation.programmatic import RULES
from tasks.preference.annotation.prompts import Prompt, corpus_prompts, make_prompts, rule_and_argument
from tasks.preference.settings import ProgrammaticSettings


def text(name: str, words: int) -> str:
    return " ".join(f"{name}{number}" for number in range(words)) + "\n"


def asked(items: int = 10, characters: int = 20) -> ProgrammaticSettings:
    return ProgrammaticSettings(items=items, prompt_characters=characters)


DOCUMENTS = [text(f"d{number}w", 30) for number in range(20)]


def places(prompts: list[Prompt]) -> list[tuple[int, str]]:
    return [(prompt.document, prompt.item.rsplit("/", 1)[1]) for prompt in prompts]


def test_the_answer_is_the_next_word_and_not_in_the_prompt() -> None:
    prompts, notes = make_prompts({"a": DOCUMENTS}, asked(40), {})
    assert len(prompts) == 40
    assert notes == []
    for prompt in prompts:
        before, found, after = DOCUMENTS[prompt.document].partition(prompt.text + " ")
        assert found
        assert after.split()[0] == prompt.answer
        assert prompt.text == prompt.text.rstrip()
        assert len(prompt.text) >= 20
        assert before == "" or before.endswith(" ")
        assert prompt.answer not in prompt.text
    assert len({prompt.item for prompt in prompts}) == 40


def test_one_passage_of_each_document_from_the_end() -> None:
    prompts, _ = make_prompts({"a": DOCUMENTS}, asked(), {"a": 5})
    assert places(prompts) == [(document, "0") for document in range(19, 9, -1)]


def test_more_passages_of_a_document_before_one_that_bits_per_byte_reads() -> None:
    prompts, _ = make_prompts({"a": DOCUMENTS}, asked(), {"a": 17})
    assert {document for document, _ in places(prompts)} == {17, 18, 19}
    assert places(prompts)[:4] == [(19, "0"), (18, "0"), (17, "0"), (19, "1")]
    last = [prompt for prompt in prompts if prompt.document == 19]
    for one, other in pairwise(last):
        assert (
            DOCUMENTS[19].count(f"{one.text} {other.text}") == 1
        )  # one passage goes on where the other ends


def test_documents_that_bits_per_byte_reads_are_the_last_resort() -> None:
    short = [*DOCUMENTS[:3], text("e", 9), text("f", 9)]
    prompts, _ = make_prompts({"a": short}, asked(), {"a": 3})
    found = [document for document, _ in places(prompts)]
    others = found.index(2)
    assert found[:2] == [4, 3]
    assert set(found[:others]) == {3, 4}
    assert set(found[others:]) == {0, 1, 2}


def test_small_sources_give_fewer_or_none_and_are_told() -> None:
    documents = {"few": DOCUMENTS[:2], "less": DOCUMENTS[:1], "none": ["short"], "empty": []}
    prompts, notes = make_prompts(documents, asked(60), {})
    assert {prompt.category for prompt in prompts} == {"few"}
    assert 10 <= len(prompts) < 60
    assert notes[0] == f"few: its held-out text gives {len(prompts)} prompts of 60."
    assert [note.partition(":")[0] for note in notes[1:]] == ["less", "none", "empty"]
    assert all("at least 10 are needed" in note for note in notes[1:])


def test_a_word_that_may_be_cut_is_not_asked_for() -> None:
    """Held-out documents are cut to a length: what has no blank behind it may be the beginning of a word."""
    whole, cut = ["w0 w1 w2 word\n"] * 10, ["w0 w1 w2 wo"] * 10
    prompts, notes = make_prompts({"whole": whole, "cut": cut}, asked(characters=8), {})
    assert {(prompt.category, prompt.text, prompt.answer) for prompt in prompts} == {
        ("whole", "w0 w1 w2", "word")
    }
    assert notes[0].startswith("cut: left out")


@pytest.mark.parametrize(("size", "first"), [(0, 1), (400, 2), (100_000, 20)])
def test_the_corpus_says_what_bits_per_byte_reads(tmp_path: Path, size: int, first: int) -> None:
    (tmp_path / "heldout").mkdir()
    rows = "".join(json.dumps({"text": document}) + "\n" for document in DOCUMENTS)
    (tmp_path / "heldout" / "a.jsonl").write_text(rows, encoding="utf-8")
    found = corpus_prompts(tmp_path, {"sources": {"a": {}}}, asked(), size)
    assert found == corpus_prompts(tmp_path, {"sources": {"a": {}}}, asked(), size)
    assert found == make_prompts({"a": DOCUMENTS}, asked(), {"a": first})


def test_the_rule_asks_for_the_whole_word_or_its_first_letters() -> None:
    prompt = Prompt("a/0/0", "a", 0, "one two", "three")
    assert rule_and_argument(prompt, None) == ("first_word", "three")
    assert rule_and_argument(prompt, 2) == ("starts_with", "th")
    assert RULES["starts_with"](" through", "th") and not RULES["first_word"](" through", "three")
