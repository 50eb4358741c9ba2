"""The means of blocks as far as they are decoded, in integers, for contexts alone.

The same 9/7 wavelet as of the pyramid, in fixed point: sixteenths of a quantisation step, weights
in 4096ths. The scales of coefficients are taken for those of an orthonormal basis.
"""

import numpy as np
from numpy.typing import NDArray

from titokzip.entropy.neighbours import Features, logarithm

Values = NDArray[np.int64]

UNIT = 16  # of a step
_LIFTING = ((1817, False), (3616, True), (-217, False), (-6497, True))  # last step first
_LIMIT = 2**31  # of a mean; only damaged data reach it
_LOW, _DETAIL = 3563, 4709  # what undoes the scaling of both halves


def join(low: Values, horizontal: Values, vertical: Values, diagonal: Values) -> Values:
    """Join the four bands of a level into the means of the next finer one."""
    left = _join(low.T, vertical.T).T
    right = _join(horizontal.T, diagonal.T).T
    return _join(left, right).clip(-_LIMIT, _LIMIT)


def _join(low: Values, detail: Values) -> Values:
    """Join halves [h, ceil(n/2)] and [h, n//2] along the last axis."""
    if not detail.shape[-1]:
        return low
    low, detail = (low * _LOW + 2048) >> 12, (detail * _DETAIL + 2048) >> 12
    for weight, to_detail in _LIFTING:
        if to_detail:
            after = np.concatenate([low[:, 1:], low[:, -1:]], 1)[:, : detail.shape[1]]
            detail = detail - ((weight * (low[:, : detail.shape[1]] + after) + 2048) >> 12)
        else:
            padded = np.concatenate([detail[:, :1], detail, detail[:, -1:]], 1)
            pairs = padded[:, : low.shape[1]] + padded[:, 1 : low.shape[1] + 1]
            low = low - ((weight * pairs + 2048) >> 12)
    joined = np.empty((low.shape[0], low.shape[1] + detail.shape[1]), np.int64)
    joined[:, ::2], joined[:, 1::2] = low, detail
    return joined


SHAPE_FEATURES = 5


def differences(means: Values) -> Values:
    """Describe how means [h, w] change around each: [5, h, w].

    First differences down and across, second differences down and across, and the mixed one.
    """
    height, width = means.shape
    padded = np.pad(means, 1, mode="edge")
    centre, up, down = padded[1:-1, 1:-1], padded[:-2, 1:-1], padded[2:, 1:-1]
    left, right = padded[1:-1, :-2], padded[1:-1, 2:]
    found = np.empty((SHAPE_FEATURES, height, width), np.int64)
    found[0], found[1] = down - up, right - left
    found[2], found[3] = up + down - 2 * centre, left + right - 2 * centre
    found[4] = padded[:-2, :-2] + padded[2:, 2:] - padded[:-2, 2:] - padded[2:, :-2]
    return found


def shape_features(found: Values) -> Features:
    """Give the logarithms of differences [5, h, w], without their signs."""
    return logarithm(np.abs(found) >> 1)
