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
    """Join the four bands [..., h, w] of a level into the means of the next finer one."""
    left = _turned(_join(_turned(low), _turned(vertical)))
    right = _turned(_join(_turned(horizontal), _turned(diagonal)))
    return _join(left, right).clip(-_LIMIT, _LIMIT)


def _turned(values: Values) -> Values:
    return np.swapaxes(values, -1, -2)


def _join(low: Values, detail: Values) -> Values:
    """Join halves [..., ceil(n/2)] and [..., n//2] along the last axis."""
    if not detail.shape[-1]:
        return low
    low, detail = (low * _LOW + 2048) >> 12, (detail * _DETAIL + 2048) >> 12
    for weight, to_detail in _LIFTING:
        if to_detail:
            after = np.concatenate([low[..., 1:], low[..., -1:]], -1)[..., : detail.shape[-1]]
            detail = detail - ((weight * (low[..., : detail.shape[-1]] + after) + 2048) >> 12)
        else:
            padded = np.concatenate([detail[..., :1], detail, detail[..., -1:]], -1)
            pairs = padded[..., : low.shape[-1]] + padded[..., 1 : low.shape[-1] + 1]
            low = low - ((weight * pairs + 2048) >> 12)
    joined = np.empty((*low.shape[:-1], low.shape[-1] + detail.shape[-1]), np.int64)
    joined[..., ::2], joined[..., 1::2] = low, detail
    return joined


SHAPE_FEATURES = 5


def differences(means: Values) -> Values:
    """Describe how means [N, h, w] change around each: [5, N, h, w].

    First differences down and across, second differences down and across, and the mixed one.
    """
    padded = np.pad(means, ((0, 0), (1, 1), (1, 1)), mode="edge")
    up, middle, down = padded[:, :-2], padded[:, 1:-1], padded[:, 2:]
    corners = up[..., :-2] + down[..., 2:] - up[..., 2:] - down[..., :-2]
    up, down = up[..., 1:-1], down[..., 1:-1]
    left, centre, right = middle[..., :-2], middle[..., 1:-1], middle[..., 2:]
    found = np.empty((SHAPE_FEATURES, *means.shape), np.int64)
    found[0], found[1] = down - up, right - left
    found[2], found[3] = up + down - 2 * centre, left + right - 2 * centre
    found[4] = corners
    return found


def shape_features(found: Values) -> Features:
    """Give the logarithms of differences [5, N, h, w], without their signs."""
    return logarithm(np.abs(found) >> 1)
