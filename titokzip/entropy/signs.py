"""The features of signs: values nearby, in the same band and in others, with their signs.

A sign's logit is a weighted sum of its features without a constant: if all values nearby were
negated, so would be the logit. Values count at most 3.
"""

import numpy as np
from numpy.typing import NDArray

from titokzip.entropy.contexts import Contexts
from titokzip.entropy.neighbours import MARGIN, Neighbours, logarithm
from titokzip.transform.bands import Band

Positions = tuple[NDArray[np.intp], NDArray[np.intp]]  # rows and columns of cells in their band
Values = NDArray[np.int8]

OWN_PAIRS = (((-1, 0), (1, 0)), ((0, -1), (0, 1)), ((-1, -1), (1, 1)), ((-1, 1), (1, -1)))
_PAIRS = np.array(OWN_PAIRS, np.intp)
FEATURES = 23
_MAPS = FEATURES - len(OWN_PAIRS)
_LOWER = ((-1, 0), (0, -1), (-2, 0), (0, -2), (-1, -1), (1, -1), (-1, 1), (-3, 0), (0, -3))


def maps(band: Band, contexts: Contexts) -> Values:
    """Describe the cells [19, h, w] of a band by other bands."""
    found = np.zeros((_MAPS, *contexts.size(band)), np.int8)
    if band.level is None:
        _block_maps(found, band, contexts)
    elif band.level:
        height, width = contexts.size(band)
        differences = contexts.differences(band.plane, band.level)[:, :height, :width]
        sizes = logarithm(np.abs(differences) >> 1).astype(np.int16) >> 4
        found[:5] = np.sign(differences) * sizes
    for i, other in enumerate(contexts.others(band.plane)):
        same = contexts.known.get(Band(other, band.level, band.detail, band.row, band.column))
        if same is not None and band.level != 0:
            agreement = contexts.agreement(band, other)
            signs = np.sign(same.signed_at(0, 0))
            found[13 + 3 * i] = same.signed_at(0, 0)
            found[14 + 3 * i] = signs * agreement.own(*signs.shape)
            found[15 + 3 * i] = signs * agreement.around(*signs.shape)
    return found


def features(maps: Values, known: Neighbours, at: Positions) -> NDArray[np.float32]:
    """Describe some cells [FEATURES, n] of a band when the phase that they are in begins."""
    found = np.empty((FEATURES, len(at[0])), np.float32)
    width = known.signed.shape[1]
    place = (at[0] + MARGIN) * width + at[1] + MARGIN
    steps = _PAIRS @ (width, 1)  # [4, 2]
    both = known.signed.reshape(-1).take(place + steps[:, :, None])
    found[: len(OWN_PAIRS)] = both[:, 0] + both[:, 1]
    found[len(OWN_PAIRS) :] = maps[:, at[0], at[1]]
    return found


def _block_maps(found: Values, band: Band, contexts: Contexts) -> None:
    for i, (down, right) in enumerate(_LOWER):
        key = Band(band.plane, None, 0, band.row + down, band.column + right)
        if (known := contexts.known.get(key)) is None:
            continue
        found[i] = known.signed_at(0, 0)
        if i == 0:
            found[9] = known.signed_at(1, 0) - known.signed_at(-1, 0)
        elif i == 1:
            found[10] = known.signed_at(0, 1) - known.signed_at(0, -1)
        elif i == 2:
            found[11] = known.signed_at(1, 0) + known.signed_at(-1, 0)
        elif i == 3:
            found[12] = known.signed_at(0, 1) + known.signed_at(0, -1)
