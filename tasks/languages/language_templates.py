"""Templates by language, from YAML: how an item is said in a language, and who translated that.

written_by: human | machine
en: {cause: "{premise} because {choice}", effect: "{premise} so {choice}"}
de: {written_by: human, text: "{premise} Richtig? {choice}, {hypothesis}", labels: [Ja, Auch, Nein]}
"""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tasks.languages.cloze_forms import ClozeForm
from tasks.languages.parallel_items import ParallelItem
from tasks.sources.language_checks import check_script
from tasks.sources.language_codes import checked_code

WRITERS = ("human", "machine")
CHOICE = "choice"
HERE = Path(__file__).parent


@dataclass(frozen=True)
class LanguageTemplate:
    """How items are said in one language. labels: words for the choices, where items have none of their own."""

    language: str
    written_by: str
    texts: Mapping[str, str]
    labels: tuple[str, ...]

    def said(self, item: ParallelItem) -> tuple[str, ...]:
        """The item with each of its choices."""
        words = item.choices or self.labels
        return tuple(self.texts[item.variant].format(**item.fields, choice=word) for word in words)

    def told(self) -> dict[str, Any]:
        return {"written_by": self.written_by, **self.texts} | (
            {"labels": list(self.labels)} if self.labels else {}
        )


def read_templates(path: Path | None, form: ClozeForm) -> dict[str, LanguageTemplate]:
    """Language -> template; those that come with the form where no path is given.

    Raises ValueError naming language and field for a template without what the form needs, or with what it has not.
    """
    shown = str(path) if path is not None else f"the templates of {form.name}"
    try:
        told = yaml.safe_load((path or HERE / f"{form.name}.yaml").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ValueError(
            f"languages.templates: {shown}: cannot be read: {str(error).splitlines()[0]}"
        ) from error
    if not isinstance(told, dict):
        raise ValueError(f"languages.templates: {shown}: holds no templates; allowed: a mapping by language")
    general = told.pop("written_by", None)
    found = {}
    for language, own in told.items():
        where = f"languages.templates: {shown}: {language}"
        code = checked_code(str({False: "no"}.get(language, language)), where)  # YAML reads `no` as false
        if not isinstance(own, dict):
            raise ValueError(f"{where}: holds {own!r}; allowed: {', '.join(form.variants)}")
        found[code] = _template(code, {"written_by": general, **own}, form, where)
    return found


def _template(code: str, own: Mapping[str, Any], form: ClozeForm, where: str) -> LanguageTemplate:
    if own["written_by"] not in WRITERS:
        raise ValueError(f"{where}: written_by is {own['written_by']!r}; allowed: {', '.join(WRITERS)}")
    known = {"written_by", *form.variants, *(("labels",) if form.labels else ())}
    if unknown := sorted(set(own) - known):
        raise ValueError(f"{where}: {', '.join(map(str, unknown))}: allowed: {', '.join(sorted(known))}")
    texts = {}
    for variant in form.variants:
        text = own.get(variant)
        if not isinstance(text, str):
            raise ValueError(f"{where}: no template {variant!r}; needed: {', '.join(form.variants)}")
        _check_fields(text, (*form.fields, CHOICE), f"{where}: {variant}")
        texts[variant] = text
    words = [word for text in texts.values() for word, *_ in string.Formatter().parse(text)]
    labels = own.get("labels") or []
    is_list = isinstance(labels, list) and all(isinstance(label, str) for label in labels)
    if not is_list or len(set(labels)) != form.labels or len(labels) != form.labels:
        raise ValueError(
            f"{where}: labels are {labels!r}; needed: {form.labels} words that differ, in quotes where YAML takes them "
            "for something else, as Yes and No"
        )
    check_script([*words, *labels], code, where)
    return LanguageTemplate(code, own["written_by"], texts, tuple(labels))


def _check_fields(text: str, needed: Sequence[str], where: str) -> None:
    try:
        parts = [part for part in string.Formatter().parse(text) if part[1] is not None]
    except ValueError as error:
        raise ValueError(f"{where}: {text!r}: {error}") from error
    held = {field for _, field, _, _ in parts if field is not None}
    if any(spec or conversion for _, _, spec, conversion in parts):
        raise ValueError(f"{where}: {text!r}: allowed: fields by their names alone, without ':' or '!'")
    if missing := [field for field in needed if field not in held]:
        raise ValueError(f"{where}: {text!r} is without {{{'}, {'.join(missing)}}}, which it must say")
    if unknown := sorted(held - set(needed)):
        raise ValueError(
            f"{where}: {text!r} says {{{'}, {'.join(unknown)}}}; allowed: {{{'}, {'.join(needed)}}}"
        )
