"""How far a decoded picture is from its original, and one rate-distortion curve from another.

Pictures are uint8 [H, W, 3]: as a user gets them, after rounding. Everything is computed in
float64 with numpy alone; what needs a network is in `networks`.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Array = NDArray[np.float64]

_WINDOW, _SIGMA = 11, 1.5
_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
SMALLEST = (_WINDOW - 1) * 2 ** (len(_WEIGHTS) - 1) + 1  # side of a picture that has five scales


def psnr(original: Pixels, decoded: Pixels) -> float:
    """Peak signal-to-noise ratio in dB over all channels; infinite for equal pictures."""
    error = float(np.square(original.astype(np.float64) - decoded).mean())
    return 10 * math.log10(255**2 / error) if error else math.inf


def ms_ssim(original: Pixels, decoded: Pixels) -> float | None:
    """Multi-scale structural similarity, 0..1; None where a side is under 161 pixels.

    Wang, Simoncelli and Bovik, Asilomar 2003: five scales, Gaussian window of 11 with sigma 1.5,
    averaged over R, G and B.
    """
    if min(original.shape[:2]) < SMALLEST:
        return None
    return float(np.mean([_of_channel(original[..., c], decoded[..., c]) for c in range(3)]))


def _of_channel(original: Pixels, decoded: Pixels) -> float:
    x, y = original.astype(np.float64), decoded.astype(np.float64)
    product = 1.0
    for scale, weight in enumerate(_WEIGHTS):
        similarity, contrast = _ssim(x, y)
        last = scale == len(_WEIGHTS) - 1
        product *= max(similarity if last else contrast, 0) ** weight
        x, y = _halved(x), _halved(y)
    return product


def _ssim(x: Array, y: Array) -> tuple[float, float]:
    """Average SSIM, and its contrast and structure part, of one channel at one scale."""
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    mx, my = _blurred(x), _blurred(y)
    xx, yy, xy = _blurred(x * x) - mx * mx, _blurred(y * y) - my * my, _blurred(x * y) - mx * my
    contrast = (2 * xy + c2) / (xx + yy + c2)
    luminance = (2 * mx * my + c1) / (mx * mx + my * my + c1)
    return float((luminance * contrast).mean()), float(contrast.mean())


def _blurred(x: Array) -> Array:
    """Blur with the window, where it fits whole: [H, W] to [H - 10, W - 10]."""
    for _ in range(2):
        x = _blurred_rows(x).T
    return x


def _blurred_rows(x: Array) -> Array:
    kernel = np.exp(-((np.arange(_WINDOW) - _WINDOW // 2) ** 2) / (2 * _SIGMA**2))
    kernel /= kernel.sum()
    rows, middle = len(x) - _WINDOW + 1, _WINDOW // 2
    total: Array = x[middle : middle + rows] * kernel[middle]
    for i in range(middle):
        mirrored = _WINDOW - 1 - i
        total += (x[i : i + rows] + x[mirrored : mirrored + rows]) * kernel[i]
    return total


def _halved(x: Array) -> Array:
    """Average 2 x 2 pixels; an odd side starts with a pixel of zeros, as pytorch-msssim pads."""
    x = np.pad(x, [(side % 2, side % 2) for side in x.shape])
    x = x[: len(x) // 2 * 2, : x.shape[1] // 2 * 2]
    halved: Array = (x[::2, ::2] + x[1::2, ::2] + x[::2, 1::2] + x[1::2, 1::2]) / 4
    return halved


def bd_rate(
    anchor: Sequence[tuple[float, float]], test: Sequence[tuple[float, float]]
) -> float | None:
    """Average change of the rate in percent for the same quality, from (rate, quality) points.

    Bjøntegaard's difference (VCEG-M33) with piecewise cubic Hermite curves (PCHIP) through log
    rates. Negative means that `test` needs fewer bits. None where the curves share no quality, or
    a curve has fewer than two points or does not rise.
    """
    curves = [sorted({(quality, math.log(rate)) for rate, quality in c}) for c in (anchor, test)]
    if any(len(c) < 2 for c in curves):
        return None
    (xa, ya), (xt, yt) = (np.array(c).T for c in curves)
    low, high = max(xa[0], xt[0]), min(xa[-1], xt[-1])
    if low >= high or any((np.diff(x) <= 0).any() for x in (xa, xt)):
        return None
    areas = [_area(x, y, low, high) for x, y in ((xa, ya), (xt, yt))]
    return 100 * math.expm1((areas[1] - areas[0]) / (high - low))


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
