"""The 9/7 wavelet of JPEG 2000 (Cohen, Daubechies and Feauveau 1992), by lifting, for any length.

Samples past an end mirror those before it. A single sample has no detail and stays as it is.
"""

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

# Daubechies and Sweldens, "Factoring wavelet transforms into lifting steps", 1998.
_STEPS = (-1.586134342059924, -0.052980118572961, 0.882911075530934, 0.443506852043971)
_SCALE = 1.149604398860241  # makes both bands about orthonormal


def split(samples: Samples) -> tuple[Samples, Samples]:
    """Split the last axis [..., n] into its low half [..., ceil(n/2)] and detail [..., n//2]."""
    low, detail = samples[..., ::2].copy(), samples[..., 1::2].copy()
    if not detail.shape[-1]:
        return low, detail
    for turn, weight in enumerate(_STEPS):
        _lift(low, detail, weight, turn % 2 == 0)
    return low * np.float32(_SCALE), detail * np.float32(1 / _SCALE)


def join(low: Samples, detail: Samples) -> Samples:
    """Join a low half and detail into samples [..., n]; the inverse of `split`."""
    if not detail.shape[-1]:
        return low
    low, detail = low * np.float32(1 / _SCALE), detail * np.float32(_SCALE)
    for turn, weight in reversed(list(enumerate(_STEPS))):
        _lift(low, detail, -weight, turn % 2 == 0)
    samples = np.empty((*low.shape[:-1], low.shape[-1] + detail.shape[-1]), np.float32)
    samples[..., ::2], samples[..., 1::2] = low, detail
    return samples


def _lift(low: Samples, detail: Samples, weight: float, to_detail: bool) -> None:
    """Add to each sample of one half, in place, the weighted sum of its neighbours in the other."""
    lows, details = low.shape[-1], detail.shape[-1]
    if to_detail:  # detail k lies between low k and k + 1
        detail += np.float32(weight) * low[..., :details]
        detail[..., : lows - 1] += np.float32(weight) * low[..., 1:]
        if details == lows:
            detail[..., -1] += np.float32(weight) * low[..., -1]
    else:  # low k lies between detail k - 1 and k
        low[..., 1:] += np.float32(weight) * detail[..., : lows - 1]
        low[..., :details] += np.float32(weight) * detail
        low[..., 0] += np.float32(weight) * detail[..., 0]
        if lows > details:
            low[..., -1] += np.float32(weight) * detail[..., -1]
