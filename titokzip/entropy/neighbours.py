"""Magnitudes of one band and of what is beside each of them, as the context model sees them.

All contexts are logarithms of sums of magnitudes, in sixteenths of an octave. A magnitude counts
at most 4,095, so that sums of eight fit 16 bits.

N images of one size, which are coded side by side; A of them that have something in a band.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import isqrt
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T", bound=np.generic)

Features = NDArray[np.float32]  # integers 0 to 240, as floats for the matrix products
Magnitudes = NDArray[np.int16]

LARGEST = 4095  # that a magnitude counts in contexts
SIGNED_LIMIT = 3  # of a value in the contexts of signs
MARGIN = 3  # zeros around a band
OWN = 4  # features of a cell that come from its own band

Offsets = tuple[tuple[int, int], ...]
Some = NDArray[np.intp] | slice  # which of N images


@dataclass(frozen=True)
class Phase:
    """Cells of a band that are coded together: every `stride`-th row and column."""

    stride: int
    row: int
    column: int
    groups: tuple[Offsets, ...]  # cells known by then, one group for each of the OWN features

    @cached_property
    def offsets(self) -> NDArray[np.intp]:
        """Rows and columns [k, 2] from a cell to those of all groups."""
        return np.array([at for group in self.groups for at in group], np.intp).reshape(-1, 2)

    @cached_property
    def sums(self) -> Features:
        """Tell which of the offsets each group sums: [4, k], ones and zeros."""
        counts = [len(group) for group in self.groups]
        return np.repeat(np.eye(OWN, dtype=np.float32), counts, axis=1)

    def steps(self, width: int) -> NDArray[np.intp]:
        """Give the offsets [k] in rows of a width that follow each other."""
        steps: NDArray[np.intp] = self.offsets @ (width, 1)
        return steps

    def of(self, band: NDArray[T]) -> NDArray[T]:
        """View the cells [..., h', w'] of this phase in a band [..., h, w]."""
        return band[..., self.row :: self.stride, self.column :: self.stride]


_VERTICAL, _HORIZONTAL = ((-1, 0), (1, 0)), ((0, -1), (0, 1))
_DIAGONAL = ((-1, -1), (-1, 1), (1, -1), (1, 1))
_KNIGHT = ((-2, -1), (-2, 1), (-1, -2), (-1, 2), (1, -2), (1, 2), (2, -1), (2, 1))
_FAR = ((-3, -1), (-3, 1), (-1, -3), (-1, 3), (1, -3), (1, 3), (3, -1), (3, 1))


def _twice(offsets: Offsets) -> Offsets:
    return tuple((2 * down, 2 * right) for down, right in offsets)


PHASES = (
    Phase(4, 0, 0, ((), (), (), ())),
    Phase(4, 2, 2, ((), (), _twice(_DIAGONAL), ())),
    Phase(4, 0, 2, (_twice(_VERTICAL), _twice(_HORIZONTAL), (), ())),
    Phase(4, 2, 0, (_twice(_VERTICAL), _twice(_HORIZONTAL), _twice(_DIAGONAL), ())),
    Phase(2, 1, 1, ((), (), _DIAGONAL, _FAR)),
    Phase(2, 0, 1, (_VERTICAL, _HORIZONTAL, (), _KNIGHT)),
    Phase(2, 1, 0, (_VERTICAL, _HORIZONTAL, _DIAGONAL, _KNIGHT)),
)


@lru_cache(maxsize=64)
def _cells(
    images: int, height: int, width: int, stride: int, row: int, column: int
) -> NDArray[np.intp]:
    """Give the places [N, n] of the cells of a phase in bands with their margins, in one row."""
    rows = np.arange(row, height, stride) + MARGIN
    columns = np.arange(column, width, stride) + MARGIN
    places = rows[:, None] * (width + 2 * MARGIN) + columns
    area = (height + 2 * MARGIN) * (width + 2 * MARGIN)
    found: NDArray[np.intp] = np.arange(images)[:, None] * area + places.ravel()
    return found


def _logarithms() -> Features:
    """Tabulate floor(16 log2(1 + n)), exactly."""
    least = [_ceiling_of_root(2**logarithm) for logarithm in range(16 * 15 + 1)]
    return np.searchsorted(least, np.arange(1, 2**15 + 1), side="right").astype(np.float32) - 1


def _ceiling_of_root(power: int) -> int:
    """Give the least integer whose 16th power is at least that."""
    root = isqrt(isqrt(isqrt(isqrt(power))))
    return root + (root**16 < power)


_LOGARITHMS = _logarithms()


def logarithm(sums: NDArray[np.signedinteger] | np.signedinteger) -> Features:
    """Give floor(16 log2(1 + n)) of sums n; those above 32,767 count as that."""
    return _LOGARITHMS.take(sums, mode="clip")


def any_of(values: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Tell in which images [N] of a band [N, h, w] something is not zero."""
    found: NDArray[np.bool_] = np.asarray(values.reshape(len(values), -1).any(axis=1))
    return found


