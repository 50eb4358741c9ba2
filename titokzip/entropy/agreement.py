"""How far the signs of two planes agreed so far at each place, as a context of further signs."""

import numpy as np
from numpy.typing import NDArray

from titokzip.entropy.neighbours import Neighbours, enlarged

_LIMIT = 3


class Agreement:
    """Sums of products of the signs of two planes, on the grid of the level that is being coded.

    N images of one size.
    """

    def __init__(self, images: int) -> None:
        self._level = 0
        self._sums = np.zeros((images, 3, 3), np.int16)  # padded by a cell

    def refine(self, level: int, height: int, width: int) -> None:
        """Go on to a finer level, whose grid is [height, width]."""
        if level > self._level:
            factor = 2 ** (level - self._level)
            inner = enlarged(self._sums[:, 1:-1, 1:-1], height, width, factor)
            self._sums = np.pad(inner, ((0, 0), (1, 1), (1, 1)))
            self._level = level

    def add(self, one: Neighbours, other: Neighbours) -> None:
        """Take in a band of both planes."""
        part = self._sums[:, 1 : 1 + one.height, 1 : 1 + one.width]
        part += np.sign(one.signed_at(0, 0)) * np.sign(other.signed_at(0, 0))

    def own(self, height: int, width: int) -> NDArray[np.int8]:
        """Give the sums of the first cells [N, height, width], -3 to 3."""
        part = self._sums[:, 1 : 1 + height, 1 : 1 + width]
        return part.clip(-_LIMIT, _LIMIT).astype(np.int8)

    def around(self, height: int, width: int) -> NDArray[np.int8]:
        """Give the sums over the eight neighbours of the first cells, -3 to 3."""
        part = self._sums[:, : 2 + height, : 2 + width]
        rows = part[:, :-2] + part[:, 1:-1] + part[:, 2:]
        sums = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:] - part[:, 1:-1, 1:-1]
        limited: NDArray[np.int8] = sums.clip(-_LIMIT, _LIMIT).astype(np.int8)
        return limited
