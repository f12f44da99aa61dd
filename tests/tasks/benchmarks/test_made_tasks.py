"""Made tasks ask about real text, and their answers show only to who reads the context."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable

import pytest

from tasks.benchmarks.items import Benchmark, item_text
from tasks.benchmarks.made_tasks import make_task
from tasks.sources.builtin import arithmetic_problems, python_code, python_docs

CODE = [text[:8000] for text in itertools.islice(python_code(), 60)]
DOCS = [text[:8000] for text in itertools.islice(python_docs(), 160)]
SUMS = list(itertools.islice(arithmetic_problems(0), 400))
MADE = {
    "next-line": make_task("next-line", "code", "python-code", CODE, 300, 0),
    "cloze": make_task("cloze", "docs", "python-docs", DOCS, 300, 0),
    "arithmetic-answer": make_task("arithmetic-answer", "sums", "arithmetic", SUMS, 300, 0),
}
DOCUMENTS = {"next-line": CODE, "cloze": DOCS, "arithmetic-answer": SUMS}


def chosen_by(
    choose: Callable[[list[float]], float], measure: Callable[[str], float], made: Benchmark
) -> float:
    """Accuracy of a chooser that sees the choices alone; ties are broken by an even draw."""
    right = []
    for item in made.items:
        measures = [measure(choice) for choice in item["choices"]]
        best = choose(measures)
        right.append((measures[item["answer"]] == best) / measures.count(best))
    return sum(right) / len(right)


@pytest.mark.parametrize("kind", MADE)
def test_items_are_real_text_with_four_different_choices(kind: str) -> None:
    assert len(MADE[kind].items) >= 200
    for item in MADE[kind].items:
        assert len(set(item["choices"])) == 4
        if kind != "arithmetic-answer":
            assert any(item_text("choice", item) in document for document in DOCUMENTS[kind])


@pytest.mark.parametrize("kind", MADE)
def test_neither_length_nor_place_gives_the_answer_away(kind: str) -> None:
    # Chance is .25; at 200 items or more its standard error is at most .031.
    for choose in (max, min):
        assert 0.16 <= chosen_by(choose, lambda choice: len(choice.encode()), MADE[kind]) <= 0.34
    for place in range(4):
        assert (
            0.16 <= sum(item["answer"] == place for item in MADE[kind].items) / len(MADE[kind].items) <= 0.34
        )


def test_no_size_and_no_middle_gives_a_sum_away() -> None:
    made = MADE["arithmetic-answer"]
    for choose in (max, min):
        assert 0.16 <= chosen_by(choose, int, made) <= 0.34

    def nearest_to_the_others(item: dict) -> float:
        numbers = [int(choice) for choice in item["choices"]]
        spread = [sum(abs(a - b) for b in numbers) for a in numbers]
        return (spread[item["answer"]] == min(spread)) / spread.count(min(spread))

    assert 0.2 <= sum(map(nearest_to_the_others, made.items)) / len(made.items) <= 0.3


def test_a_sum_is_not_said_before_it_is_asked_for() -> None:
    for item in MADE["arithmetic-answer"].items:
        assert re.search(r"Work: [\d +x-]+ =\Z", item["context"])
        work = item["context"].rsplit("Work: ", 1)[1].removesuffix(" =").replace("x", "*")
        assert int(item["choices"][item["answer"]]) == eval(work)


def test_wrong_lines_are_indented_alike_and_from_other_documents() -> None:
    for item in MADE["next-line"].items:
        indents = {choice[: len(choice) - len(choice.lstrip())] for choice in item["choices"]}
        assert len(indents) == 1
        own = next(text for text in CODE if item_text("choice", item) in text)
        wrong = [choice for place, choice in enumerate(item["choices"]) if place != item["answer"]]
        assert not any(choice.strip() in own for choice in wrong)


def test_no_item_contains_the_answer_of_another() -> None:
    for kind, documents in DOCUMENTS.items():
        spans: dict[int, list[tuple[int, int]]] = {}
        for item in MADE[kind].items:
            text = item_text("choice", item)
            homes = [i for i, document in enumerate(documents) if text in document]
            if len(homes) == 1 and documents[homes[0]].count(text) == 1:
                begin = documents[homes[0]].index(text)
                spans.setdefault(homes[0], []).append((begin, begin + len(text)))
        for listed in spans.values():
            ordered = sorted(listed)
            assert all(a[1] <= b[0] for a, b in itertools.pairwise(ordered))


def test_the_same_seed_gives_the_same_items_and_another_gives_others() -> None:
    again = make_task("cloze", "docs", "python-docs", DOCS, 50, 0)
    assert again == make_task("cloze", "docs", "python-docs", DOCS, 50, 0)
    other = make_task("cloze", "docs", "python-docs", DOCS, 50, 1)
    assert {item["id"] for item in again.items} != {item["id"] for item in other.items}


def test_too_little_text_and_unknown_kinds_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"task 'code': only 0 next-line items .* source 'python-code'; .* 20"
    ):
        make_task("next-line", "code", "python-code", ["x = 1\n"], 100, 0)
    with pytest.raises(ValueError, match="kind 'poem'; allowed: next-line, cloze, arithmetic-answer"):
        make_task("poem", "p", "s", CODE, 100, 0)  # type: ignore[arg-type]