def density(totals: NDArray[np.int64], count: int) -> Features:
    """Give the logarithms [N] of 1,024 times mean magnitudes."""
    return logarithm((totals << 10) // max(count, 1))


def enlarged(part: NDArray[Any], height: int, width: int, factor: int) -> NDArray[Any]:
    """Repeat each cell `factor` times along both axes, and the last ones as often as needed."""
    y = np.minimum(np.arange(height) // factor, part.shape[-2] - 1)
    x = np.minimum(np.arange(width) // factor, part.shape[-1] - 1)
    found: NDArray[Any] = part[..., y[:, None], x]
    return found


def around(padded: NDArray[Any]) -> NDArray[Any]:
    """Sum the eight neighbours of each cell [..., h, w] of bands that are padded by MARGIN."""
    part = padded[..., MARGIN - 1 : 1 - MARGIN, MARGIN - 1 : 1 - MARGIN]
    rows = part[..., :-2, :] + part[..., 1:-1, :]
    rows += part[..., 2:, :]
    sums: NDArray[Any] = rows[..., :-2] + rows[..., 1:-1]
    sums += rows[..., 2:]
    sums -= part[..., 1:-1, 1:-1]
    return sums


class Neighbours:
    """The magnitudes of one band [N, h, w], with a margin of zeros around it."""

    def __init__(self, images: int, height: int, width: int) -> None:
        shape = images, height + 2 * MARGIN, width + 2 * MARGIN
        self.padded: Magnitudes = np.zeros(shape, np.int16)
        self.signed: NDArray[np.int8] = np.zeros(shape, np.int8)
        self.height, self.width = height, width
        self.total = np.zeros(images, np.int64)
        self._coded = 0
        self._around: Magnitudes | None = None
        self._density: Features | None = None

    @property
    def own(self) -> Magnitudes:
        """View the band [N, h, w] without the margin."""
        return self.shifted(0, 0)

    def density(self) -> Features:
        """Give the logarithms [N] of 1,024 times the mean magnitudes; the band must be complete."""
        if self._density is None:
            self._density = density(self.total, self.height * self.width)
        return self._density

    def shifted(self, down: int, right: int) -> Magnitudes:
        """View the cells [N, h, w] that are so far down and to the right of each."""
        top, left = MARGIN + down, MARGIN + right
        return self.padded[:, top : top + self.height, left : left + self.width]

    def signed_at(self, down: int, right: int) -> NDArray[np.int8]:
        """View the values [N, h, w], -3 to 3, of cells that are so far down and to the right."""
        top, left = MARGIN + down, MARGIN + right
        return self.signed[:, top : top + self.height, left : left + self.width]

    def around(self) -> Magnitudes:
        """Sum the eight neighbours of each cell; the band must be complete."""
        if self._around is None:
            self._around = around(self.padded)
        return self._around

    def learn(self, phase: Phase, some: Some, values: NDArray[np.int32]) -> None:
        """Take in the values [A, h', w'] of a phase."""
        clipped = np.minimum(np.abs(values), LARGEST)
        phase.of(self.own)[some] = clipped
        signed = np.minimum(np.maximum(values, -SIGNED_LIMIT), SIGNED_LIMIT)
        phase.of(self.signed_at(0, 0))[some] = signed
        self.total[some] += clipped.reshape(len(values), -1).sum(axis=1)
        self._coded += clipped[0].size

    def forget(self, images: NDArray[np.bool_]) -> None:
        """Have the band empty after all in some images [N]."""
        self.padded[images], self.signed[images], self.total[images] = 0, 0, 0

    def coded_density(self, some: Some) -> Features:
        """Give the densities [A] of the cells coded so far."""
        return density(self.total[some], self._coded)

    def own_features(self, phase: Phase, some: Some) -> Features:
        """Give the features [4, A * n] of a phase that come from the band itself.

        All neighbours are taken at once, and summed by a matrix product: bands are small, and what
        counts is the number of calls.
        """
        count, _, width = self.padded.shape
        cells = _cells(count, self.height, self.width, phase.stride, phase.row, phase.column)
        places = cells[some].ravel() + phase.steps(width)[:, None]
        around = self.padded.reshape(-1).take(places).astype(np.float32)
        return logarithm((phase.sums @ around).astype(np.int16))
