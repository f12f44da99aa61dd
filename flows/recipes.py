"""Recipes: experiments as YAML files, with overrides, refused with one clear message where they are wrong."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from flows.settings import Experiment
from tasks.method import TaggedSettings

INSTEAD_OF = {
    "budget.tokens": "minutes",
    "budget.minutes": "tokens",
}  # a setting -> that which it takes the place of
MOST_VALUES = 100_000
SHIPPED = Path(__file__).with_name("recipes")


def shipped_recipes() -> dict[str, Path]:
    """The recipes that come with the project, by name."""
    return {path.stem: path for path in sorted(SHIPPED.glob("*.yaml"))}


def load_recipe(recipe: str, overrides: list[str] | tuple[str, ...] = ()) -> Experiment:
    """The experiment of a YAML file (or a shipped recipe's name), with overrides like `mixture.epoch_cap=2`.

    Raises ValueError naming file, field, value and what is allowed.
    """
    path = shipped_recipes().get(recipe, Path(recipe))
    content = _read_yaml(path)
    for override in overrides:
        apply_override(content, override)
    _check_budget(content, path, overrides)
    try:
        return Experiment.model_validate(content)
    except ValidationError as error:
        raise ValueError(f"{path}: " + "; ".join(_explain(detail) for detail in error.errors())) from error


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = _yaml(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise ValueError(
            f"{path}: no such recipe; allowed: a YAML file, or one of {', '.join(shipped_recipes())}"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: cannot be read as text: {error}") from error
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    _check_size(content, path)
    if content is None:
        raise ValueError(
            f"{path}: holds nothing but comments or blanks; allowed: settings, as `name: value` lines"
        )
    if not isinstance(content, dict):
        raise ValueError(f"{path}: holds {type(content).__name__}; allowed: settings, as `name: value` lines")
    return content


class _NamesOnce(yaml.SafeLoader):
    """Refuses a name that stands twice in a mapping, of which YAML's own loader would keep the last."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        lines: dict[tuple[str, str], int] = {}
        for name, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if not isinstance(name, yaml.ScalarNode):
                continue
            key = (name.tag, name.value)
            if key in lines:
                first = f"{name.value!r} stands twice, first in line {lines[key]}"
                raise yaml.constructor.ConstructorError(None, None, first, name.start_mark)
            lines[key] = name.start_mark.line + 1
        return super().construct_mapping(node, deep)


def _yaml(text: str) -> Any:
    try:
        return yaml.load(text, _NamesOnce)
    except RecursionError as error:
        raise yaml.YAMLError("nested too deeply to be read") from error


def _check_size(content: Any, path: Path) -> None:
    """Raises ValueError where aliases (`*name`) make more values of a recipe than anybody writes."""
    count, left = 0, [content]
    while left:
        value = left.pop()
        count += 1
        if count > MOST_VALUES:
            raise ValueError(
                f"{path}: more than {MOST_VALUES:,} values; allowed: fewer, aliases counted each time"
            )
        left += value if isinstance(value, list) else value.values() if isinstance(value, dict) else ()


def apply_override(content: dict[str, Any], override: str) -> None:
    """Set one value: `a.b=c`, or `a.0.b=c` inside a list; c is read as YAML."""
    path, separator, text = override.partition("=")
    if not separator or not path.strip():
        raise ValueError(f"-o {override!r}: allowed: setting.name=value, for example -o mixture.epoch_cap=2")
    try:
        value = _yaml(text)
    except yaml.YAMLError as error:
        raise ValueError(
            f"-o {override!r}: the value is not valid YAML: {' '.join(str(error).split())}"
        ) from error
    *parents, last = path.strip().split(".")
    place: Any = content
    for depth, name in enumerate(parents):
        if isinstance(place, list):
            place = place[_position(place, name, override)]
            continue
        following = place.setdefault(name, {})
        if following is None:
            following = place[name] = {}
        if not isinstance(following, dict | list):
            raise ValueError(
                f"-o {override!r}: {'.'.join(parents[: depth + 1])} is a value and holds no settings"
            )
        place = following
    if isinstance(place, list):
        place[_position(place, last, override)] = value
    else:
        place[last] = value
        place.pop(INSTEAD_OF.get(path.strip(), ""), None)


def _check_budget(content: dict[str, Any], path: Path, overrides: Sequence[str]) -> None:
    """Raises ValueError where tokens and minutes are both asked for, in the file or by overrides."""
    budget = content.get("budget")
    given = [name for name in INSTEAD_OF if any(one.partition("=")[0].strip() == name for one in overrides)]
    both = isinstance(budget, dict) and all(budget.get(name) is not None for name in ("tokens", "minutes"))
    if both or len(given) > 1:
        raise ValueError(f"{path}: budget.tokens and budget.minutes are both given; allowed: one of them")


def _position(place: list, name: str, override: str) -> int:
    if not name.isdigit() or int(name) >= len(place):
        raise ValueError(f"-o {override!r}: {name!r} is no position; allowed: 0 to {len(place) - 1}")
    return int(name)


def _explain(detail: Any) -> str:
    """One sentence for one thing that pydantic refuses."""
    location = _without_tags([str(part) for part in detail["loc"]])
    where = ".".join(location) or "experiment"
    if detail["type"] == "extra_forbidden" and (renamed := _renamed(location)):
        return f"{where}: is called {renamed} now"
    if detail["type"] == "extra_forbidden":
        allowed = _fields_at(location[:-1])
        near = difflib.get_close_matches(location[-1], allowed, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        return f"{where}: no such setting{hint}; allowed: {', '.join(allowed)}"
    message = detail["msg"].removeprefix("Value error, ")
    given = detail.get("input")
    is_secret = location[-1:] in (["mlflow_uri"], ["base_url"])  # may hold what must not be printed
    shown = (
        f" (given: {given!r})" if isinstance(given, str | int | float | bool | None) and not is_secret else ""
    )
    return f"{where}: {message}{shown}"


def _renamed(location: list[str]) -> str | None:
    """The name that a setting of earlier versions has now."""
    if location[-1:] == ["seed"]:
        return "random_seed"
    return "specialisation_check" if location == ["experts", "gate"] else None


def _without_tags(location: list[str]) -> list[str]:
    """A place in the settings as a user writes it: pydantic puts a method's (or family's) name before its settings."""
    model: Any = Experiment
    kept: list[str] = []
    for part in location:
        models = models_of(model)
        tagged = {m.tag_value(): m for m in models if issubclass(m, TaggedSettings)}
        if part in tagged:
            model = tagged[part]
            continue
        kept.append(part)
        found = [m.model_fields[part].annotation for m in models if part in m.model_fields]
        model = found[0] if found else model
    return kept


def models_of(annotation: Any) -> list[type[BaseModel]]:
    """The settings models that a field may hold, through unions, tuples and what annotates them."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in getattr(annotation, "__args__", ()) for model in models_of(argument)]


def _fields_at(location: list[str]) -> list[str]:
    """The settings that may stand there, of all methods where it depends on the method."""
    models: list[type[BaseModel]] = [Experiment]
    for part in location:
        if not part.isdigit():
            models = models_of(
                next(m.model_fields[part].annotation for m in models if part in m.model_fields)
            )
    return list(dict.fromkeys(field for model in models for field in model.model_fields))
