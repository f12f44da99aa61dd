"""The experiment file: one settings model a stage, each with defaults that work."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from flows.tracking_settings import TrackingSettings
from flows.training_fits import check_training
from storage.trusted import PERHAPS_PLACE
from tasks.chat.settings import ChatSettings
from tasks.duels.efficiency.settings import EfficiencySettings
from tasks.duels.mixtures.settings import DuelSettings
from tasks.duels.stitches.settings import StitchDuelSettings
from tasks.evaluation.settings import EvaluationSettings, SpecialisationSettings
from tasks.languages.settings import LanguagesSettings
from tasks.mixture.methods import MixtureChoice, check_evidence
from tasks.mixture.methods.returns import ReturnsMixture
from tasks.mixture.settings import MixtureSettings
from tasks.preference.settings import PreferenceSettings
from tasks.sources.settings import SourcesSettings
from tasks.stitching.compositions import RESERVED_NAMES
from tasks.stitching.settings import StitchingSettings
from tasks.tables.file_names import NAME_PATTERN
from tasks.training.families import ModelChoice
from tasks.training.families.moe_family import dense_twin
from tasks.training.settings import BudgetSettings, ModelSettings, TrainingSettings
from tasks.utility.settings import UtilitySettings

TASKS_FROM = ("made", "made_from_each", "folder", "lm_eval_tasks", "task_folder")
MADE_FROM_EACH = 120
DUELS = ("duel", "stitch_duel", "moe_efficiency")


class ExpertSettings(BaseModel):
    """An expert is defined by the tasks it serves."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=NAME_PATTERN, max_length=40, description="Name of the expert.")
    tasks: tuple[str, ...] = Field(
        min_length=1, description="Benchmarks that it serves, by name or pattern such as math*."
    )
    pretrained: str | None = Field(
        None,
        description="Folder, GGUF file, package:NAME/FILE or Hugging Face name of a causal LM like the seed, which is "
        "the expert as it is; empty: "
        "the expert is trained. It needs sources.tokenizer.pretrained.",
        json_schema_extra=PERHAPS_PLACE,
    )


class ExpertsSettings(BaseModel):
    """Which experts are branched from the seed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    listed: tuple[ExpertSettings, ...] = Field(
        (), description="The experts; empty: tasks are grouped by what data serves them."
    )
    count: int = Field(
        3, ge=1, le=16, description="Experts to make where none are listed, at most one a task."
    )
    specialisation_check: SpecialisationSettings | None = Field(
        None, description="Checked before stitching; empty: reported, not enforced."
    )

    @property
    def given(self) -> dict[str, str]:
        """Where the experts lie that are taken as they are, by name."""
        return {one.name: one.pretrained for one in self.listed if one.pretrained is not None}

    @field_validator("listed")
    @classmethod
    def _names_differ(cls, listed: tuple[ExpertSettings, ...]) -> tuple[ExpertSettings, ...]:
        names = [expert.name for expert in listed]
        reserved = sorted(set(RESERVED_NAMES).intersection(names))
        if reserved or len(set(names)) < len(names):
            raise ValueError(
                f"experts are named {names}; allowed: names that differ, and none of {', '.join(RESERVED_NAMES)}"
            )
        return listed


def _numbered(schema: dict[str, Any]) -> None:
    """Prefect's form shows fields by their position, where they have one."""
    for position, field in enumerate(schema["properties"].values()):
        field["position"] = position


