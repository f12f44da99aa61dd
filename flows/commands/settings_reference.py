"""The reference page of all settings of a recipe, made from the settings models."""

from __future__ import annotations

import json
import re
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import annotated_types
import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from flows.recipes import models_of
from flows.settings import Experiment
from tasks.method import TaggedSettings

WORDS = {str: "text", int: "whole number", float: "number", bool: "yes or no", Path: "path", Any: "anything"}
BOUNDS = {
    annotated_types.Ge: ("ge", "at least {}"),
    annotated_types.Gt: ("gt", "above {}"),
    annotated_types.Le: ("le", "at most {}"),
    annotated_types.Lt: ("lt", "below {}"),
    annotated_types.MinLen: ("min_length", "length at least {}"),
    annotated_types.MaxLen: ("max_length", "length at most {}"),
}
HEADER = ("setting", "type", "default", "allowed", "what it is")
OPENING = """# Settings of a recipe

Every setting, by the path that `-o PATH=VALUE` takes; made from the declarations by `make docs`. In a list, `N` is a
position, from 0. *Empty* is `null` in YAML. A recipe that leaves a setting out has its default; the shipped recipes
set many of them otherwise.
"""


def settings_page() -> str:
    """The page, in the order of the settings models."""
    parts = [OPENING, _table("", Experiment, None, own_only=True)]
    for name, field in Experiment.model_fields.items():
        if models_of(field.annotation):
            parts += _of_field(name, field, default_of(field), 2)
    return "\n".join(parts).rstrip("\n") + "\n"


def declared() -> dict[str, FieldInfo]:
    """Every setting by its path; in a list without a position, of a method without the method's name."""
    found: dict[str, FieldInfo] = {}

    def walk(prefix: str, model: type[BaseModel]) -> None:
        for name, field in model.model_fields.items():
            path = f"{prefix}{name}"
            found.setdefault(path, field)
            for inner in models_of(field.annotation):
                walk(f"{path}.", inner)

    walk("", Experiment)
    return found


def settings_rows(
    model: type[BaseModel], names: list[str], prefix: str = "", given: Any = None, below: str = "see below"
) -> list[tuple]:
    """A row of the table for each of these settings.

    given: the value that holds them where nothing is set. below: what stands for settings inside.
    """
    rows = []
    for name in names:
        field = model.model_fields[name]
        default = default_of(field) if given is None else getattr(given, name, PydanticUndefined)
        value = below if isinstance(default, BaseModel) else shown(default)
        said = literal(field.description or "")
        rows.append((f"`{prefix}{name}`", _type(field.annotation), value, _bounds(field), said))
    return rows


def markdown_table(header: tuple[str, ...], rows: list[tuple]) -> str:
    """A table in Markdown; empty without rows."""
    if not rows:
        return ""
    cells = [header, ("---",) * len(header), *rows]
    return (
        "\n".join("| " + " | ".join(str(c).replace("|", "\\|") for c in row) + " |" for row in cells) + "\n"
    )


def literal(text: str) -> str:
    """A text in which Markdown finds no marks but backquotes."""
    parts = text.split("`")
    return "`".join(
        re.sub(r"([*<\\])", r"\\\1", part) if i % 2 == 0 else part for i, part in enumerate(parts)
    )


def default_of(field: FieldInfo) -> Any:
    return field.get_default(call_default_factory=True)


def shown(value: Any) -> str:
    """A default as YAML on one line."""
    if value is PydanticUndefined:
        return "*needed*"
    if value is None:
        return "*empty*"
    plain = _plain(value)
    if isinstance(plain, list) and len(plain) > 0 and all(isinstance(p, dict) and "name" in p for p in plain):
        return f"{len(plain)} entries: {', '.join(str(p['name']) for p in plain)}"
    text = yaml.safe_dump(plain, default_flow_style=True, sort_keys=False, width=10_000).strip()
    return f"`{text.removesuffix('...').strip()}`"


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return json.loads(value.model_dump_json(exclude_unset=True))
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    return str(value) if isinstance(value, Path) else value


