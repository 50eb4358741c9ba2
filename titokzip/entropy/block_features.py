"""The features of the frequencies of the blocks: N images, A of them with something in a band."""

import numpy as np

from titokzip.entropy.contexts import Contexts
from titokzip.entropy.mean_values import SHAPE_FEATURES, shape_features
from titokzip.entropy.neighbours import MARGIN, Features, Some, around, enlarged, logarithm
from titokzip.entropy.pyramid_features import mark_places
from titokzip.transform.bands import Band
from titokzip.transform.lapped import SIDE

MAPS = 46 + SHAPE_FEATURES
SCALARS = 14
CLASSES = 3 * SIDE * SIDE

_NEAR = ((-1, 0), (0, -1), (-1, -1), (-2, 0), (0, -2), (1, -1), (-1, 1), (1, 0), (0, 1))
_WEIGHTS = (2, 2, 1, 1, 1, 1, 1, 1, 1)  # of the near frequencies in their weighted sum
_BESIDE = ((-1, 0), (0, -1), (1, 0), (0, 1))


def band_class(band: Band, contexts: Contexts) -> int:
    """Number the class of a band: its plane and frequency; alpha counts as luma."""
    return (contexts.kind(band.plane) * SIDE + band.row) * SIDE + band.column


def scalars(band: Band, contexts: Contexts) -> Features:
    """Describe a band [SCALARS, N] before it is known whether it is empty."""
    plane, others, activity = band.plane, contexts.others(band.plane), contexts.activity
    features = np.zeros((SCALARS, contexts.images), np.float32)
    for i, (y, x) in enumerate(_NEAR[:5]):
        features[i] = _density(contexts, plane, band.row + y, band.column + x)
    features[5] = _density(contexts, plane, band.column, band.row)
    for i, other in enumerate(others):
        features[6 + i] = _density(contexts, other, band.row, band.column)
        features[12 + i] = activity[other].density(0)
    features[8], features[9] = activity[plane].density(0), activity[plane].density(1)
    features[10], features[11] = contexts.empty_run(plane), contexts.last_density(plane)
    return features


def maps(band: Band, contexts: Contexts, some: Some) -> Features:
    """Describe the blocks [MAPS, A, By, Bx] of a frequency that is not empty."""
    plane, height, width = band.plane, contexts.rows, contexts.columns
    count = contexts.count(some)
    features = np.zeros((MAPS, count, height, width), np.float32)
    weighted = np.zeros((count, height + 2 * MARGIN, width + 2 * MARGIN), np.int32)
    for i, (down, right) in enumerate(_NEAR):
        one = contexts.known.get(Band(plane, None, 0, band.row + down, band.column + right))
        if one is not None:
            weighted += one.padded[some] * np.int32(_WEIGHTS[i])
            features[i] = logarithm(one.own[some])
            if i < 3:
                features[9 + i] = logarithm(one.around()[some])
            if i < 2:
                vertical = one.shifted(-1, 0)[some] + one.shifted(1, 0)[some]
                horizontal = one.shifted(0, -1)[some] + one.shifted(0, 1)[some]
                features[12 + 2 * i] = logarithm(vertical)
                features[13 + 2 * i] = logarithm(horizontal)
    features[16] = logarithm(weighted[:, MARGIN:-MARGIN, MARGIN:-MARGIN])
    features[17] = logarithm(around(weighted))
    _activity_maps(features[18:26], plane, contexts, some)
    for i, other in enumerate(contexts.others(plane)):
        _other_maps(features[26 + 5 * i : 31 + 5 * i], band, other, contexts, some)
    features[36:] = _lasting_maps(plane, contexts)[:, some]
    return features


def _density(contexts: Contexts, plane: int, row: int, column: int) -> Features | float:
    return contexts.density(Band(plane, None, 0, row, column))


def _activity_maps(features: Features, plane: int, contexts: Contexts, some: Some) -> None:
    activity = contexts.activity[plane]
    for kind in range(2):
        features[2 * kind] = logarithm(activity.own(kind)[some])
        features[2 * kind + 1] = logarithm(activity.around(kind)[some])
    vertical, horizontal = activity.sums[2][some], activity.sums[3][some]
    features[4] = logarithm(activity.own(2)[some])
    features[5] = logarithm(vertical[:, 1:-1, :-2] + vertical[:, 1:-1, 2:])
    features[6] = logarithm(activity.own(3)[some])
    features[7] = logarithm(horizontal[:, :-2, 1:-1] + horizontal[:, 2:, 1:-1])


def _other_maps(features: Features, band: Band, other: int, contexts: Contexts, some: Some) -> None:
    same = contexts.known.get(Band(other, None, 0, band.row, band.column))
    if same is not None:
        features[0] = logarithm(same.own[some])
        features[1] = logarithm(same.around()[some])
    features[2] = logarithm(contexts.activity[other].own(0)[some])
    features[3] = logarithm(contexts.activity[other].around(0)[some])
    beside = [
        known.own[some]
        for down, right in _BESIDE
        if (known := contexts.known.get(Band(other, None, 0, band.row + down, band.column + right)))
    ]
    if beside:
        features[4] = logarithm(np.sum(beside, axis=0, dtype=np.int32))


def _lasting_maps(plane: int, contexts: Contexts) -> Features:
    """Give the features [..., N, By, Bx] of blocks that come from the pyramid and their place."""
    found = contexts.lasting.get(plane)
    if found is not None:
        return found
    depth, size = len(contexts.sizes) - 1, (contexts.rows, contexts.columns)
    found = np.zeros((10 + SHAPE_FEATURES, contexts.images, *size), np.float32)
    coarser = np.zeros((contexts.images, *size), np.int32)
    for level in range(max(depth - 1, 1), depth + 1):
        for detail in range(3):
            known = contexts.known.get(Band(plane, level, detail))
            if known is None:
                continue
            if level == depth:
                found[detail] = enlarged(logarithm(known.own), *size, 2)
            else:
                coarser += enlarged(known.own, *size, 4)
    found[3] = logarithm(coarser)
    mark_places(found[4:8])
    found[8:10] = contexts.colours(plane, depth + 1)
    found[10:] = shape_features(contexts.differences(plane, depth + 1))
    contexts.lasting[plane] = found
    return found
