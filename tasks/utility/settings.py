"""Settings of the utility stage."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, create_model, model_validator

from tasks.method import lines
from tasks.utility.methods import METHODS, METHODS_BY_NAME


def known_method(name: str) -> str:
    """The name, if it is that of a utility method; else ValueError."""
    if name not in METHODS_BY_NAME:
        raise ValueError(f"no such method; allowed: {', '.join(map(repr, METHODS_BY_NAME))}")
    return name


MethodName = Annotated[str, AfterValidator(known_method)]


class _UtilitySettings(BaseModel):
    """How the utility of every source for every task is estimated; beside what follows, a section a method."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: MethodName = Field("ngram", description=f"{lines(METHODS)}.")
    anchors: Path | None = Field(
        None,
        description="Table of trusted utilities (source, task, value, stderr) from ablations or people: the "
        "estimate is calibrated on them, its errors with it.",
    )
    anchor_groups: dict[str, list[str]] = Field(
        {},
        description="Groups of sources by name, such as {web: [c4, dclm]}: each with a bias of its own. What is "
        "in none is a group together.",
    )

    def section(self, method: str) -> Any:
        """The settings of that method."""
        return getattr(self, method)

    @model_validator(mode="after")
    def _table_goes_with_its_file(self) -> "_UtilitySettings":
        table = self.section("table")
        if (self.method == "table") != (table is not None):
            raise ValueError(
                f"method={self.method!r} with table={table}: the method 'table' needs a CSV under "
                "`table`, and the others take none"
            )
        return self

    @model_validator(mode="after")
    def _groups_go_with_anchors(self) -> "_UtilitySettings":
        if self.anchor_groups and self.anchors is None:
            raise ValueError("anchor_groups without anchors: groups are for calibration on anchors")
        if self.anchors is not None and self.method == "ablation":
            raise ValueError(
                "anchors with method='ablation': ablations are what others are calibrated on; leave anchors out"
            )
        members = [source for group in self.anchor_groups.values() for source in group]
        twice = sorted({source for source in members if members.count(source) > 1})
        if twice:
            raise ValueError(f"anchor_groups: {twice} stand twice; a source is in one group at most")
        return self


UtilitySettings = create_model(
    "UtilitySettings",
    __base__=_UtilitySettings,
    __doc__=_UtilitySettings.__doc__,
    **{m.name: (m.section, Field(m.default, description=m.describes)) for m in METHODS},  # type: ignore[call-overload]
)