def _of_field(path: str, field: FieldInfo, given: Any, depth: int) -> list[str]:
    """Headings and tables of the settings that a field holds."""
    heading = "#" * min(depth, 4)
    models = models_of(field.annotation)
    where = f"{path}.N" if _is_list(field.annotation) else path
    parts = [f"{heading} `{where}`\n\n{literal(field.description or '')}\n"]
    if all(issubclass(model, TaggedSettings) for model in models) and len(models) > 1:
        return parts + _of_methods(where, models, given, depth)
    model = models[0]
    value = given if isinstance(given, model) else None
    parts.append(_table(f"{where}.", model, value))
    for name, inner in model.model_fields.items():
        if models_of(inner.annotation):
            held = getattr(value, name) if value is not None else default_of(inner)
            parts += _of_field(f"{where}.{name}", inner, held, depth + 1)
    return parts


def _of_methods(path: str, models: list[type[BaseModel]], given: Any, depth: int) -> list[str]:
    """What all methods have, then what each has of its own; nothing where the page has said it already."""
    if path.endswith(".mixture"):
        return ["Settings as under `mixture`.\n"]
    tagged = [model for model in models if issubclass(model, TaggedSettings)]
    tag, names = tagged[0].tag, [model.tag_value() for model in tagged]
    common = [name for name in models[0].model_fields if all(name in model.model_fields for model in models)]
    chosen = getattr(given, tag, None) or "*needed*"
    parts = [
        f"`{path}.{tag}` is one of {', '.join(f'`{name}`' for name in names)}; default: {chosen}. "
        "What they are: [methods](methods.md). All of them have:\n",
        markdown_table(HEADER, settings_rows(models[0], [n for n in common if n != tag], f"{path}.")),
    ]
    for own, like in _alike(models, common):
        titles = ", ".join(f"`{model.tag_value()}`" for model in tagged if model in like)
        parts.append(f"{'#' * min(depth + 1, 4)} `{path}` with {tag} {titles}\n")
        parts.append(markdown_table(HEADER, settings_rows(like[0], own, f"{path}.")))
        for field in own:
            inner = like[0].model_fields[field]
            if models_of(inner.annotation):
                parts += _of_field(f"{path}.{field}", inner, default_of(inner), depth + 2)
    return parts


def _alike(models: list[type[BaseModel]], common: list[str]) -> list[tuple[list[str], list[type[BaseModel]]]]:
    """The methods that have settings of their own, those together that have the same: (settings, methods)."""
    found: dict[tuple, tuple[list[str], list[type[BaseModel]]]] = {}
    for model in models:
        own = [field for field in model.model_fields if field not in common]
        if own:
            found.setdefault(tuple(settings_rows(model, own)), (own, []))[1].append(model)
    return list(found.values())


def _table(prefix: str, model: type[BaseModel], given: Any, own_only: bool = False) -> str:
    names = [
        name
        for name, field in model.model_fields.items()
        if not (own_only and models_of(field.annotation) and default_of(field) is not None)
    ]
    return markdown_table(HEADER, settings_rows(model, names, prefix, given))


def _is_list(annotation: Any) -> bool:
    if typing.get_origin(annotation) in (tuple, list):
        return True
    return any(_is_list(argument) for argument in typing.get_args(annotation))


def _type(annotation: Any) -> str:
    """A type in words."""
    if annotation in WORDS:
        return WORDS[annotation]
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin in (typing.Union, types.UnionType):
        kinds = [_type(one) for one in arguments if one is not type(None)]
        return " or ".join(dict.fromkeys(kinds))
    if origin in (tuple, list):
        return f"list of {_type(arguments[0])}"
    if origin is dict:
        return f"{_type(arguments[0])} to {_type(arguments[1])}"
    if origin is typing.Annotated:
        return _type(arguments[0])
    return "settings"


def _bounds(field: FieldInfo) -> str:
    extra = field.json_schema_extra
    listed = extra.get("enum") if isinstance(extra, dict) else None
    if isinstance(listed, list):
        return ", ".join(f"`{value}`" for value in listed)
    return "; ".join(_said(field.metadata))


def _said(metadata: list[Any]) -> Iterator[str]:
    for one in metadata:
        for kind, (attribute, words) in BOUNDS.items():
            if isinstance(one, kind):
                yield words.format(f"{getattr(one, attribute):,}")
        pattern = getattr(one, "pattern", None)
        if pattern:
            yield f"pattern `{pattern}`"
