"""The features of the frequencies of the blocks."""

import numpy as np

from titokzip.entropy.contexts import Contexts
from titokzip.entropy.mean_values import SHAPE_FEATURES, shape_features
from titokzip.entropy.neighbours import MARGIN, Features, around, enlarged, logarithm
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
    """Describe a band [SCALARS] before it is known whether it is empty."""
    plane, others, activity = band.plane, contexts.others(band.plane), contexts.activity
    near = [_density(contexts, plane, band.row + y, band.column + x) for y, x in _NEAR[:5]]
    same = [_density(contexts, other, band.row, band.column) for other in others]
    features = np.zeros(SCALARS, np.float32)
    features[:6] = [*near, _density(contexts, plane, band.column, band.row)]
    features[6 : 6 + len(same)] = same
    features[8:10] = activity[plane].density(0), activity[plane].density(1)
    features[10:12] = contexts.empty_run(plane), contexts.last_density(plane)
    features[12 : 12 + len(same)] = [activity[other].density(0) for other in others]
    return features


def maps(band: Band, contexts: Contexts) -> Features:
    """Describe the blocks [MAPS, By, Bx] of a frequency that is not empty."""
    plane, height, width = band.plane, contexts.rows, contexts.columns
    features = np.zeros((MAPS, height, width), np.float32)
    weighted = np.zeros((height + 2 * MARGIN, width + 2 * MARGIN), np.int32)
    for i, (down, right) in enumerate(_NEAR):
        one = contexts.known.get(Band(plane, None, 0, band.row + down, band.column + right))
        if one is not None:
            weighted += one.padded * np.int32(_WEIGHTS[i])
            features[i] = logarithm(one.own)
            if i < 3:
                features[9 + i] = logarithm(one.around())
            if i < 2:
                features[12 + 2 * i] = logarithm(one.shifted(-1, 0) + one.shifted(1, 0))
                features[13 + 2 * i] = logarithm(one.shifted(0, -1) + one.shifted(0, 1))
    features[16] = logarithm(weighted[MARGIN:-MARGIN, MARGIN:-MARGIN])
    features[17] = logarithm(around(weighted))
    _activity_maps(features[18:26], plane, contexts)
    for i, other in enumerate(contexts.others(plane)):
        _other_maps(features[26 + 5 * i : 31 + 5 * i], band, other, contexts)
    features[36:] = _lasting_maps(plane, contexts)
    return features


def _density(contexts: Contexts, plane: int, row: int, column: int) -> float:
    return contexts.density(Band(plane, None, 0, row, column))


def _activity_maps(features: Features, plane: int, contexts: Contexts) -> None:
    activity = contexts.activity[plane]
    for kind in range(2):
        features[2 * kind] = logarithm(activity.own(kind))
        features[2 * kind + 1] = logarithm(activity.around(kind))
    vertical, horizontal = activity.sums[2], activity.sums[3]
    features[4] = logarithm(activity.own(2))
    features[5] = logarithm(vertical[1:-1, :-2] + vertical[1:-1, 2:])
    features[6] = logarithm(activity.own(3))
    features[7] = logarithm(horizontal[:-2, 1:-1] + horizontal[2:, 1:-1])


def _other_maps(features: Features, band: Band, other: int, contexts: Contexts) -> None:
    same = contexts.known.get(Band(other, None, 0, band.row, band.column))
    if same is not None:
        features[0] = logarithm(same.own)
        features[1] = logarithm(same.around())
    features[2] = logarithm(contexts.activity[other].own(0))
    features[3] = logarithm(contexts.activity[other].around(0))
    beside = [
        known.own
        for down, right in _BESIDE
        if (known := contexts.known.get(Band(other, None, 0, band.row + down, band.column + right)))
    ]
    if beside:
        features[4] = logarithm(np.sum(beside, axis=0, dtype=np.int32))


def _lasting_maps(plane: int, contexts: Contexts) -> Features:
    """Give the features of a plane's blocks that come from its pyramid and their place."""
    found = contexts.lasting.get(plane)
    if found is not None:
        return found
    depth, size = len(contexts.sizes) - 1, (contexts.rows, contexts.columns)
    found = np.zeros((10 + SHAPE_FEATURES, *size), np.float32)
    coarser = np.zeros(size, np.int32)
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
