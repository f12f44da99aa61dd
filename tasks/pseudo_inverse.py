"""The Moore-Penrose inverse with one cut-off, for all that regresses by it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def pseudo_inverse(matrix: Array, hermitian: bool = False) -> Array:
    """Of matrices (..., n, p): singular values of at most max(n, p) * eps of the largest count as 0.

    Below that a singular value is rounding: centred columns have a direction of none, whose inverse would be noise.
    """
    cut_off = max(matrix.shape[-2:]) * np.finfo(np.float64).eps
    return np.asarray(np.linalg.pinv(matrix, rcond=cut_off, hermitian=hermitian), np.float64)
