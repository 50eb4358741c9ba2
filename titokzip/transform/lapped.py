"""A lapped transform of whole images: blocks of eight samples whose basis functions overlap.

Along each axis a filter mixes the eight samples around every border between two blocks, then
a DCT-II takes each block to its frequencies (Tran, Liang and Tu, "Lapped transform via time-domain
pre- and post-filtering", IEEE Trans. Signal Processing 51(6), 2003; JPEG XR and Daala are built
alike). Synthesis undoes both. The edges of the image are not filtered. A constant image has no
coefficients but its means.

S = 8 samples a block, B blocks along an axis.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

SIDE = 8  # S, samples a block

# The filter's matrix for the differences across a border, nearest first; sums stay as they are.
# Fitted to training photos by gradient descent on the sum of log2(1 + (coefficient / theta)^2),
# with a penalty on how unevenly the means alone reconstruct a ramp.
_DIFFERENCES: NDArray[np.float64] = np.array(
    [
        [1.1018, 0.5544, 0.2771, 0.2245],
        [-0.6195, 1.1209, 0.2354, 0.2853],
        [-0.1263, -0.2322, 1.0628, 0.2896],
        [-0.0280, -0.0782, -0.1525, 1.1925],
    ]
)


def analyse(samples: Samples) -> Samples:
    """Transform the last axis [..., B S] into frequencies of blocks [..., B, S]."""
    blocks = samples.shape[-1] // SIDE
    mixed = samples.astype(np.float32)
    if blocks > 1:
        inner = mixed[..., SIDE // 2 : -SIDE // 2].reshape(*mixed.shape[:-1], blocks - 1, SIDE)
        mixed[..., SIDE // 2 : -SIDE // 2] = (inner @ _filters()[0].T).reshape(
            *mixed.shape[:-1], -1
        )
    return mixed.reshape(*mixed.shape[:-1], blocks, SIDE) @ cosines().T


def synthesise(frequencies: Samples) -> Samples:
    """Transform frequencies [..., B, S] into samples [..., B S]; the inverse of `analyse`."""
    blocks = frequencies.shape[-2]
    mixed = (frequencies @ cosines()).reshape(*frequencies.shape[:-2], -1)
    if blocks > 1:
        inner = mixed[..., SIDE // 2 : -SIDE // 2].reshape(*mixed.shape[:-1], blocks - 1, SIDE)
        mixed[..., SIDE // 2 : -SIDE // 2] = (inner @ _filters()[1].T).reshape(
            *mixed.shape[:-1], -1
        )
    return mixed


@cache
def cosines() -> Samples:
    """Give the orthonormal DCT-II [S, S], a row for each frequency."""
    at = np.arange(SIDE)
    waves = np.cos(np.pi / SIDE * (at + 0.5) * at[:, None]) * np.sqrt(2 / SIDE)
    waves[0] /= np.sqrt(2)
    matrix: Samples = waves.astype(np.float32)
    return matrix


@cache
def _filters() -> tuple[Samples, Samples]:
    """Give the filter over a border [S, S] and its inverse."""
    half = SIDE // 2
    identity, mirror = np.eye(half), np.eye(half)[::-1]
    butterfly = np.block([[identity, mirror], [mirror, -identity]]) / np.sqrt(2)
    weighted = np.eye(SIDE)
    weighted[half:, half:] = _DIFFERENCES
    forward = butterfly @ weighted @ butterfly
    return forward.astype(np.float32), np.linalg.inv(forward).astype(np.float32)
