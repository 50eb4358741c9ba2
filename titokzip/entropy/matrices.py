"""Products of integer matrices, exact on any machine, in one thread."""

import numpy as np
from numpy.typing import NDArray

_PRODUCTS = 2**18  # of numbers, that a BLAS does in one thread

Integers = NDArray[np.float32]  # integers, as floats for the matrix products


def product(weights: Integers, features: Integers) -> Integers:
    """Multiply [m, k] by [k, n], in parts too small for a BLAS to start threads for.

    On a busy machine its threads wait for each other a hundred times as long as they work.
    """
    total = features.shape[1]
    part = max(_PRODUCTS // max(weights.size, 1), 1)
    if total <= part:
        whole: Integers = weights @ features
        return whole
    found = np.empty((len(weights), total), np.float32)
    for start in range(0, total, part):
        at = slice(start, start + part)
        np.matmul(weights, features[:, at], out=found[:, at])
    return found
