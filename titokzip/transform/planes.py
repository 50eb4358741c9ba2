"""Pixels to planes of the working image and back.

Colours are rotated to luma and two planes of chroma by an orthonormal matrix. A grey image is the
luma that it would have in colour; alpha is a plane like it.

C channels: grey (1), grey and alpha (2), red, green and blue (3), with alpha (4).
"""

import numpy as np
from numpy.typing import NDArray

from titokzip.transform import resample
from titokzip.transform.lapped import SIDE
from titokzip.transform.pyramid import ROTATION
from titokzip.transform.working_size import working_blocks

Planes = NDArray[np.float32]

CENTRE = 128
MASK_SCALE = np.float32(0.25)  # of alpha that is a mask
MASK_SLOPE = 2  # to which a mask is steepened when it is decoded; errors beyond 0 and 255 vanish
_GREY = np.float32(3**0.5)  # the luma of a unit of grey


def to_planes(pixels: NDArray[np.uint8], mask: bool = False) -> Planes:
    """Convert pixels [H, W, C] to planes [C, H, W]; alpha that is a mask is scaled down."""
    centred = pixels.transpose(2, 0, 1).astype(np.float32, order="C")
    centred -= CENTRE
    if mask:
        centred[-1] *= MASK_SCALE
    return rotated(centred)


def rotated(channels: Planes) -> Planes:
    """Rotate channels [C, H, W], or differences of them, to planes [C, H, W]."""
    if len(channels) < 3:
        return channels * _GREY
    colours = np.tensordot(ROTATION, channels[:3], 1)
    return colours if len(channels) == 3 else np.concatenate([colours, channels[3:] * _GREY])


def to_channels(planes: Planes, mask: bool = False) -> Planes:
    """Convert planes [C, H, W] to channels [C, H, W], 0 to 255 but not clipped."""
    if len(planes) < 3:
        channels = planes / _GREY
    else:
        channels = np.concatenate([np.tensordot(ROTATION.T, planes[:3], 1), planes[3:] / _GREY])
    if mask:
        channels[-1] *= MASK_SLOPE / MASK_SCALE
    return channels + CENTRE


def reduce(planes: Planes, blocks: int, size: tuple[int, int]) -> Planes:
    """Bring planes [C, H, W] to the working size of an image of a width and height.

    At their own size, which is that of the image then, they are padded.
    """
    height, width = planes.shape[1:]
    rows, columns = working_blocks(*size, blocks)
    if blocks:
        return resample.reduce(planes, rows * SIDE, columns * SIDE)
    margin = (0, rows * SIDE - height), (0, columns * SIDE - width)
    return np.pad(planes, ((0, 0), *margin), mode="symmetric")


def enlarge(planes: Planes, width: int, height: int, blocks: int) -> Planes:
    """Bring planes of the working image to [C, H, W]."""
    if blocks:
        return resample.enlarge(planes, height, width)
    return planes[:, :height, :width]
