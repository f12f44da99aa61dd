"""What a way to combine a seed and its experts says of itself, and what the model that it gives costs."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import Field

from tasks.method import Method, MethodSettings
from tasks.tables.file_names import NAME_PATTERN
from tasks.training.estimates import dense_shape
from tasks.training.training_memory import Shape

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel

    Experts = Mapping[str, PreTrainedModel]

NOTHING = "nothing"


class CompositionSettings(MethodSettings):
    """What the settings of all compositions have."""

    name: str | None = Field(
        None,
        pattern=NAME_PATTERN,
        max_length=40,
        description="Name in tables, where a method is listed more than once; empty: the method.",
    )

    @property
    def called(self) -> str:
        """Name of the model in tables."""
        return self.name or self.method

    def identity(self) -> dict[str, Any]:
        """What decides the model: all but what it is called."""
        return self.model_dump(mode="json", exclude={"name"})


class TrainedSettings(CompositionSettings):
    """Settings of a composition that trains once it is built."""

    learning_rate: float | None = Field(
        None, gt=0, le=1, description="Peak learning rate; empty: stitching.composition_learning_rate."
    )


class MergeSettings(CompositionSettings):
    """Settings of a sum of weight changes that are thinned out first."""

    density: float = Field(0.5, gt=0, le=1, description="Share of each expert's weight changes to keep.")
    weight: float | None = Field(
        None, allow_inf_nan=False, description="Factor of every expert's changes; empty: 1/n of n experts."
    )


class RandomMergeSettings(MergeSettings):
    """Of one whose thinning is drawn by lot."""

    random_seed: int = Field(0, ge=0, lt=2**31, description="Which changes are dropped.")


def merged_by(method: str) -> Callable[[Any, PreTrainedModel, Experts], PreTrainedModel]:
    """The `build` of a composition that is mergekit's method of this name."""

    def build(settings: MergeSettings, seed_model: PreTrainedModel, experts: Experts) -> PreTrainedModel:
        from models.merging import mergekit_merge

        options = settings.model_dump(exclude=set(CompositionSettings.model_fields))
        return mergekit_merge(method, seed_model, experts, **options)  # type: ignore[arg-type]

    return build


def as_the_seed(settings: Any, base_config: PreTrainedConfig, names: Sequence[str]) -> PreTrainedConfig:
    """The configuration of a model of the seed's own architecture."""
    return base_config


def as_the_dense_seed(settings: Any, base_config: PreTrainedConfig, names: Sequence[str]) -> PreTrainedConfig:
    """The same for what cannot be done with mixtures of experts; ValueError with the reason for those."""
    if getattr(base_config, "num_experts", None):
        raise ValueError(
            f"{settings.method} of {base_config.model_type} models: mergekit takes every layer of that architecture to "
            "hold experts; allowed: dense models, or another composition, such as soup or task-arithmetic"
        )
    return base_config


@dataclass(frozen=True, kw_only=True)
class Composition(Method):
    """One way to combine a seed and its experts into one causal language model.

    build: (settings, seed model, experts by name) -> model, leaving what it is given untouched. It raises ValueError
    for experts that differ from the seed. If all are equal, the model has the seed's logits. trains: which of its
    weights then train; `build` leaves it at what requires a gradient. configuration: (settings, the architecture
    that seed and experts share, names of the experts) -> that of the model; it raises ValueError for an architecture
    that cannot be combined so, which a plan then does too. own_loss: what trains has a loss of its own, of whole
    sequences, and not that of the text.
    """

    settings: type[CompositionSettings]
    build: Callable[[Any, PreTrainedModel, Experts], PreTrainedModel]
    trains: str = NOTHING
    configuration: Callable[[Any, PreTrainedConfig, Sequence[str]], PreTrainedConfig] = as_the_seed
    own_loss: bool = False

    @property
    def is_trained(self) -> bool:
        """Whether the model needs training once it is built."""
        return self.trains != NOTHING

    def check_reading(self, reading: Sequence[str]) -> None:
        """ValueError where it cannot train under these settings, of those that change how text is read."""
        if self.own_loss and reading:
            raise ValueError(
                f"{' and '.join(f'training.{name}' for name in reading)} with the composition {self.name}: "
                f"{self.trains} trains by a loss of its own, of whole sequences; allowed: {' and '.join(reading)} "
                f"false, or without {self.name}"
            )

    def combine(self, seed_model: PreTrainedModel, experts: Experts, **options: Any) -> PreTrainedModel:
        """`build` with settings of these options; ValueError for options that it has not, or out of range."""
        return self.build(self.configured(**options), seed_model, experts)

    def cost(
        self, base_config: PreTrainedConfig, num_experts: int, sequence_length: int, settings: Any = None
    ) -> Shape:
        """Weights and FLOPs of the model before it is built, on sequences of so many tokens.

        base_config: the architecture that seed and experts share. settings: None for the defaults. Where nothing
        trains, no weights and no FLOPs do.
        """
        names = [str(number) for number in range(num_experts)]
        config = self.configuration(settings or self.configured(), copy.deepcopy(base_config), names)
        shape = dense_shape(config, sequence_length)
        return shape if self.is_trained else Shape(shape.parameters, 0, 0.0, shape.active)
