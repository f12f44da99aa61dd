"""What a user may set about which benchmarks there are."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from storage.trusted import CODE
from tasks.tables.file_names import NAME_PATTERN


class MadeTask(BaseModel):
    """A task of four choices made from the held-out documents of one source."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(
        pattern=NAME_PATTERN, max_length=80, description="Name; identifies the task everywhere."
    )
    kind: Literal["next-line", "cloze", "arithmetic-answer"] = Field(
        description="What is asked: next line of code, last word of a sentence, result of a problem."
    )
    source: str = Field(
        min_length=1, description="Name of the source whose held-out documents it is made from."
    )
    num_items: int = Field(200, ge=20, le=100_000, description="Items at most, dev and test together.")


def pocket_tasks() -> tuple[MadeTask, ...]:
    """One task for each of the sources that exist on every machine and teach something."""
    return (
        MadeTask(name="code-next-line", kind="next-line", source="python-code"),
        MadeTask(name="docs-cloze", kind="cloze", source="python-docs"),
        MadeTask(name="arithmetic-answer", kind="arithmetic-answer", source="arithmetic"),
    )


class BenchmarkSettings(BaseModel):
    """Which benchmarks utility is for and scores are made of."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    made: tuple[MadeTask, ...] = Field(
        default_factory=pocket_tasks, description="Tasks made from held-out documents of the sources."
    )
    made_from_each: int | None = Field(
        None,
        ge=20,
        le=100_000,
        description="Items at most of a cloze task made from the held-out documents of each source, named "
        "<source>-cloze; a source whose text does not give 20 items has none. Empty: no such tasks.",
    )
    folder: Path | None = Field(
        None,
        description="Folder of benchmark files (.jsonl, .gz, .zst), one task a file, known by their fields.",
    )
    lm_eval_tasks: tuple[str, ...] = Field(
        (),
        description="Names of lm-evaluation-harness tasks, groups or tags; their data may need the network.",
    )
    task_folder: Path | None = Field(
        None,
        description="Folder of lm-evaluation-harness task YAMLs with local data; all its tasks are scored.",
        json_schema_extra=CODE,
    )
    run_code: bool = Field(
        False,
        description="Run what models write for benchmarks of code, in a sandbox of this machine's kernel, and score "
        "pass@k; where no sandbox can be built the run is refused.",
        json_schema_extra=CODE,
    )
    dev_share: float = Field(
        0.3, gt=0, lt=1, description="Share of each task's items, chosen by content, that utility may see."
    )
    max_items: int | None = Field(
        None, ge=2, description="Items at most a task of a folder or of lm-eval, dev and test together."
    )

    @model_validator(mode="after")
    def _names_are_unique(self) -> "BenchmarkSettings":
        names = [*(task.name for task in self.made), *self.lm_eval_tasks]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(
                f"duplicate task names {repeated} among evaluation.made and evaluation.lm_eval_tasks"
            )
        return self
