"""The features of signs: values nearby, in the same band and in others, with their signs.

A sign's logit is a weighted sum of its features without a constant: if all values nearby were
negated, so would be the logit. Values count at most 3.

N images, A of them with something in a band.
"""

import numpy as np
from numpy.typing import NDArray

from titokzip.entropy.contexts import Contexts
from titokzip.entropy.neighbours import MARGIN, Neighbours, Some, logarithm
from titokzip.transform.bands import Band

# Of cells: which of the A images they are in, and their rows and columns in the band.
Positions = tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]
Values = NDArray[np.int8]

OWN_PAIRS = (((-1, 0), (1, 0)), ((0, -1), (0, 1)), ((-1, -1), (1, 1)), ((-1, 1), (1, -1)))
_PAIRS = np.array(OWN_PAIRS, np.intp)
FEATURES = 23
_MAPS = FEATURES - len(OWN_PAIRS)
_LOWER = ((-1, 0), (0, -1), (-2, 0), (0, -2), (-1, -1), (1, -1), (-1, 1), (-3, 0), (0, -3))


def maps(band: Band, contexts: Contexts, some: Some) -> Values:
    """Describe the cells [19, A, h, w] of a band by other bands."""
    count, (height, width) = contexts.count(some), contexts.size(band)
    found = np.zeros((_MAPS, count, height, width), np.int8)
    if band.level is None:
        _block_maps(found, band, contexts, some)
    elif band.level:
        differences = contexts.differences(band.plane, band.level)[:, some, :height, :width]
        sizes = logarithm(np.abs(differences) >> 1).astype(np.int16) >> 4
        found[:5] = np.sign(differences) * sizes
    for i, other in enumerate(contexts.others(band.plane)):
        same = contexts.known.get(Band(other, band.level, band.detail, band.row, band.column))
        if same is not None and band.level != 0:
            agreement = contexts.agreement(band, other)
            signed = same.signed_at(0, 0)[some]
            signs = np.sign(signed)
            found[13 + 3 * i] = signed
            found[14 + 3 * i] = signs * agreement.own(height, width)[some]
            found[15 + 3 * i] = signs * agreement.around(height, width)[some]
    return found


def features(maps: Values, known: Neighbours, some: Some, at: Positions) -> NDArray[np.float32]:
    """Describe some cells [FEATURES, n] of a band when the phase that they are in begins."""
    found = np.empty((FEATURES, len(at[0])), np.float32)
    _, height, width = known.signed.shape
    images = at[0] if isinstance(some, slice) else some[at[0]]
    place = (images * height + at[1] + MARGIN) * width + at[2] + MARGIN
    steps = _PAIRS @ (width, 1)  # [4, 2]
    both = known.signed.reshape(-1).take(place + steps[:, :, None])
    found[: len(OWN_PAIRS)] = both[:, 0] + both[:, 1]
    count, rows, columns = maps.shape[1:]
    cells = (at[0] * rows + at[1]) * columns + at[2]
    found[len(OWN_PAIRS) :] = maps.reshape(_MAPS, count * rows * columns).take(cells, axis=1)
    return found


def _block_maps(found: Values, band: Band, contexts: Contexts, some: Some) -> None:
    for i, (down, right) in enumerate(_LOWER):
        key = Band(band.plane, None, 0, band.row + down, band.column + right)
        if (known := contexts.known.get(key)) is None:
            continue
        found[i] = known.signed_at(0, 0)[some]
        if i == 0:
            found[9] = known.signed_at(1, 0)[some] - known.signed_at(-1, 0)[some]
        elif i == 1:
            found[10] = known.signed_at(0, 1)[some] - known.signed_at(0, -1)[some]
        elif i == 2:
            found[11] = known.signed_at(1, 0)[some] + known.signed_at(-1, 0)[some]
        elif i == 3:
            found[12] = known.signed_at(0, 1)[some] + known.signed_at(0, -1)[some]
