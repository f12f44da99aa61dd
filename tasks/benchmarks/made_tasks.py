"""Tasks made from held-out documents: four choices, one of them what the document really says.

A task must not be answerable without reading its context. So wrong choices are drawn from where right ones
come from, and the right one is the shortest, second, third or longest with equal probability; wrong numbers
stand with the right one in a square {c, c+s, c+t, c+s+t} in which no corner differs from the others.
"""

from __future__ import annotations

import bisect
import hashlib
import itertools
import math
import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from tasks.benchmarks.by_content import content_id
from tasks.benchmarks.items import Benchmark
from tasks.benchmarks.kinds.item_kind import Item

MadeKind = Literal["next-line", "cloze", "arithmetic-answer"]
NUM_CHOICES = 4
MIN_ITEMS = 20
CONTEXT_LINES = 10
CONTEXT_CHARACTERS = 240
SENTENCE = re.compile(r"(?<!\S)[A-Z](?:(?!\n\s*\n)[^.!?]){30,300}[.!?](?=\s)")
WORD = re.compile(r"(?<= )[a-z]{4,14}(?![\w'-])")
ANSWER_LINE = re.compile(r"^Answer: *(\d+)\s*\Z", re.MULTILINE)


@dataclass(frozen=True)
class Question:
    """A place in a document: the text before it, what comes next, and the group its wrong choices come from.

    `begin` and `end` are the characters of the document that context and truth are taken from.
    """

    document: int
    begin: int
    end: int
    context: str
    truth: str
    group: tuple[object, ...]


def make_task(
    kind: MadeKind, name: str, source: str, documents: Sequence[str], num_items: int, random_seed: int
) -> Benchmark:
    """At most `num_items` items of four choices made from a source's held-out documents.

    next-line          lines of code before, and the next line against lines of other documents, as indented
    cloze              text up to the last content word of a sentence against such words of other sentences
    arithmetic-answer  a worked problem up to its result against numbers one and ten off
    The same documents and seed give the same items, and no two items share text of a document: one could give
    the other's answer away.
    Raises ValueError for an unknown kind and where fewer than 20 (or `num_items`) items can be made.
    """
    find = FINDERS.get(kind)
    if find is None:
        raise ValueError(f"task {name!r}: kind {kind!r}; allowed: {', '.join(FINDERS)}")
    if num_items < 1:
        raise ValueError(f"task {name!r}: num_items is {num_items}; allowed: at least 1")
    questions = list(find(documents))
    by_group: dict[tuple[object, ...], list[Question]] = defaultdict(list)
    for question in questions:
        by_group[question.group].append(question)
    for group in by_group.values():
        group.sort(key=lambda question: len(question.truth))
    most_per_document = max(1, math.ceil(2 * num_items / max(1, len(documents))))
    taken: dict[int, list[Question]] = defaultdict(list)
    items: dict[str, Item] = {}
    for question in sorted(questions, key=lambda q: _rank(q, random_seed)):
        item_id = content_id(name, question.context, question.truth)
        others = taken[question.document]
        if len(items) == num_items or item_id in items or len(others) == most_per_document:
            continue
        if any(question.begin < other.end and other.begin < question.end for other in others):
            continue
        draw = random.Random(f"{kind}-{random_seed}-{item_id}")
        if kind == "arithmetic-answer":
            wrong = _wrong_numbers(question, draw)
        else:
            wrong = _wrong_texts(question, by_group[question.group], documents, draw)
        if wrong is not None:
            items[item_id] = _item(item_id, question, wrong, draw)
            others.append(question)
    if len(items) < min(num_items, MIN_ITEMS):
        raise ValueError(
            f"task {name!r}: only {len(items)} {kind} items can be made from the {len(documents)} held-out "
            f"documents of source {source!r}; allowed: at least {min(num_items, MIN_ITEMS)}. It needs more "
            "held-out documents, or another kind"
        )
    return Benchmark(name, "choice", source, "acc", list(items.values()))


def _rank(question: Question, random_seed: int) -> bytes:
    """A place's rank by its content, which other documents do not change."""
    text = f"{random_seed}\0{question.context}\0{question.truth}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _item(item_id: str, question: Question, wrong: list[str], draw: random.Random) -> Item:
    answer = draw.randrange(NUM_CHOICES)
    choices = list(wrong)
    choices.insert(answer, question.truth)
    return {"id": item_id, "context": question.context, "choices": choices, "answer": answer}


