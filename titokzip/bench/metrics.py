"""How far a decoded image is from its original, by formulas.

Images are uint8 [H, W, 3] or, greyscale, [H, W]: as a user gets them, after rounding. Everything is
computed in float64 with numpy alone; what needs a network is in `networks`.
"""

import math

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Array = NDArray[np.float64]

_WINDOW, _SIGMA = 11, 1.5
_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
SMALLEST = (_WINDOW - 1) * 2 ** (len(_WEIGHTS) - 1) + 1  # side of an image that has five scales


def psnr(original: Pixels, decoded: Pixels) -> float:
    """Peak signal-to-noise ratio in dB over all channels; infinite for equal images."""
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
