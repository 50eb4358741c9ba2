"""Integers of small images, as if they had been quantised."""

import numpy as np

from titokzip.transform.bands import in_order
from titokzip.transform.pyramid import Integers


def random(planes, rows, columns, seed=0, largest=2**20):
    """Draw an image: bands of all kinds of magnitudes, some of them empty."""
    rng = np.random.default_rng(seed)
    integers = Integers.zeros(planes, rows, columns)
    for band in in_order(planes, rows, columns):
        values = band.of_integers(integers)
        spread = 10.0 ** rng.uniform(-2, np.log10(largest)) if rng.random() < 0.7 else 0.1
        drawn = rng.laplace(size=values.shape) * spread
        values[:] = np.rint(drawn).clip(-largest, largest)
    return integers


def equal(one, other):
    """Tell whether two images have the same integers."""
    return all(np.array_equal(a, b) for a, b in zip(parts(one), parts(other), strict=True))


def parts(integers):
    """List the arrays of an image."""
    return [band for level in integers.means for band in level] + [integers.blocks]