def _wrong_texts(
    question: Question, alike: list[Question], documents: Sequence[str], draw: random.Random
) -> list[str] | None:
    """Three other truths of the group (sorted by length): r shorter ones and 3 - r longer ones, r uniform.

    None where any r would lack candidates: the rest would otherwise tell by their lengths.
    """
    length = len(question.truth)
    slack = max(2, length // 5)
    lengths = [len(other.truth) for other in alike]
    low, high = bisect.bisect_left(lengths, length - slack), bisect.bisect_right(lengths, length + slack)
    begin, end = bisect.bisect_left(lengths, length), bisect.bisect_right(lengths, length)
    wrong: list[str] = []
    for places, wanted in ((range(low, begin), NUM_CHOICES - 1), (range(end, high), 2 * NUM_CHOICES - 2)):
        for place in draw.sample(places, min(len(places), 60)):
            if len(wrong) < wanted and _is_wrong(alike[place], question, wrong, documents):
                wrong.append(alike[place].truth)
        if len(wrong) < wanted:
            return None
    num_shorter = draw.randrange(NUM_CHOICES)
    chosen = wrong[:num_shorter] + wrong[NUM_CHOICES - 1 + num_shorter :]
    draw.shuffle(chosen)
    return chosen


def _is_wrong(other: Question, question: Question, wrong: list[str], documents: Sequence[str]) -> bool:
    """From another document, no form of a choice that is there, not said in the question's own."""
    word, taken = other.truth.strip(), [text.strip() for text in (question.truth, *wrong)]
    if other.document == question.document or any(word.startswith(t) or t.startswith(word) for t in taken):
        return False
    said = documents[question.document] if "\n" in other.truth else question.context
    return word not in said


def _wrong_numbers(question: Question, draw: random.Random) -> list[str] | None:
    """The other corners of a square with the truth at one: 1 and 10 off (1 and 2 where it is below 11)."""
    number = int(question.truth)
    far = 10 if number >= 11 else 2
    if number < 1 + far:
        return None
    near_step, far_step = draw.choice((-1, 1)), far * draw.choice((-1, 1))
    wrong = [f" {number + step}" for step in (near_step, far_step, near_step + far_step)]
    draw.shuffle(wrong)
    return wrong


def _lines(documents: Sequence[str]) -> Iterator[Question]:
    for index, document in enumerate(documents):
        lines = document.split("\n")
        starts = [0, *itertools.accumulate(len(line) + 1 for line in lines)]
        for place in range(
            4, len(lines) - 1
        ):  # never the last line: the document may have been cut within it
            line = lines[place]
            code = line.strip()
            if not 12 <= len(code) <= 90 or line != line.rstrip() or code[0] in "#\"'":
                continue
            if sum(letter.isalpha() for letter in code) < len(code) / 2:
                continue
            first = max(0, place - CONTEXT_LINES)
            before = "\n".join(lines[first:place])
            context = before.rstrip()
            if context.strip().count("\n") < 2:
                continue
            gap = before[len(context) :] + "\n"
            if gap.strip("\n"):
                continue  # a line of blanks: the choices would begin with it
            indent = line[: len(line) - len(code)]
            span = starts[first], starts[place] + len(line)
            yield Question(index, *span, context, gap + line, (indent, len(gap)))


def _words(documents: Sequence[str]) -> Iterator[Question]:
    counts = Counter(word for document in documents for word in WORD.findall(document))
    common = {word for word, _ in counts.most_common(len(counts) // 100)}  # mostly words of grammar
    for index, document in enumerate(documents):
        for sentence in SENTENCE.finditer(document):
            words = [
                w for w in WORD.finditer(document, sentence.start(), sentence.end()) if w[0] not in common
            ]
            if not words or words[-1].start() - sentence.start() < 30:
                continue
            at = words[-1].start() - 1
            context = _from_a_boundary(document[:at])
            if context and not context[-1].isspace() and counts[words[-1][0]] > 1:
                band = int(math.log2(counts[words[-1][0]])) // 2
                span = at - len(context), words[-1].end()
                yield Question(index, *span, context, " " + words[-1][0], (band,))


def _from_a_boundary(text: str) -> str:
    """At most the last 240 characters, beginning with a paragraph, a line or a word."""
    tail = text[-CONTEXT_CHARACTERS:]
    if len(tail) == len(text):
        return text.lstrip()
    for boundary in ("\n\n", "\n", " "):
        head, found, rest = tail.partition(boundary)
        if found and len(head) < CONTEXT_CHARACTERS // 2:
            return rest.lstrip()
    return tail


def _results(documents: Sequence[str]) -> Iterator[Question]:
    for index, document in enumerate(documents):
        answer = ANSWER_LINE.search(document)
        if answer is None:
            continue
        # The line before may hold the result (`Work: 12 + 5 = 17`): the cut is before its first mention.
        worked = re.search(rf"=(?= {answer[1]}\b)", document)
        cut = worked.end() if worked else answer.start(1)
        yield Question(index, 0, len(document), document[:cut].rstrip(), f" {answer[1]}", ())


FINDERS: dict[str, Callable[[Sequence[str]], Iterator[Question]]] = {
    "next-line": _lines,
    "cloze": _words,
    "arithmetic-answer": _results,
}
