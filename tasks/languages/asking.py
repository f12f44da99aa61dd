"""A model asked a cube, and what came of it: tables for readers, one row an answer, and the page."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.languages.cube import Cube
from tasks.languages.cube_results import results, sentences

if TYPE_CHECKING:
    from tasks.evaluation.model_reading import Reading
    from tasks.evaluation.named_models import GivenModel
    from tasks.languages.cube_scoring import Answered, Speed

ANSWERS, TABLES = "answers.parquet", "cube.json"


@dataclass(frozen=True)
class Asked:
    """told: JSON values: cells, gains, gaps, best, chance, size, speed, templates, and the answer in sentences."""

    told: dict[str, Any]
    answers: Sequence[Answered]


def ask(
    model: Any,
    tokenizer: Any,
    name: str,
    cube: Cube,
    reading: Reading,
    max_length: int | None = None,
    fraction: Callable[[float], None] = lambda done: None,
) -> Asked:
    """Raises ValueError as `score_cube` does."""
    from tasks.languages.cube_scoring import score_cube

    answers, speed = score_cube(model, tokenizer, cube, reading, max_length, fraction)
    found = results(cube, answers)
    settings = cube.settings
    said = sentences(name, settings.form, found, settings.high_resource)
    told = {
        "model": name,
        "form": settings.form,
        "high_resource": settings.high_resource,
        **found,
        "size": cube.size(),
        "templates": {code: template.told() for code, template in cube.templates.items()},
        "speed": {**asdict(speed), "line": speed_line(speed)},
        "answer": said,
    }
    return Asked(told, answers)


def ask_given(given: GivenModel, cube: Cube, reading: Reading, max_length: int | None) -> Asked:
    """The same of a model as commands take it."""
    from accelerate import PartialState

    import models
    from tasks.side_by_side import own_cores
    from tasks.sources.tokenization import load_tokenizer

    with own_cores():
        model = models.load_causal_lm(given.place).to(PartialState().device)
        return ask(model, load_tokenizer(given.tokenizer), given.name, cube, reading, max_length)


def speed_line(speed: Speed) -> str:
    """ "412 items/s, each block of demonstrations read once; 98 items/s read whole (24 items, within 3e-6 nats)"."""
    said = f"{_rate(speed.items_per_second)} items/s"
    if speed.plain_items_per_second is None:
        return f"{said}; nothing was read whole to compare"
    return (
        f"{said}, what texts begin with alike read once; {_rate(speed.plain_items_per_second)} items/s read whole "
        f"({speed.checked} items, margins within {speed.most_nats:.1e} nats)"
    )


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"


def write_answers(folder: Path, found: Asked) -> None:
    """One row an answer: template, demonstrations, test, shots, set, item, margin in nats, right; and the tables."""
    import pandas as pd

    rows = [
        {**one.cell._asdict(), "item": one.key, "margin": one.margin, "right": one.right}
        for one in found.answers
    ]
    pd.DataFrame(rows).to_parquet(folder / ANSWERS, index=False)
    (folder / TABLES).write_text(json.dumps(found.told, indent=1, ensure_ascii=False), encoding="utf-8")


def write_results(out: Path, name: str, cube: Cube, found: Asked) -> list[str]:
    """All files of one model into a folder; their paths. Raises ValueError where it cannot be written."""
    from tasks.languages.languages_page import write_languages_page

    try:
        out.mkdir(parents=True, exist_ok=True)
        write_answers(out, found)
        write_languages_page(out / "cube.html", name, [found.told])
    except OSError as error:
        raise ValueError(f"--out {out}: cannot be written: {error.strerror or error}") from error
    return [str(out / file) for file in (TABLES, ANSWERS, "cube.html")]


def answering_of(given: GivenModel, new_tokens: int) -> Callable[[Sequence[str]], list[str]]:
    """Prompts -> the model's likeliest continuations. Raises ValueError where the tokenizer does not fit the model."""
    from accelerate import PartialState

    import models
    from tasks.evaluation.continuing import respond
    from tasks.evaluation.harness_model import check_model
    from tasks.sources.tokenization import load_tokenizer

    model = models.load_causal_lm(given.place).to(PartialState().device)
    tokenizer = load_tokenizer(given.tokenizer)
    check_model(model, tokenizer, None)
    return lambda prompts: respond(model, tokenizer, list(prompts), new_tokens)
