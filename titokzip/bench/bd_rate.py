"""How many more or fewer bits one codec needs than another for the same quality.

Bjøntegaard's difference (VCEG-M33), with piecewise cubic Hermite curves (PCHIP) through the
logarithms of the rates. `metrics` measures; this compares.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Curve = Sequence[tuple[float, float]]  # (rate, quality), higher is better
LEAST_OVERLAP = 0.25  # of the qualities of both curves together


class NoBDRate(ValueError):
    """Two curves cannot be compared; the message says why."""


def bd_rate(anchor: Curve, test: Curve) -> float:
    """Average the change of the rate in percent for the same quality; negative is fewer bits.

    Raises:
        NoBDRate: a curve has fewer than two points or does not rise, or the curves share less than
            a quarter of their qualities.
    """
    (xa, ya), (xt, yt) = (_rising(curve) for curve in (anchor, test))
    low, high = max(xa[0], xt[0]), min(xa[-1], xt[-1])
    shared = overlap(anchor, test)
    if shared < LEAST_OVERLAP:
        raise NoBDRate(f"the curves share only {shared:.0%} of their range")
    areas = [_area(x, y, low, high) for x, y in ((xa, ya), (xt, yt))]
    return 100 * math.expm1((areas[1] - areas[0]) / (high - low))


def overlap(anchor: Curve, test: Curve) -> float:
    """Tell which share of the qualities of either curve is on both, 0..1."""
    ranges = [(min(q for _, q in c), max(q for _, q in c)) for c in (anchor, test)]
    low, high = max(start for start, _ in ranges), min(end for _, end in ranges)
    whole = max(end for _, end in ranges) - min(start for start, _ in ranges)
    return max(high - low, 0.0) / whole if whole else 1.0


def _rising(curve: Curve) -> tuple[Array, Array]:
    """Sort a curve by rate: qualities, and logarithms of the rates."""
    points = sorted({(rate, quality) for rate, quality in curve})
    if len(points) < 2:
        raise NoBDRate("a curve has fewer than two points")
    rates, qualities = np.array(points, np.float64).T
    if (np.diff(qualities) <= 0).any() or (np.diff(rates) <= 0).any():
        raise NoBDRate("a curve does not rise with the rate")
    return qualities, np.log(rates)


def _area(x: Array, y: Array, low: float, high: float) -> float:
    """Integrate the PCHIP curve through (x, y) from `low` to `high`."""
    steps, slopes = np.diff(x), _slopes(x, y)

    def up_to(end: float) -> float:
        total = 0.0
        for i, step in enumerate(steps):
            t = min(max((end - x[i]) / step, 0), 1)
            total += step * (
                y[i] * (t**4 / 2 - t**3 + t)
                + step * slopes[i] * (t**4 / 4 - 2 * t**3 / 3 + t**2 / 2)
                + y[i + 1] * (t**3 - t**4 / 2)
                + step * slopes[i + 1] * (t**4 / 4 - t**3 / 3)
            )
        return total

    return up_to(high) - up_to(low)


def _slopes(x: Array, y: Array) -> Array:
    """Slopes that keep a curve monotone (Fritsch and Butland, SISC 5, 1984)."""
    h = np.diff(x)
    d = np.diff(y) / h
    if len(d) == 1:
        return np.repeat(d, 2)
    w1, w2 = 2 * h[1:] + h[:-1], h[1:] + 2 * h[:-1]
    with np.errstate(divide="ignore"):
        inner = (w1 + w2) / (w1 / d[:-1] + w2 / d[1:])
    inner = np.where(d[:-1] * d[1:] > 0, inner, 0)
    return np.array([_end(h[0], h[1], d[0], d[1]), *inner, _end(h[-1], h[-2], d[-1], d[-2])])


def _end(h0: float, h1: float, d0: float, d1: float) -> float:
    slope = ((2 * h0 + h1) * d0 - h0 * d1) / (h0 + h1)
    if slope * d0 <= 0:
        return 0.0
    return 3 * d0 if d0 * d1 <= 0 and abs(slope) > 3 * abs(d0) else slope
