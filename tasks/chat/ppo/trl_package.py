"""Whether the package is there that does PPO: TRL has had none since 1.13."""

from __future__ import annotations

import warnings
from importlib.util import find_spec


def check_trl(where: str) -> None:
    """ValueError, beginning with `where`, where no TRL with PPO is installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is experimental
        is_there = find_spec("trl") is not None and find_spec("trl.experimental.ppo") is not None
    if not is_there:
        raise ValueError(
            f"{where}: PPO is done by the package trl below version 1.13, which is not there; allowed: pip install "
            "'mixstitch[ppo]', or no chat.ppo"
        )
