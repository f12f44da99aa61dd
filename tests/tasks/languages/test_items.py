"""Benchmarks in many languages are read from files of their usual fields, each item with what translates it."""

from __future__ import annotations

import json

import pytest

from tasks.languages.cloze_forms import FORMS, form_called
from tasks.languages.language_templates import read_templates
from tasks.languages.parallel_items import read_items
from tests.tasks.languages.conftest import made_rows, write_rows


def test_translations_share_a_key(benchmark_file):
    items = read_items(str(benchmark_file), form_called("xcopa"), "f")
    assert {code: [item.key for item in own][:2] for code, own in items.items()} == {
        "en": ["made-0", "made-1"],
        "et": ["made-0", "made-1"],
        "sw": ["made-0", "made-1"],
    }


def test_files_of_a_folder_are_named_for_their_language(tmp_path):
    for code in ("et", "sw"):
        rows = [
            {
                "premise": row["premise"],
                "choice1": row["choices"][0],
                "choice2": row["choices"][1],
                "question": row["question"],
                "label": row["answer_idx"],
                "idx": place,
            }
            for place, row in enumerate(made_rows((code,)))
        ]
        write_rows(tmp_path / f"test.{code}.jsonl", rows)
    items = read_items(str(tmp_path), form_called("xcopa"), "f")
    assert {code: len(own) for code, own in items.items()} == {"et": 12, "sw": 12}
    assert items["et"][0].answer == 1 and items["et"][1].choices == ("märg 1", "kuiv 1")


def said(form: str, row: dict, tmp_path, language="en") -> tuple[str, ...]:
    (item,) = read_items(
        str(write_rows(tmp_path / "f.jsonl", [{"language": language, **row}])), form_called(form), "f"
    )[language]
    told = read_templates(None, form_called(form))[language].said(item)
    return (*told, told[item.answer])


def test_stories_nli_and_paraphrases(tmp_path):
    story = {f"InputSentence{i}": f"S{i}." for i in range(1, 5)}
    story |= {"RandomFifthSentenceQuiz1": "A.", "RandomFifthSentenceQuiz2": "B.", "AnswerRightEnding": 2}
    assert said("xstorycloze", story, tmp_path) == (
        "S1. S2. S3. S4. A.",
        "S1. S2. S3. S4. B.",
        "S1. S2. S3. S4. B.",
    )
    nli = {"sentence1": "It rains.", "sentence2": "it is wet", "gold_label": "contradiction"}
    assert said("xnli", nli, tmp_path)[::3] == (
        "It rains. Right? Yes, it is wet",
        "It rains. Right? No, it is wet",
    )
    pair = {"sentence1": "A b.", "sentence2": "b a", "label": 1}
    assert said("pawsx", pair, tmp_path) == (
        "A b. Right? No, b a",
        "A b. Right? Yes, b a",
        "A b. Right? Yes, b a",
    )


@pytest.mark.parametrize("form", FORMS)
def test_the_templates_that_come_with_a_form_are_whole(form):
    found = read_templates(None, form_called(form))
    assert "en" in found and "zh" in found


@pytest.mark.parametrize(
    ("text", "labels", "reason"),
    [
        (
            "{premise} {choice} {hypothesis}",
            "[Yes, Also, No]",
            "labels are .True, 'Also', False.; needed: 3 words",
        ),
        (
            "{premise:d} {choice} {hypothesis}",
            "['Yes', 'Also', 'No']",
            "allowed: fields by their names alone",
        ),
    ],
)
def test_templates_that_yaml_or_format_would_change_are_refused(tmp_path, text, labels, reason):
    path = tmp_path / "own.yaml"
    path.write_text(f"en: {{written_by: human, text: '{text}', labels: {labels}}}\n")
    with pytest.raises(ValueError, match=reason):
        read_templates(path, form_called("xnli"))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"question": "why"}, "question is 'why'; allowed: cause, effect"),
        ({"answer_idx": 2}, "answer_idx is 2; allowed: 0, 1"),
        ({"premise": " "}, "no field premise"),
        ({"choices": None}, "no field choice1"),
        ({"lang": "qq"}, "'qq' is no language code"),
        ({"lang": None}, "no language: no field lang or language, and no single code"),
        ({"id": "made-en-1"}, "item 'made-1' stands twice in 'en'"),
    ],
)
def test_a_broken_row_is_named_by_its_place(tmp_path, change, reason):
    rows = made_rows(("en",))
    rows[2] |= change
    path = write_rows(tmp_path / "broken.jsonl", rows)
    with pytest.raises(ValueError, match=r"broken\.jsonl line 3") as told:
        read_items(str(path), form_called("xcopa"), "f")
    assert reason in str(told.value)


def test_a_file_may_be_said_to_be_in_a_language(tmp_path):
    rows = [{key: value for key, value in row.items() if key != "lang"} for row in made_rows(("en",))]
    path = tmp_path / "some.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert set(read_items(str(path), form_called("xcopa"), "f", "en")) == {"en"}
