"""The source to the working size and back, by Pillow's Lanczos filter.

The format specifies how an image is enlarged; how it is reduced is up to the encoder. Reducing and
enlarging with Lanczos alone blurs a little, so the encoder sharpens the reduced image along each
axis: part of the way to the image that, enlarged, is nearest to the source in least squares.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Planes = NDArray[np.float32]

_ROWS = 64  # of a matrix that are multiplied together
_REACH = 20  # samples from the diagonal, beyond which sharpening is below 1e-8
SOFTNESS = 0.4  # 0 is least squares, whose sharpness costs too many bits; chosen on photos


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


def _filtered(planes: Planes, matrix: Planes) -> Planes:
    """Multiply a matrix [H, H] that is zero but near its diagonal by planes [C, H, W]."""
    found = np.empty(planes.shape, np.float32)
    for top in range(0, len(matrix), _ROWS):
        rows = slice(top, top + _ROWS)
        near = slice(max(top - _REACH, 0), top + _ROWS + _REACH)
        np.matmul(matrix[rows, near], planes[:, near], out=found[:, rows])
    return found


@lru_cache(maxsize=16)
def _sharpening(small: int, large: int) -> Planes:
    """Give the matrix [small, small] that sharpens samples reduced from `large` samples."""
    units = np.eye(small, dtype=np.float32)[None]
    enlarged = _resize(units, small, large)[0].astype(np.float64)  # [small, large]
    overlap = enlarged @ enlarged.T * (small / large)
    inverse = np.linalg.inv(overlap + SOFTNESS * np.eye(small))
    matrix: Planes = (inverse / inverse.sum(axis=1, keepdims=True)).astype(np.float32)
    return matrix  # rows sum to one: a constant stays constant
