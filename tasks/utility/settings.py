"""Settings of the utility stage."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from tasks.proxies.ablation.settings import AblationSettings
from tasks.utility.medu.settings import LABELS, CostSettings, MeduSettings

__all__ = ["LABELS", "AblationSettings", "CostSettings", "MeduSettings", "NgramSettings", "UtilitySettings"]


class NgramSettings(BaseModel):
    """Utility from hashed n-grams: no model, no network."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bucket_bits: int = Field(18, ge=10, le=24, description="n-grams are hashed into 2^bucket_bits buckets.")
    smoothing: float = Field(
        0.1,
        gt=0,
        lt=1,
        description="Share of the background in a task's distribution: an n-gram that the task never has "
        "counts as so much rarer than in the background.",
    )
    groups: int = Field(
        10,
        ge=2,
        le=100,
        description="Groups of a task's items for the jackknife error; one is left out at a time.",
    )
    scale: Literal["minmax", "items", "none"] = Field(
        "minmax",
        description="minmax: each task's best source gets 1, its worst 0. items: 0 where nothing is shared "
        "with the task, 1 where a document is as likely as the task's own items. none: a probability.",
    )


class UtilitySettings(BaseModel):
    """How the utility of every source for every task is estimated."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: Literal["ngram", "medu", "ablation", "table"] = Field(
        "ngram",
        description="ngram: hashed n-grams of the tasks' dev items. medu: labels by a language model. "
        "ablation: a small proxy trained on each source alone. table: one of your own.",
    )
    table: Path | None = Field(
        None,
        description="Table (CSV, TSV, JSONL or Parquet) for the method table: columns source, task, value and "
        "optionally stderr; or source and a column for each task.",
    )
    ngram: NgramSettings = Field(NgramSettings(), description="Settings of the method ngram.")
    medu: MeduSettings = Field(MeduSettings(), description="Settings of the method medu.")
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
    ablation: AblationSettings = Field(AblationSettings(), description="Settings of the method ablation.")

    @model_validator(mode="after")
    def _table_goes_with_its_file(self) -> "UtilitySettings":
        if (self.method == "table") != (self.table is not None):
            raise ValueError(
                f"method={self.method!r} with table={self.table}: the method 'table' needs a CSV under "
                "`table`, and the others take none"
            )
        return self

    @model_validator(mode="after")
    def _groups_go_with_anchors(self) -> "UtilitySettings":
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
