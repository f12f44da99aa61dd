"""What a method says of itself, once; its settings as one union, its checks and its reference page follow from that.

A kind of method (mixture methods, laws, compositions, ...) is a tuple of declarations. To add one is a file with its
declaration and a line in that tuple.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Protocol, TypeVar, Union

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Tag


class TaggedSettings(BaseModel):
    """Settings of one of several: it has a field, called as `tag` says, whose only value is the one's name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tag: ClassVar[str]

    @classmethod
    def tag_value(cls) -> str:
        """The name of what the settings are of."""
        return cls.model_fields[cls.tag].default


class MethodSettings(TaggedSettings):
    """Settings of one method: it has a field `method` whose only value is the method's name."""

    tag: ClassVar[str] = "method"

    method: str


@dataclass(frozen=True)
class Method:
    """A method: its settings model, what it is called on pages, one line on what it does, and where it is from.

    paper: authors, year, arXiv number and equation or algorithm; empty: nobody's. equation: what it computes, as text.
    """

    settings: type[TaggedSettings]
    title: str
    line: str
    paper: str = ""
    equation: str = ""

    @property
    def name(self) -> str:
        """As recipes and commands call it."""
        return self.settings.tag_value()

    def own_settings(self, common: type[TaggedSettings] = MethodSettings) -> list[str]:
        """Names of the settings that it has beside those of `common`."""
        return [name for name in self.settings.model_fields if name not in common.model_fields]

    def configured(self, **given: Any) -> Any:
        """Its settings where nothing is set but what is given."""
        return self.settings.model_validate(given)


class Declared(Protocol):
    """What stands in a list of declarations, a method or another: it has a name and a line."""

    @property
    def name(self) -> str: ...

    @property
    def line(self) -> str: ...


AnyDeclared = TypeVar("AnyDeclared", bound=Declared)


def listed(namespace: Mapping[str, Any], attribute: str) -> tuple[Any, ...]:
    """What the modules that a namespace has imported declare under that name, in the order of the imports.

    So the import of a method's file is its line in the list.
    """
    return tuple(getattr(value, attribute) for value in namespace.values() if hasattr(value, attribute))


def by_name(methods: Sequence[AnyDeclared]) -> dict[str, AnyDeclared]:
    """The methods by name, in their order; AssertionError where a name stands twice."""
    named = {method.name: method for method in methods}
    assert len(named) == len(methods), f"a name stands twice among {[m.name for m in methods]}"
    return named


def lines(methods: Sequence[Declared]) -> str:
    """The methods as help texts list them: name and line of each."""
    return "; ".join(f"{method.name}: {method.line}" for method in methods)


def settings_of(methods: Sequence[Method], default: str) -> Any:
    """The type of settings that are those of one of the methods, told apart by their tag; without it, `default`.

    A setting that another of the methods has is refused by naming those; an unknown method by naming all.
    """
    models = {name: method.settings for name, method in by_name(methods).items()}
    tag = models[default].tag

    def chosen(given: Any) -> str:
        return str(given.get(tag, default) if isinstance(given, dict) else getattr(given, tag, ""))

    def check(given: Any) -> Any:
        if not isinstance(given, dict | TaggedSettings):
            raise ValueError(f"holds {given!r}; allowed: settings, {tag} among them: {', '.join(models)}")
        if not isinstance(given, dict):
            return given
        name = chosen(given)
        if name not in models:
            near = difflib.get_close_matches(name, models, n=1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            raise ValueError(f"{tag}={name!r}: no such {tag}{hint}; allowed: {', '.join(models)}")
        kept = dict(given)
        for field in sorted(given.keys() - models[name].model_fields.keys()):
            owners = {other: m.model_fields[field] for other, m in models.items() if field in m.model_fields}
            if owners and any(
                given[field] == owner.get_default(call_default_factory=True) for owner in owners.values()
            ):
                del kept[field]  # as good as not given
            elif owners:
                raise ValueError(
                    f"{field}={given[field]} has no effect with {tag} {name!r}; allowed: with "
                    + " or ".join(repr(owner) for owner in owners)
                )
        return kept

    tagged = tuple(Annotated[model, Tag(name)] for name, model in models.items())
    return Annotated[Union[tagged], Discriminator(chosen), BeforeValidator(check)]  # noqa: UP007
