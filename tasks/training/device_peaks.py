"""What devices can compute at best, of which the share that training reaches is told (MFU, arXiv 2204.02311)."""

from __future__ import annotations

import math

from tasks.training.settings import TrainingSettings

# Dense bf16 FLOP/s as the makers state them, by a part of the device's name.
PEAKS = {"H200": 989e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12, "4090": 165e12}


def peak_flops_of(settings: TrainingSettings) -> float:
    """FLOP/s at best of all processes' devices: as given, or the maker's figure in bf16; NaN where not known."""
    import torch

    known = math.nan
    if settings.precision == "bf16" and torch.cuda.is_available():
        name = torch.cuda.get_device_name()
        known = next((peak for part, peak in PEAKS.items() if part in name), math.nan)
    return (settings.peak_flops or known) * settings.processes
