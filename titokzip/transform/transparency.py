"""What an encoder does about transparency before it transforms an image.

H x W pixels, alpha 0 to 255.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from titokzip.transform.planes import Planes
from titokzip.transform.resample import enlarge

_EXTREME: Final = 3  # levels from 0 or 255, up to which a pixel is as good as either
_AROUND: Final = 5  # pixels along the square in which a hard edge has both extremes
_SOFT: Final = 0.02  # share of the pixels in between that a mask may have elsewhere


def is_mask(alpha: Image.Image) -> bool:
    """Tell whether alpha (mode L) is all or nothing, but for the pixels along hard edges."""
    levels = np.asarray(alpha)
    between = np.minimum(levels, 255 - levels) > _EXTREME
    most = np.asarray(alpha.filter(ImageFilter.MaxFilter(_AROUND)))
    least = np.asarray(alpha.filter(ImageFilter.MinFilter(_AROUND)))
    on_edge = (most >= 255 - _EXTREME) & (least <= _EXTREME)
    return int((between & ~on_edge).sum()) <= _SOFT * int(between.sum())


def with_hidden_colours(planes: Planes, hidden: NDArray[np.bool_]) -> Planes:
    """Replace the colours of hidden pixels [H, W] by smooth ones; the last plane is alpha.

    Nobody sees them, and what a program left there can cost more than the image.
    """
    if not hidden.any():
        return planes
    if hidden.all():
        return np.concatenate([np.zeros_like(planes[:-1]), planes[-1:]])
    colours = _filled(planes[:-1], (~hidden).astype(np.float32))
    return np.concatenate([colours, planes[-1:]])


def _filled(colours: Planes, weights: NDArray[np.float32]) -> Planes:
    """Fill colours [C, H, W] of no weight [H, W] from a version of half the size."""
    height, width = weights.shape
    if weights.all() or max(height, width) == 1:
        return colours
    shares = _halved(weights[None])
    sums: Planes = _halved((colours * weights).astype(np.float32))
    sums /= np.maximum(shares, np.float32(1e-9))
    coarse = _filled(sums, np.minimum(shares[0] * 4, 1))
    back = enlarge(coarse, 2 * coarse.shape[1], 2 * coarse.shape[2])[:, :height, :width]
    found: Planes = (colours * weights + back * (1 - weights)).astype(np.float32)
    return found


def _halved(planes: Planes) -> Planes:
    """Average planes [C, H, W] over squares of two pixels; the last row and column are repeated."""
    margin = (0, planes.shape[1] % 2), (0, planes.shape[2] % 2)
    even = np.pad(planes, ((0, 0), *margin), mode="edge")
    rows = even[:, ::2] + even[:, 1::2]
    found: Planes = rows[:, :, ::2] + rows[:, :, 1::2]
    found *= np.float32(0.25)
    return found
