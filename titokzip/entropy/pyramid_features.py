"""The features of the bands of the pyramid: N images, A of them with something in a band."""

import numpy as np
from numpy.typing import NDArray

from titokzip.entropy.contexts import Contexts
from titokzip.entropy.mean_values import SHAPE_FEATURES, shape_features
from titokzip.entropy.neighbours import Features, Some, enlarged, logarithm
from titokzip.transform.bands import Band

MAPS = 19 + SHAPE_FEATURES
SCALARS = 8
LEVEL_CLASSES = 10  # levels told apart, finest first
CLASSES = 3 * LEVEL_CLASSES * 4
EDGE = 16  # the feature of a cell at an edge of the image


def band_class(band: Band, contexts: Contexts) -> int:
    """Number the class of a band: its plane, level and detail; alpha counts as luma."""
    assert band.level is not None
    finest_first = min(len(contexts.sizes) - 1 - band.level, LEVEL_CLASSES - 1)
    level = contexts.kind(band.plane) * LEVEL_CLASSES + finest_first
    return 4 * level + (band.detail if band.level else 3)


def scalars(band: Band, contexts: Contexts) -> Features:
    """Describe a band [SCALARS, N] before it is known whether it is empty."""
    plane, level, detail = band.plane, band.level, band.detail
    assert level is not None
    features = np.zeros((SCALARS, contexts.images), np.float32)
    if level > 1:
        features[0] = contexts.density(Band(plane, level - 1, detail))
    for earlier in range(detail):
        features[1 + earlier] = contexts.density(Band(plane, level, earlier))
    for i, other in enumerate(contexts.others(plane)[:plane]):
        known = contexts.known.get(Band(other, level, detail))
        if known:
            features[3 + i] = known.density() if level else logarithm(known.total)
    features[5], features[6] = contexts.empty_run(plane), contexts.last_density(plane)
    if level and (known := contexts.known.get(Band(plane, 0))):
        features[7] = logarithm(known.total)
    return features


def maps(band: Band, contexts: Contexts, some: Some) -> Features:
    """Describe the cells [MAPS, A, h, w] of a band that is not empty."""
    plane, level, detail = band.plane, band.level, band.detail
    assert level is not None
    height, width = contexts.size(band)
    count = contexts.count(some)
    features = np.zeros((MAPS, count, height, width), np.float32)
    for earlier in range(detail):
        if known := contexts.known.get(Band(plane, level, earlier)):
            _fit(features[2 * earlier], known.own[some])
            _fit(features[2 * earlier + 1], known.around()[some])
    if level > 1:
        _parent_maps(features[4:9], band, contexts, some)
    for i, other in enumerate(contexts.others(plane)[:plane]):
        if known := contexts.known.get(Band(other, level, detail)):
            features[9 + 2 * i] = logarithm(known.own[some])
            features[10 + 2 * i] = logarithm(known.around()[some])
    mark_places(features[13:17])
    if level:
        for i, one in enumerate(contexts.colours(plane, level)):
            features[17 + i] = one[some, :height, :width]
        shape = contexts.differences(plane, level)[:, some, :height, :width]
        features[19:] = shape_features(shape)
    return features


def _fit(feature: Features, sums: NDArray[np.int16]) -> None:
    """Fill in a band whose sides may be one more or less."""
    height, width = np.minimum(feature.shape[1:], sums.shape[1:])
    feature[:, :height, :width] = logarithm(sums[:, :height, :width])


def _parent_maps(features: Features, band: Band, contexts: Contexts, some: Some) -> None:
    """Describe the details of the coarser level: this one, its neighbours, the others."""
    assert band.level is not None
    size = contexts.size(band)
    for i in range(3):
        detail = (band.detail + i) % 3
        if known := contexts.known.get(Band(band.plane, band.level - 1, detail)):
            features[i] = enlarged(logarithm(known.own[some]), *size, 2)
            if i == 0:
                features[3] = enlarged(logarithm(known.around()[some]), *size, 2)
    if known := contexts.known.get(Band(band.plane, band.level - 2, band.detail)):
        features[4] = enlarged(logarithm(known.own[some]), *size, 4)


def mark_places(features: Features) -> None:
    """Say of cells [4, A, h, w] whether they are at an edge of both axes, and where they are."""
    height, width = features.shape[2:]
    features[0][:, 0] = features[0][:, -1] = EDGE
    features[1][..., 0] = features[1][..., -1] = EDGE
    features[2] = ((2 * np.arange(height) + 1) * 120 // height)[:, None]
    features[3] = np.abs(2 * np.arange(width) + 1 - width) * 240 // width
