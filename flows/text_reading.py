"""Whether all that a recipe trains can be read as its settings of training say."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tasks.mixture.methods import method_of
from tasks.mixture.settings import MixtureSettings
from tasks.stitching.compositions import COMPOSITIONS_BY_NAME


def check_reading(
    reading: Sequence[str], mixtures: Iterable[MixtureSettings], compositions: Iterable[str]
) -> None:
    """ValueError where a proxy or a composition cannot train under these settings, which change how text is read.

    compositions: methods; one that is none of the compositions' trains by the loss of the text.
    """
    for mixture in mixtures:
        if reading and method_of(mixture).evidence == "online":
            raise ValueError(
                f"{' and '.join(f'training.{name}' for name in reading)} with the mixture method {mixture.method!r}, "
                f"whose proxies read a sequence as one text; allowed: {' and '.join(reading)} false, or another method"
            )
    for method in compositions:
        if method in COMPOSITIONS_BY_NAME:
            COMPOSITIONS_BY_NAME[method].check_reading(reading)
