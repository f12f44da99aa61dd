"""Settings of the cube: template language x demonstration language x test language."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from storage.trusted import PLACE
from tasks.sources.language_codes import checked_code

OWN = "own"


class DemonstrationFile(BaseModel):
    """Items to demonstrate with that stand in a file of their own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str = Field(description="File, folder or pattern.", json_schema_extra=PLACE)
    language: str | None = Field(None, description="Language of rows that do not say theirs.")

    @field_validator("language")
    @classmethod
    def _is_known(cls, language: str | None) -> str | None:
        return None if language is None else checked_code(language, "language")


class LanguagesSettings(BaseModel):
    """Models on one benchmark in many languages, with prompts and demonstrations in others."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    form: Literal["xcopa", "xstorycloze", "xnli", "pawsx"] = Field(
        "xcopa", description="What the benchmark's rows are, and how they are asked."
    )
    files: str = Field(
        description="File, folder or pattern of the benchmark's rows; their language stands in `lang` or `language`, "
        "or in the name of the file or its folder.",
        json_schema_extra=PLACE,
    )
    demonstration_files: tuple[DemonstrationFile, ...] = Field(
        (),
        description="Items to demonstrate with; a language that has none there gives a share of its items.",
    )
    templates: Path | None = Field(
        None, description="YAML with templates by language; empty: those that come with the form."
    )
    template_languages: tuple[str, ...] = Field(
        ("en", OWN), min_length=1, description="Languages of the prompt; `own`: each text's own."
    )
    demonstration_languages: tuple[str, ...] = Field(
        ("en", OWN), min_length=1, description="Languages of the demonstrations; `own`: the tested one's."
    )
    test_languages: tuple[str, ...] = Field(
        (), description="Languages that are tested; empty: all that the benchmark has."
    )
    high_resource: str = Field(
        "en", description="The language whose demonstrations are compared with those in the tested one's own."
    )
    shots: tuple[int, ...] = Field((0, 4), min_length=1, description="Demonstrations before an item.")
    sets: int = Field(5, ge=1, le=100, description="Sets of demonstrations drawn; 1 shows no spread.")
    demonstration_share: float = Field(
        0.5,
        gt=0,
        lt=1,
        description="Share of the items, the same in all languages, that is kept to demonstrate with.",
    )
    max_items: int | None = Field(
        None, ge=2, description="Tested items a language, the same in all languages."
    )
    separator: str = Field(
        "\n",
        description="Between demonstrations; models that never saw a line end may need another, such as </s>.",
    )
    most_texts: int = Field(
        500_000,
        ge=1,
        description="Texts that a model is asked at most; a larger cube is refused, with its size.",
    )
    models: tuple[str, ...] = Field((), description="Models of the run that are asked, by name; empty: all.")
    check_items: int = Field(
        24, ge=0, description="Items read whole too, to compare scores and speed with shared prefixes."
    )
    random_seed: int = Field(0, ge=0, description="Of the demonstrations that are drawn.")

    @field_validator("template_languages", "demonstration_languages", "test_languages")
    @classmethod
    def _are_known(cls, languages: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(
            dict.fromkeys(one if one == OWN else checked_code(one, "languages") for one in languages)
        )

    @field_validator("high_resource")
    @classmethod
    def _high_is_known(cls, language: str) -> str:
        return checked_code(language, "high_resource")

    @field_validator("shots")
    @classmethod
    def _shots_ascend(cls, shots: tuple[int, ...]) -> tuple[int, ...]:
        if list(shots) != sorted(set(shots)) or shots[0] < 0:
            raise ValueError(f"{list(shots)}: allowed: ascending numbers from 0 on")
        return shots

    @model_validator(mode="after")
    def _own_is_no_test_language(self) -> LanguagesSettings:
        if OWN in self.test_languages:
            raise ValueError(f"test_languages: {OWN!r} is no language to test in; allowed: codes")
        return self

    @model_validator(mode="after")
    def _high_is_shown(self) -> LanguagesSettings:
        is_named = self.high_resource != type(self).model_fields["high_resource"].default
        if is_named and self.shots[-1] and self.high_resource not in self.demonstration_languages:
            raise ValueError(
                f"high_resource: no demonstrations are in {self.high_resource!r}; allowed: one of "
                f"demonstration_languages, {', '.join(self.demonstration_languages)}"
            )
        return self
