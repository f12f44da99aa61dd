"""Benchmark files: a folder of JSONL files, one task a file, its shape recognised by the fields of its rows.

    choices + answer_idx, with question, context, premise or sentence   choice (cloze: a sentence with a _)
    sentence_good + sentence_bad                                        choice between whole sentences
    question + answer, without choices                                  answer (booleans: choice, yes or no)
    context + target                                                    answer: the words that come next

A file of whose first rows none has a known shape (fields and their types, see `benchmark_shapes`) is skipped with
a warning; one of a known shape with broken rows, or rows of two shapes, is refused.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path

from tasks.benchmarks.items import Benchmark, Item, content_id, content_share, item_text, lowest_by_content
from tasks.benchmarks.shapes import (
    LOOKED_FOR,
    PROMPT_FIELDS,
    Row,
    Shape,
    described_fields,
    shape_by_fields,
    typical_row,
)
from tasks.tables.file_names import named_files, suffixes
from tasks.tables.json_lines import read_json_lines

FRONT_FIELDS = ("passage", "support")
MAX_NAME_CHARACTERS = 80
CONNECTIVES = {"cause": "because", "effect": "so"}
BLANK = re.compile(r"(?<![A-Za-z0-9_])_+(?![A-Za-z0-9_])")


def read_benchmark_folder(folder: Path, max_items: int | None = None) -> tuple[list[Benchmark], list[str]]:
    """The tasks of a folder, named for their files and sorted, and a warning for each file that was skipped.

    `max_items` caps the items a task, chosen by content, so that the same ones stay when items are added.
    Raises ValueError for a folder that is missing or holds no task, for two files that get the same name and,
    with file and line, for a broken row.
    """
    benchmarks, warnings = [], []
    for name, path in named_files(folder, "evaluation.folder", MAX_NAME_CHARACTERS).items():
        rows = list(read_json_lines(path))
        typical = typical_row([row for _, row in rows])
        if typical is not None:
            benchmarks.append(_read_benchmark(path, name, rows, typical, max_items))
        elif rows:
            warnings.append(
                f"{path.name}: skipped: its rows have no known shape; looked for: {LOOKED_FOR}; "
                f"found: {described_fields(rows[0][1])}"
            )
        else:
            warnings.append(f"{path.name}: skipped: it has no rows")
    if not benchmarks:
        why = "; ".join(warnings) or f"no {suffixes()} files"
        raise ValueError(f"evaluation.folder={folder}: holds no benchmark: {why}")
    return benchmarks, warnings


def _read_benchmark(
    path: Path, name: str, rows: list[tuple[int, Row]], typical: Row, max_items: int | None
) -> Benchmark:
    shape = shape_by_fields(typical)
    yes_no = shape == "question-answer" and isinstance(typical["answer"], bool)
    build, kind = {
        "choices": (_choice, "choice"),
        "minimal-pair": (_minimal_pair, "choice"),
        "question-answer": (_yes_no, "choice") if yes_no else (_answer, "answer"),
        "next-words": (_next_words, "answer"),
    }[shape or ""]
    if shape == "choices" and all(_has_cloze(row) for _, row in rows):
        build, kind = _cloze, "cloze"
    items, taken = [], set()
    for number, row in rows:
        try:
            item = _checked(build, row, shape)
        except ValueError as error:
            raise ValueError(f"{path}:{number}: {error}") from error
        given = row.get("id")
        item_id = _clean(str(given)) if isinstance(given, str | int) else ""
        item_id = "" if item_id in taken else item_id
        item_id = item_id or content_id(name, item_text(kind, item), str(number) if given is not None else "")
        if item_id not in taken:  # a row without id that stands twice is one item
            taken.add(item_id)
            items.append({"id": item_id, **item})
    kept = lowest_by_content([item_text(kind, item) for item in items], max_items)
    return Benchmark(name, kind, None, "acc", [items[i] for i in kept])


def _checked(build: Callable[[Row], Item], row: Row, shape: Shape | None) -> Item:
    found = shape_by_fields(row)
    if found != shape:
        raise ValueError(
            f"a row of shape {found or 'unknown'} in a file of shape {shape}; its fields: {sorted(row)}"
        )
    return build(row)


def _string(row: Row, field: str) -> str:
    """A field's text; empty where an optional field is absent or null."""
    value = row.get(field)
    if value is None and field in (*FRONT_FIELDS, "lang"):
        return ""
    if not isinstance(value, str):
        raise ValueError(f"{field} is {json.dumps(value)[:80]}; allowed: a string")
    return _clean(value)


