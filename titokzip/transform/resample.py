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

SOFTNESS = 0.4  # 0 is least squares, whose sharpness costs too many bits; chosen on photos


def reduce(planes: Planes, height: int, width: int) -> Planes:
    """Reduce planes [C, H, W] to [C, height, width]."""
    reduced = _resize(planes, height, width)
    if height < planes.shape[1]:
        reduced = _sharpening(height, planes.shape[1]) @ reduced
    if width < planes.shape[2]:
        reduced = reduced @ _sharpening(width, planes.shape[2]).T
    return reduced


def enlarge(planes: Planes, height: int, width: int) -> Planes:
    """Enlarge planes [C, h, w] to [C, height, width]."""
    return _resize(planes, height, width)


def _resize(planes: Planes, height: int, width: int) -> Planes:
    if planes.shape[1:] == (height, width):
        return planes
    size, lanczos = (width, height), Image.Resampling.LANCZOS
    images = (Image.fromarray(np.ascontiguousarray(plane, np.float32)) for plane in planes)
    return np.stack([np.asarray(image.resize(size, lanczos)) for image in images])


@lru_cache(maxsize=16)
def _sharpening(small: int, large: int) -> Planes:
    """Give the matrix [small, small] that sharpens samples reduced from `large` samples."""
    units = np.eye(small, dtype=np.float32)[None]
    enlarged = _resize(units, small, large)[0].astype(np.float64)  # [small, large]
    overlap = enlarged @ enlarged.T * (small / large)
    inverse = np.linalg.inv(overlap + SOFTNESS * np.eye(small))
    matrix: Planes = (inverse / inverse.sum(axis=1, keepdims=True)).astype(np.float32)
    return matrix  # rows sum to one: a constant stays constant
