"""What encoder and decoder both know about a band before it is coded, as integer features.

`maps` are features of every cell, `scalars` are features of the band as a whole. Both are integers
from 0 to 255. docs/format.md lists them in order.

N images of one size are coded side by side, and none knows of the others: what NumPy does for one
takes little longer for many. Where a band is empty in some of them, its magnitudes are zero there.

N images of C planes and By x Bx blocks.
"""

import numpy as np
from numpy.typing import NDArray

from titokzip.entropy import mean_values
from titokzip.entropy.agreement import Agreement
from titokzip.entropy.mean_values import UNIT
from titokzip.entropy.neighbours import Features, Neighbours, Some, any_of, density
from titokzip.transform.bands import Band, is_chroma
from titokzip.transform.pyramid import level_sizes

_BRIGHTNESS_SHIFT = 18  # from steps' units and a block's norm to about a grey level
Sums = NDArray[np.int32]


class Contexts:
    """The magnitudes of N images as far as they are coded."""

    def __init__(self, planes: int, rows: int, columns: int, steps: NDArray[np.int64]) -> None:
        """Begin images of C planes and By x Bx blocks; steps [N] are in 1/1024 of a grey level."""
        self.images, self._steps = len(steps), steps[:, None, None]
        self.planes, self.rows, self.columns = planes, rows, columns
        self.sizes = level_sizes(rows, columns)
        self.known: dict[Band, Neighbours] = {}
        self.activity = [Activity(self.images, rows, columns) for _ in range(planes)]
        self._empty_run = np.zeros((planes, self.images), np.int64)
        self._last_density = np.zeros((planes, self.images), np.float32)
        self._values: dict[Band, NDArray[np.int32]] = {}
        self._low: dict[int, tuple[int, NDArray[np.int64]]] = {}
        self._agreement: dict[tuple[int, int], Agreement] = {}
        self._differences: dict[tuple[int, int], NDArray[np.int64]] = {}
        self.lasting: dict[int, Features] = {}  # features of blocks that stay, by plane

    def count(self, some: Some) -> int:
        """Count some of the images."""
        return self.images if isinstance(some, slice) else len(some)

    def size(self, band: Band) -> tuple[int, int]:
        """Give the sides of a band."""
        if band.level is None:
            return self.rows, self.columns
        return self.sizes[band.level][band.detail]

    def kind(self, plane: int) -> int:
        """Give the plane that a plane is like: itself, or luma for alpha."""
        return plane if is_chroma(plane, self.planes) else 0

    def others(self, plane: int) -> tuple[int, ...]:
        """List the planes whose coefficients tell about those of a plane."""
        if self.planes < 3 or plane == 3:
            return ()
        return tuple(other for other in range(3) if other != plane)

    def density(self, band: Band) -> Features | float:
        """Give the densities [N] of a band, 0 if it is empty or not yet coded."""
        known = self.known.get(band)
        return known.density() if known else 0.0

    def empty_run(self, plane: int) -> NDArray[np.int64]:
        """Give a feature [N] of how many bands in a row were empty in a plane."""
        run: NDArray[np.int64] = self._empty_run[plane]
        return 16 * np.minimum(run, 15)

    def last_density(self, plane: int) -> Features:
        """Give the densities [N] of the latest band of a plane that was not empty."""
        found: Features = self._last_density[plane]
        return found

    def begin(self, band: Band) -> Neighbours:
        """Start a band that is not empty in some image."""
        neighbours = self.known[band] = Neighbours(self.images, *self.size(band))
        return neighbours

    def finish(self, band: Band, values: NDArray[np.int32] | None) -> None:
        """Take in the integers [N, h, w] of a complete band; None if it is empty in all images."""
        plane = band.plane
        if values is None:
            self._empty_run[plane] += 1
            return
        full = any_of(values) | (band.level == 0)
        self._empty_run[plane] = np.where(full, 0, self._empty_run[plane] + 1)
        if not full.any():
            del self.known[band]
            return
        known = self.known[band]
        if not full.all():
            known.forget(~full)
        for other in self.others(plane):
            same = band._replace(plane=other)
            if band.level != 0 and same in self.known:
                self.agreement(band, other).add(known, self.known[same])
        self._last_density[plane] = np.where(full, known.density(), self._last_density[plane])
        if band.level is None:
            self.activity[plane].add(band, known.padded)
        else:
            self._values[band] = values

    def means(self, plane: int, level: int) -> NDArray[np.int64]:
        """Give the means [N, h, w] from which a level is refined, in 1/16 steps."""
        at, low = self._low.get(plane, (0, None))
        if low is None:
            low = self._integers(Band(plane, 0))
        while at < level - 1:
            at += 1
            details = (self._integers(Band(plane, at, detail)) for detail in range(3))
            low = mean_values.join(low, *details)
        self._low[plane] = at, low
        return low

    def differences(self, plane: int, level: int) -> NDArray[np.int64]:
        """Give the differences [5, N, h, w] of the means from which a level is refined."""
        found = self._differences.get((plane, level))
        if found is None:
            found = mean_values.differences(self.means(plane, level))
            self._differences = {
                (one, at): kept for (one, at), kept in self._differences.items() if one != plane
            }
            self._differences[plane, level] = found
        return found

    def colours(self, plane: int, level: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Give brightness and saturation [N, h, w], 0 to 240, of the means a level refines."""
        shift = _BRIGHTNESS_SHIFT + len(self.sizes) - level
        luma = 0 if self.others(plane) else plane
        brightness = 120 + (self.means(luma, level) * self._steps >> shift)
        saturation = np.zeros_like(brightness)
        if self.others(plane):
            chroma = np.abs(self.means(1, level)) + np.abs(self.means(2, level))
            saturation = chroma * self._steps >> shift
        return brightness.clip(0, 240), saturation.clip(0, 240)

    def agreement(self, band: Band, other: int) -> Agreement:
        """Tell how the signs of a band's plane and of another agreed so far, where the band is."""
        pair = min(band.plane, other), max(band.plane, other)
        found = self._agreement.setdefault(pair, Agreement(self.images))
        level = len(self.sizes) if band.level is None else band.level
        if band.level is None:
            found.refine(level, self.rows, self.columns)
        else:
            found.refine(level, self.sizes[level][0][0], self.sizes[level][1][1])
        return found

    def _integers(self, band: Band) -> NDArray[np.int64]:
        values = self._values.pop(band, None)
        if values is None:
            return np.zeros((self.images, *self.size(band)), np.int64)
        return values.astype(np.int64) * UNIT


class Activity:
    """Sums of magnitudes over the frequencies of a plane's blocks, for every block.

    `sums` [4, N, By + 2, Bx + 2] are padded by a block: of all frequencies, of those that are 2 or
    more along an axis, of those with more rows than columns, and of the others but the diagonal.
    """

    def __init__(self, images: int, rows: int, columns: int) -> None:
        self.sums: Sums = np.zeros((4, images, rows + 2, columns + 2), np.int32)
        self.total = np.zeros((4, images), np.int64)
        self._count = rows * columns
        self._around: list[Sums | None] = [None] * 4
        self._density: list[Features | None] = [None] * 4

    def add(self, band: Band, padded: NDArray[np.int16]) -> None:
        """Add the magnitudes of a frequency."""
        kinds = [True, max(band.row, band.column) > 1, band.row > band.column]
        kinds.append(band.row < band.column)
        part = padded[:, 2:-2, 2:-2]
        total = part.sum(axis=(1, 2))
        for kind in np.flatnonzero(kinds):
            self.sums[kind] += part
            self.total[kind] += total
            self._around[kind] = self._density[kind] = None

    def own(self, kind: int) -> Sums:
        """Give the sums [N, By, Bx] of a kind."""
        return self.sums[kind, :, 1:-1, 1:-1]

    def around(self, kind: int) -> Sums:
        """Sum the eight blocks around each."""
        found = self._around[kind]
        if found is None:
            part = self.sums[kind]
            rows = part[:, :-2] + part[:, 1:-1] + part[:, 2:]
            found = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:] - self.own(kind)
            self._around[kind] = found
        return found

    def density(self, kind: int) -> Features:
        """Give the densities [N] of a kind."""
        found = self._density[kind]
        if found is None:
            found = self._density[kind] = density(self.total[kind], self._count)
        return found
