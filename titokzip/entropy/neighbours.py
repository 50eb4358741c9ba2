"""Magnitudes of one band and of what is beside each of them, as the context model sees them.

All contexts are logarithms of sums of magnitudes, in sixteenths of an octave. A magnitude counts
at most 4,095, so that sums of eight fit 16 bits.
"""

import numpy as np
from numpy.typing import NDArray

Features = NDArray[np.float32]  # integers 0 to 240, as floats for the matrix products
Magnitudes = NDArray[np.int16]

LARGEST = 4095  # that a magnitude counts in contexts
MARGIN = 3  # zeros around a band
PHASES = ((0, 0), (1, 1), (0, 1), (1, 0))  # row and column of the cells that are coded together

_OUTER = (
    (),
    ((-3, -1), (-3, 1), (-1, -3), (-1, 3), (1, -3), (1, 3), (3, -1), (3, 1)),
    ((-2, -1), (-2, 1), (-1, -2), (-1, 2), (1, -2), (1, 2), (2, -1), (2, 1)),
    ((-2, -1), (-2, 1), (-1, -2), (-1, 2), (1, -2), (1, 2), (2, -1), (2, 1)),
)  # cells known at each phase that are more than one away
OWN = 4  # features of a cell that come from its own band


def _logarithms() -> Features:
    """Tabulate floor(16 log2(1 + n)), exactly."""
    return np.array([(int(1 + n) ** 16).bit_length() - 1 for n in range(2**15)], np.float32)


_LOGARITHMS = _logarithms()


def logarithm(sums: NDArray[np.signedinteger]) -> Features:
    """Give floor(16 log2(1 + n)) of sums n; those above 32,767 count as that."""
    return _LOGARITHMS.take(sums, mode="clip")


def density(total: int, count: int) -> float:
    """Give the logarithm of 1,024 times a mean magnitude."""
    return float(_LOGARITHMS[min((total << 10) // max(count, 1), 2**15 - 1)])


class Neighbours:
    """The magnitudes of one band [h, w], with a margin of zeros around it."""

    def __init__(self, height: int, width: int) -> None:
        self.padded: Magnitudes = np.zeros((height + 2 * MARGIN, width + 2 * MARGIN), np.int16)
        self.height, self.width = height, width
        self.total = 0
        self._around: Magnitudes | None = None

    @property
    def own(self) -> Magnitudes:
        """View the band [h, w] without the margin."""
        return self.shifted(0, 0)

    @property
    def density(self) -> float:
        """The logarithm of 1,024 times the mean magnitude."""
        return density(self.total, self.height * self.width)

    def shifted(self, down: int, right: int) -> Magnitudes:
        """View the cells [h, w] that are so far down and to the right of each."""
        top, left = MARGIN + down, MARGIN + right
        return self.padded[top : top + self.height, left : left + self.width]

    def around(self) -> Magnitudes:
        """Sum the eight neighbours of each cell; the band must be complete."""
        if self._around is None:
            part = self.padded[MARGIN - 1 : 1 - MARGIN, MARGIN - 1 : 1 - MARGIN]
            rows = part[:-2] + part[1:-1]
            rows += part[2:]
            sums = rows[:, :-2] + rows[:, 1:-1]
            sums += rows[:, 2:]
            sums -= self.own
            self._around = sums
        return self._around

    def cells(self, phase: int) -> Magnitudes:
        """View the cells of a phase."""
        row, column = PHASES[phase]
        return self.own[row::2, column::2]

    def learn(self, phase: int, magnitudes: NDArray[np.int32]) -> None:
        """Take in the magnitudes [h', w'] of a phase."""
        clipped = np.minimum(magnitudes, LARGEST)
        self.cells(phase)[:] = clipped
        self.total += int(clipped.sum())

    def coded_density(self, phase: int) -> float:
        """Give the density of the cells that come before a phase."""
        return density(self.total, sum(self.cells(earlier).size for earlier in range(phase)))

    def own_features(self, phase: int) -> Features:
        """Give the features [4, h', w'] of a phase: above and below, beside, diagonal, outer."""
        height, width = self.cells(phase).shape
        features = np.zeros((OWN, height, width), np.float32)
        if phase >= 2:
            features[0] = logarithm(self._near(phase, -1, 0) + self._near(phase, 1, 0))
            features[1] = logarithm(self._near(phase, 0, -1) + self._near(phase, 0, 1))
        if phase in (1, 3):
            features[2] = logarithm(self._sum(phase, ((-1, -1), (-1, 1), (1, -1), (1, 1))))
        if phase:
            features[3] = logarithm(self._sum(phase, _OUTER[phase]))
        return features

    def _near(self, phase: int, down: int, right: int) -> Magnitudes:
        row, column = PHASES[phase]
        return self.shifted(down, right)[row::2, column::2]

    def _sum(self, phase: int, offsets: tuple[tuple[int, int], ...]) -> Magnitudes:
        total = self._near(phase, *offsets[0]) + self._near(phase, *offsets[1])
        for offset in offsets[2:]:
            total += self._near(phase, *offset)
        return total
