"""Names of models as they compare where they may be spelt differently."""

from __future__ import annotations

import re


def normalised(name: str) -> str:
    """A model name without organisation, case and punctuation: 'lmsys/Vicuna-13b_v1.5' -> 'vicuna13bv15'."""
    return re.sub(r"[^a-z0-9]", "", name.rsplit("/", 1)[-1].lower())
