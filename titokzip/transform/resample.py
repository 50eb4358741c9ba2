"""The source to the working size and back, by Pillow's Lanczos filter.

The format specifies how an image is enlarged; how it is reduced is up to the encoder. Reducing and
enlarging with Lanczos alone blurs a little, so the encoder sharpens the reduced image along each
axis: part of the way to the image that, enlarged, is nearest to the source in least squares.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Planes = NDArray[np.float32]

_ROWS = 64  # of a matrix that are multiplied together
_REACH = 20  # samples from the diagonal, beyond which sharpening is below 1e-8, or 1e-4 near 1:1
SOFTNESS = 0.4  # 0 is least squares, whose sharpness costs too many bits; chosen on photos


class _Strip(NamedTuple):
    """Rows of a matrix that is zero but near its diagonal."""

    rows: slice
    near: slice  # columns where they are not zero
    part: Planes


def reduce(planes: Planes, height: int, width: int) -> Planes:
    """Reduce planes [C, H, W] to [C, height, width]."""
    reduced = _resize(planes, height, width)
    if height < planes.shape[1]:
        reduced = _filtered(reduced, _sharpening(height, planes.shape[1]))
    if width < planes.shape[2]:
        across = reduced.transpose(0, 2, 1)
        reduced = _filtered(across, _sharpening(width, planes.shape[2])).transpose(0, 2, 1)
    return np.ascontiguousarray(reduced)


def enlarge(planes: Planes, height: int, width: int) -> Planes:
    """Enlarge planes [C, h, w] to [C, height, width]."""
    return _resize(planes, height, width)


def _resize(planes: Planes, height: int, width: int) -> Planes:
    if planes.shape[1:] == (height, width):
        return planes
    size, lanczos = (width, height), Image.Resampling.LANCZOS
    images = (Image.fromarray(np.ascontiguousarray(plane, np.float32)) for plane in planes)
    return np.stack([np.asarray(image.resize(size, lanczos)) for image in images])


def _filtered(planes: Planes, strips: tuple[_Strip, ...]) -> Planes:
    """Multiply a matrix [H, H] by planes [C, H, W]."""
    found = np.empty(planes.shape, np.float32)
    for rows, near, part in strips:
        np.matmul(part, planes[:, near], out=found[:, rows])
    return found


@lru_cache(maxsize=16)
def _sharpening(small: int, large: int) -> tuple[_Strip, ...]:
    """Give the matrix [small, small] that sharpens samples reduced from `large` samples.

    Each strip is inverted by itself, without what is beyond its reach.
    """
    enlarging, strips = _enlarging(small, large), []
    for top in range(0, small, _ROWS):
        rows = slice(top, min(top + _ROWS, small))
        near = slice(max(top - _REACH, 0), min(rows.stop + _REACH, small))
        first, last = (near.start - 3) * large // small, (near.stop + 3) * large // small
        basis = enlarging[near, max(first, 0) : last + 1]
        overlap = basis @ basis.T * (small / large)
        inverse = np.linalg.inv(overlap + SOFTNESS * np.eye(len(overlap)))
        part = inverse[top - near.start :][: rows.stop - top]
        part /= part.sum(axis=1, keepdims=True)  # rows sum to one: a constant stays constant
        strips.append(_Strip(rows, near, part.astype(np.float32)))
    return tuple(strips)


def _enlarging(small: int, large: int) -> NDArray[np.float64]:
    """Give the matrix [small, large] by which Lanczos enlarges `small` samples."""
    places = (np.arange(large) + 0.5) * small / large - 0.5
    taps = np.floor(places).astype(int) + np.arange(-2, 4)[:, None]  # [6, large]
    distances = taps - places
    weights = np.sinc(distances) * np.sinc(distances / 3) * (np.abs(distances) < 3)
    weights *= (taps >= 0) & (taps < small)
    matrix = np.zeros((small + 6, large))  # with a margin for taps beyond the ends
    matrix[taps + 3, np.arange(large)] = weights / weights.sum(axis=0)
    return matrix[3:-3]