def _clean(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")  # lone surrogates from JSON escapes


def _choices(row: Row) -> tuple[list[str], int]:
    choices, answer = row["choices"], row["answer_idx"]
    if not isinstance(choices, list) or len(choices) < 2:
        raise ValueError(f"choices is {json.dumps(choices)[:80]}; allowed: a list of at least two strings")
    if not all(isinstance(choice, str) and choice.strip() for choice in choices):
        raise ValueError(f"choices is {json.dumps(choices)[:200]}; allowed: strings that are not empty")
    if not isinstance(answer, int) or isinstance(answer, bool) or not 0 <= answer < len(choices):
        raise ValueError(f"answer_idx is {json.dumps(answer)[:80]}; allowed: 0 to {len(choices) - 1}")
    return [_clean(choice).strip() for choice in choices], answer


def _spaced(context: str, continuation: str) -> str:
    return continuation if not context or context[-1].isspace() else " " + continuation


def _joined(*parts: str) -> str:
    return " ".join(part.strip() for part in parts if part.strip())


def _front_and_prompt(row: Row) -> tuple[str, str, str]:
    """(text in front, prompt, field of the prompt); what stands beside a question goes in front."""
    prompt_field = next(field for field in PROMPT_FIELDS if field in row)
    others = [field for field in PROMPT_FIELDS if field in row and field != prompt_field]
    front = [_string(row, field).strip() for field in (*FRONT_FIELDS, *others) if field in row]
    prompt = _string(row, prompt_field).strip()
    if not prompt:
        raise ValueError(f"{prompt_field} is empty; allowed: a string with text")
    return "\n\n".join(part for part in front if part), prompt, prompt_field


def _question_context(front: str, question: str) -> str:
    return (front + "\n\n" if front else "") + f"Question: {question}\nAnswer:"


def _choice(row: Row) -> Item:
    choices, answer = _choices(row)
    if "premise" in row and row.get("question") in CONNECTIVES:
        return _cause_or_effect(row, choices, answer)
    front, prompt, prompt_field = _front_and_prompt(row)
    if prompt_field == "question":
        context = _question_context(front, prompt)
        text = _joined(front, prompt, choices[answer])
        return {"context": context, "choices": [" " + c for c in choices], "answer": answer, "text": text}
    context = (front + "\n\n" if front else "") + prompt
    if prompt_field == "sentence" and (blank := BLANK.search(context)):
        head, tail = context[: blank.start()].rstrip(), context[blank.end() :]
        filled = [_spaced(head, choice + choice.join(BLANK.split(tail))) for choice in choices]
        return {"context": head, "choices": filled, "answer": answer}
    return {"context": context, "choices": [_spaced(context, choice) for choice in choices], "answer": answer}


def _cause_or_effect(row: Row, choices: list[str], answer: int) -> Item:
    premise = _string(row, "premise").strip()
    if _string(row, "lang") not in ("", "en"):
        return {"context": premise, "choices": [_spaced(premise, c) for c in choices], "answer": answer}
    context = f"{premise.rstrip('.')} {CONNECTIVES[row['question']]}"
    continued = [" " + _inside_a_sentence(choice) for choice in choices]
    return {
        "context": context,
        "choices": continued,
        "answer": answer,
        "text": _joined(premise, choices[answer]),
    }


def _inside_a_sentence(text: str) -> str:
    return text if re.match(r"I\b", text) else text[0].lower() + text[1:]


def _has_cloze(row: Row) -> bool:
    """Whether the prompt is a sentence with one blank and text after it, which can be scored alone."""
    sentence = row.get("sentence")
    if not isinstance(sentence, str) or "choices" not in row or any(f in row for f in PROMPT_FIELDS[:3]):
        return False
    blanks = list(BLANK.finditer(sentence))
    return len(blanks) == 1 and bool(sentence[blanks[0].end() :].strip())


def _cloze(row: Row) -> Item:
    choices, answer = _choices(row)
    front, sentence, _ = _front_and_prompt(row)
    blank = BLANK.search(sentence)
    assert blank is not None
    head = (front + "\n\n" if front else "") + sentence[: blank.start()]
    return {
        "contexts": [head + choice for choice in choices],
        "continuation": sentence[blank.end() :],
        "answer": answer,
    }


def _minimal_pair(row: Row) -> Item:
    good, bad = _string(row, "sentence_good").strip(), _string(row, "sentence_bad").strip()
    if not good or not bad:
        raise ValueError("sentence_good or sentence_bad is empty; allowed: strings with text")
    # The good one's place varies with its text: a model to which all is equally likely must score one half.
    answer = int(content_share(good, "place") < 0.5)
    return {"context": "", "choices": [bad, good] if answer else [good, bad], "answer": answer, "text": good}


def _yes_no(row: Row) -> Item:
    if not isinstance(row["answer"], bool):
        raise ValueError(
            f"answer is {json.dumps(row['answer'])[:80]}; allowed: true or false, as in other rows"
        )
    front, question, _ = _front_and_prompt(row)
    choices = [" yes", " no"]
    answer = 0 if row["answer"] else 1
    context = _question_context(front, question)
    return {
        "context": context,
        "choices": choices,
        "answer": answer,
        "text": _joined(front, question, choices[answer]),
    }


def _answer(row: Row) -> Item:
    front, question, _ = _front_and_prompt(row)
    gold = _answer_text(row["answer"])
    aliases = row.get("aliases") or []
    if not isinstance(aliases, list) or not all(isinstance(alias, str) for alias in aliases):
        raise ValueError(f"aliases is {json.dumps(aliases)[:80]}; allowed: a list of strings")
    accepted = dict.fromkeys([gold, *(_clean(alias).strip() for alias in aliases if alias.strip())])
    return {
        "context": _question_context(front, question),
        "answers": [" " + answer for answer in accepted],
        "text": _joined(front, question, gold),
    }


def _answer_text(value: object) -> str:
    if isinstance(value, str) and value.strip():
        return _clean(value).strip()
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return str(int(value)) if value == int(value) else str(value)
    raise ValueError(f"answer is {json.dumps(value)[:80]}; allowed: a string with text or a number")


def _next_words(row: Row) -> Item:
    context, target = _string(row, "context").rstrip(), _string(row, "target").strip()
    if not target or not context:
        raise ValueError("context or target is empty; allowed: strings with text")
    return {"context": context, "answers": [" " + target]}
