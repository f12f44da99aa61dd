"""Whether all that a recipe trains can train as its settings of training say."""

from __future__ import annotations

from collections.abc import Iterable

from tasks.mixture.methods import method_of
from tasks.mixture.settings import MixtureSettings
from tasks.stitching.compositions import COMPOSITIONS_BY_NAME
from tasks.training.settings import ModelSettings, TrainingSettings


def check_training(
    training: TrainingSettings,
    model: ModelSettings,
    mixtures: Iterable[MixtureSettings],
    compositions: Iterable[str],
) -> None:
    """ValueError where the seed, a proxy or a composition cannot train under these settings.

    compositions: methods; one that is none of the compositions' trains by the loss of the text.
    """
    capacity = getattr(model, "capacity_factor", None)
    if training.micro_batch_size == "auto" and capacity is not None:
        raise ValueError(
            f"training.micro_batch_size=auto with model.capacity_factor={capacity}: experts drop tokens by what else "
            "is in a forward pass, so that the result would hang on the machine's memory; allowed: a number, or "
            "model.capacity_factor empty"
        )
    reading = training.reading
    for mixture in mixtures:
        if reading and method_of(mixture).evidence == "online":
            raise ValueError(
                f"{' and '.join(f'training.{name}' for name in reading)} with the mixture method {mixture.method!r}, "
                f"whose proxies read a sequence as one text; allowed: {' and '.join(reading)} false, or another method"
            )
    for method in compositions:
        if method in COMPOSITIONS_BY_NAME:
            COMPOSITIONS_BY_NAME[method].check_reading(reading)