class Experiment(BaseModel):
    """What to train on, how to combine the specialists, and what people will think of the result."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra=_numbered)

    name: str = Field(
        "pocket",
        pattern=NAME_PATTERN,
        max_length=40,
        description="Name of the experiment.",
    )
    random_seed: int = Field(
        0,
        ge=0,
        lt=2**31,
        description="Seed of the model's weights, of the order of the data and of the tasks made from it.",
    )
    budget: BudgetSettings = Field(default_factory=BudgetSettings, description="Tokens to train on.")
    sources: SourcesSettings = Field(default_factory=SourcesSettings, description="What text there is.")
    evaluation: EvaluationSettings = Field(
        default_factory=EvaluationSettings,
        description="The benchmarks that utility is for and scores are made of.",
    )
    utility: UtilitySettings = Field(
        default_factory=UtilitySettings,
        description="How useful each source is for each benchmark.",
    )
    mixture: MixtureChoice = Field(
        default_factory=ReturnsMixture,
        description="How much of each source.",
    )
    experts: ExpertsSettings = Field(
        default_factory=ExpertsSettings,
        description="Which experts are branched from the seed.",
    )
    model: ModelChoice = Field(
        default_factory=ModelSettings,
        description="The seed model's architecture.",
    )
    training: TrainingSettings = Field(default_factory=TrainingSettings, description="The training loop.")
    stitching: StitchingSettings = Field(
        default_factory=StitchingSettings,
        description="Stitch layers and what they are compared with.",
    )
    preference: PreferenceSettings = Field(
        default_factory=PreferenceSettings,
        description="The forecast of human ratings.",
    )
    duel: DuelSettings | None = Field(
        None,
        description="Mixtures to train against each other instead of the experts; empty: no duel.",
    )
    stitch_duel: StitchDuelSettings | None = Field(
        None,
        description="Ways to combine the experts to compare with each other; empty: no such duel.",
    )
    moe_efficiency: EfficiencySettings | None = Field(
        None, description="Experts against their dense twin; empty: none."
    )
    chat: ChatSettings | None = Field(
        None,
        description="A chat model made of the seed, in place of experts; empty: none.",
    )
    languages: LanguagesSettings | None = Field(
        None,
        description="A benchmark in many languages to ask the models of a run with experts; empty: none.",
    )
    tracking: TrackingSettings = Field(
        default_factory=TrackingSettings,
        description="Where runs are tracked.",
    )

    @model_validator(mode="before")
    @classmethod
    def _own_folder_takes_the_place_of_pocket(cls, given: Any) -> Any:
        """Where `sources.folder` is given, the defaults that are pocket's sources and tasks are not."""
        if not isinstance(given, dict) or not isinstance(given.get("sources"), dict):
            return given
        sources, evaluation = given["sources"], given.get("evaluation") or {}
        if sources.get("folder") is None or "listed" in sources or not isinstance(evaluation, dict):
            return given
        if not any(evaluation.get(name) for name in TASKS_FROM):
            evaluation = evaluation | {"made_from_each": MADE_FROM_EACH}
        return given | {
            "sources": sources | {"listed": ()},
            "evaluation": {"made": ()} | evaluation,
        }

    @model_validator(mode="after")
    def _parts_fit(self) -> Experiment:
        pretrained, tokenizer = self.model.pretrained, self.sources.tokenizer.pretrained
        if pretrained is not None and tokenizer is None:
            raise ValueError(
                f"model.pretrained={pretrained!r} needs its own tokenizer: set sources.tokenizer.pretrained"
            )
        self._given_models_fit()
        check, names = self.experts.specialisation_check, [source.name for source in self.sources.listed]
        if check is not None and self.sources.folder is None and not set(check.junk_sources) <= set(names):
            unknown = sorted(set(check.junk_sources) - set(names))
            raise ValueError(
                f"experts.specialisation_check.junk_sources: no sources {unknown}; allowed: {', '.join(names)}"
            )
        if self.moe_efficiency is not None:
            dense_twin(self.model)
        if self.budget.minutes is not None and (self.duel is not None or self.moe_efficiency is not None):
            raise ValueError(
                f"budget.minutes={self.budget.minutes:g} with a duel, of budget.tokens; allowed: budget.tokens alone"
            )
        swarm = self.utility.section("ablation").swarm
        if self.duel is None:
            check_evidence(self.mixture, self.utility.method, swarm, "mixture")
        else:
            for contender in self.duel.contenders:
                check_evidence(
                    contender.mixture, contender.utility, swarm, f"duel.contenders: {contender.name!r}"
                )
        longest = self.evaluation.max_length
        if pretrained is None and longest is not None and longest > self.training.sequence_length:
            raise ValueError(
                f"evaluation.max_length={longest} is more than the {self.training.sequence_length} tokens "
                "(training.sequence_length) that the model is made for"
            )
        programmatic, context = self.preference.programmatic, self.training.sequence_length
        if pretrained is None and programmatic is not None and programmatic.new_tokens >= context:
            raise ValueError(
                f"preference.programmatic.new_tokens={programmatic.new_tokens} leaves no room for a prompt in the "
                f"{context} tokens (training.sequence_length) that the model is made for; allowed: 1 to {context - 1}"
            )
        check_training(self.training, self.model, self._mixtures(), self._compositions())
        ways = [name for name in (*DUELS, "chat") if getattr(self, name) is not None]
        if len(ways) > 1:
            raise ValueError(f"{' and '.join(ways)} are given together; allowed: one of them")
        if self.languages is not None and ways:
            raise ValueError(f"languages with {ways[0]}, which does not ask it; allowed: a run with experts")
        if self.chat is not None and self.budget.minutes is not None:
            raise ValueError(
                "budget.minutes with chat, whose seed has budget.tokens; allowed: budget.tokens alone"
            )
        taken = self.names_taken()
        for expert in self.experts.listed:
            if expert.name in taken:
                raise ValueError(
                    f"experts.listed: {expert.name!r} is the name of another model; allowed: none of {', '.join(taken)}"
                )
        for where, num_stitches in self._stitches().items():
            if pretrained is None and num_stitches > self.model.num_layers:
                raise ValueError(
                    f"{where}={num_stitches} is more than model.num_layers={self.model.num_layers}; "
                    f"allowed: 1 to {self.model.num_layers}"
                )
        return self

    def _given_models_fit(self) -> None:
        given, takes_seed = self.experts.given, self.budget.seed_share == 0
        if takes_seed and self.model.pretrained is None:
            raise ValueError(
                "budget.seed_share=0 takes the seed as it is, and there is none: set model.pretrained, or a share "
                "above 0"
            )
        if given and self.sources.tokenizer.pretrained is None:
            raise ValueError(
                f"experts.listed: {', '.join(given)}: a pretrained expert needs its own tokenizer: set "
                "sources.tokenizer.pretrained"
            )
        if self.stitch_duel is not None and (given or takes_seed):
            raise ValueError(
                "stitch_duel trains seed and experts anew for every random seed; allowed: a budget.seed_share above 0, "
                "and experts without `pretrained`"
            )

    def _mixtures(self) -> list[MixtureSettings]:
        """How every mixture of the run is chosen."""
        return [self.mixture] if self.duel is None else [each.mixture for each in self.duel.contenders]

    def _compositions(self) -> list[str]:
        """Methods of what seed and experts are combined to."""
        if self.stitch_duel is not None:
            return [variant.method for variant in self.stitch_duel.variants]
        return [] if self.duel or self.chat else [each.method for each in self.stitching.compositions]

    def _stitches(self) -> dict[str, int]:
        """The numbers of stitches that will be trained, by where they are set."""
        if self.duel is not None or self.moe_efficiency is not None:
            return {}
        if self.stitch_duel is None:
            return {"stitching.num_stitches": self.stitching.num_stitches}
        return {
            f"stitch_duel.variants: num_stitches of {variant.name!r}": variant.stitch.num_stitches
            for variant in self.stitch_duel.variants
            if variant.stitch is not None
        }

    @property
    def is_pipeline(self) -> bool:
        """Whether this is neither a duel nor a chat stage."""
        return all(getattr(self, name) is None for name in (*DUELS, "chat"))

    def names_taken(self) -> tuple[str, ...]:
        """What no expert may be called, since other models are."""
        if self.stitch_duel is None:
            return self.stitching.names_taken()
        return (*RESERVED_NAMES, *(variant.name for variant in self.stitch_duel.variants))

    def to_json(self) -> dict[str, Any]:
        return json.loads(self.model_dump_json())
