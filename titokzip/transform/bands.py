"""The order in which coefficients are coded: bands, coarse to fine over the whole image.

A band holds the coefficients of one plane and one frequency, at every place of the image. First
come the levels of the pyramid of means, coarsest first, of all planes; then the frequencies of the
blocks. The chroma frequencies of a radius follow the luma frequencies of 2.6 times that radius.
The order follows from the number of planes and blocks alone.

C planes: luma (1), luma and alpha (2), luma and two of chroma (3), all four (4).
S = 8, By x Bx blocks.
"""

from collections.abc import Iterator
from functools import cache
from math import isqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from titokzip.transform.lapped import SIDE
from titokzip.transform.pyramid import Coefficients, Integers, levels

CHROMA_LAG = 13, 5  # ratio of the luma radius to the chroma radius that are coded together


class Band(NamedTuple):
    """Where one band is: in `means[level][detail][plane]`, or in `blocks[plane, row, column]`."""

    plane: int
    level: int | None  # of the pyramid, 0 the coarsest; None: a frequency of the blocks
    detail: int = 0  # horizontal, vertical, diagonal; 0 at the coarsest level
    row: int = 0
    column: int = 0

    def of(self, pyramid: Coefficients) -> NDArray[np.float32]:
        """View this band [h, w] of an image's coefficients."""
        if self.level is None:
            band: NDArray[np.float32] = pyramid.blocks[self.plane, self.row, self.column]
        else:
            band = pyramid.means[self.level][self.detail][self.plane]
        return band

    def of_integers(self, integers: Integers) -> NDArray[np.int32]:
        """View this band [h, w] of an image's integers."""
        if self.level is None:
            band: NDArray[np.int32] = integers.blocks[self.plane, self.row, self.column]
        else:
            band = integers.means[self.level][self.detail][self.plane]
        return band


def is_chroma(plane: int, planes: int) -> bool:
    """Tell whether a plane of C holds chroma."""
    return planes >= 3 and plane in (1, 2)


def in_order(planes: int, rows: int, columns: int) -> Iterator[Band]:
    """List the bands of an image of C planes and By x Bx blocks in coding order.

    Some have no coefficients, where a side has too few means to halve.
    """
    for level in range(levels(rows, columns) + 1):
        for detail in range(3 if level else 1):
            for plane in range(planes):
                yield Band(plane, level, detail)
    yield from _frequencies(planes)


@cache
def _frequencies(planes: int) -> tuple[Band, ...]:
    """List the frequencies of blocks but the means, coarse to fine."""
    bands = [
        Band(plane, None, 0, row, column)
        for plane in range(planes)
        for row in range(SIDE)
        for column in range(SIDE)
        if row or column
    ]
    return tuple(sorted(bands, key=lambda band: _fineness(band, planes)))


def _fineness(band: Band, planes: int) -> tuple[int, int, int, int]:
    """Give what bands are sorted by: the radius, in integers so that all machines agree."""
    radius = isqrt(10**8 * (band.row**2 + band.column**2)) + 200 * (band.row > 0 < band.column)
    radius *= CHROMA_LAG[0] if is_chroma(band.plane, planes) else CHROMA_LAG[1]
    return radius, band.plane, abs(band.row - band.column), band.row


def flatten(integers: Integers) -> NDArray[np.int32]:
    """Give the integers of an image as one row [L], in coding order: its tokens."""
    planes, _, _, rows, columns = integers.blocks.shape
    bands = in_order(planes, rows, columns)
    return np.concatenate([band.of_integers(integers).ravel() for band in bands])
