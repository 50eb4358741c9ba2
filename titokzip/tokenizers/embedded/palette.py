"""Drawn images: those of few colours, or of few but for the smoothing of their edges.

H x W pixels of C channels, n colours.
"""

from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from titokzip.bitstream.header import MAX_COLOURS
from titokzip.entropy.index_coder import Indexed

Pixels = NDArray[np.uint8]

_FEW: Final = 64  # colours of which any image is drawn, however they alternate
_MANY: Final = 4096  # of which none is
_FLAT: Final = 0.5  # share of the pixels that equal their neighbour, at the least
_SAMPLE: Final = 4096  # pixels that are looked at first
_MERGED: Final = 512  # most frequent colours, whose neighbours the others are counted to
_GREY: Final = 3.0  # what a squared error of a channel weighs that is not one of three


class Palette:
    """The colours of a drawn image."""

    def __init__(self, pixels: Pixels) -> None:
        """Take pixels [H, W, C]."""
        self.channels = pixels.shape[2]
        packed = _packed(pixels)
        found, places, counts = np.unique(packed, return_inverse=True, return_counts=True)
        shifts = 8 * np.arange(self.channels - 1, -1, -1, dtype=np.uint32)
        self._colours = (found[:, None] >> shifts).astype(np.uint8)
        self._places, self._counts = places.reshape(pixels.shape[:2]).astype(np.int32), counts

    def __len__(self) -> int:
        return len(self._colours)

    @property
    def fits(self) -> bool:
        """Whether all colours can be kept."""
        return len(self) <= MAX_COLOURS

    @cached_property
    def fewer(self) -> list[int]:
        """Numbers of colours to reduce to, from two on; none if there is transparency."""
        if self.channels % 2 == 0:
            return []
        return [size for n in range(1, 8) for size in (2**n, 3 * 2 ** (n - 1)) if size < len(self)]

    def reduced(self, size: int) -> Indexed:
        """Reduce to all colours, or to one of `fewer`, so that the squared error grows least."""
        colours, labels = self._reduction(size)
        return Indexed(labels.astype(np.int32)[self._places], colours)

    def error(self, size: int) -> float:
        """Give the squared error a pixel of fewer colours, in units of the planes."""
        colours, labels = self._reduction(size)
        lost = np.square(self._colours - colours[labels].astype(np.float64)).sum(axis=1)
        scale = _GREY if self.channels < 3 else 1.0
        return scale * float(lost @ self._counts) / self._places.size

    def borders(self, size: int) -> int:
        """Count the pairs of neighbours that differ under fewer colours."""
        one, other, counts = self._pairs
        _, labels = self._reduction(size)
        return int(counts[labels[one] != labels[other]].sum())

    def _reduction(self, size: int) -> tuple[NDArray[np.uint8], NDArray[np.intp]]:
        """Give colours [k, C], and for each colour of the image which of them it becomes [n]."""
        if size == len(self):
            return self._colours, np.arange(size)
        if size not in self._reductions:
            colours = self._merges[size]
            pairs = self._colours[:, None].astype(np.float32) - colours
            nearest = np.square(pairs).sum(axis=2).argmin(axis=1)
            used, labels = np.unique(nearest, return_inverse=True)
            self._reductions[size] = colours[used].astype(np.uint8), labels
        return self._reductions[size]

    @cached_property
    def _reductions(self) -> dict[int, tuple[NDArray[np.uint8], NDArray[np.intp]]]:
        return {}

    @cached_property
    def _pairs(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Colours of neighbours that differ [p], and how often they meet."""
        places = self._places.astype(np.int64)
        across = places[:, 1:] * len(self) + places[:, :-1]
        down = places[1:] * len(self) + places[:-1]
        differ = [across[places[:, 1:] != places[:, :-1]], down[places[1:] != places[:-1]]]
        pairs, counts = np.unique(np.concatenate(differ), return_counts=True)
        return pairs // len(self), pairs % len(self), counts

    @cached_property
    def _merges(self) -> dict[int, NDArray[np.float32]]:
        """Colours [size, C] for each number of fewer colours.

        Ward, Journal of the American Statistical Association 1963: those two become one, time and
        again, by which the squared error grows least.
        """
        order = np.argsort(-self._counts, kind="stable")
        colours = self._colours[order].astype(np.float32)
        weights = self._counts[order].astype(np.float32)
        colours, weights = _counted_to_nearest(colours, weights)
        costs = np.stack([_cost(i, colours, weights) for i in range(len(weights))])
        found, wanted = {}, set(self.fewer)
        for left in range(len(weights), 1, -1):
            if left in wanted:
                found[left] = np.rint(colours[weights > 0])
            one, other = divmod(int(costs.argmin()), len(weights))
            both = weights[one] + weights[other]
            colours[one] += (colours[other] - colours[one]) * (weights[other] / both)
            weights[one], weights[other] = both, 0
            costs[one] = costs[:, one] = _cost(one, colours, weights)
            costs[other] = costs[:, other] = np.inf
        return found


def _packed(pixels: Pixels) -> NDArray[np.uint32]:
    """Give the colours of pixels [H, W, C], up to four channels, as numbers [H, W]."""
    packed = pixels[..., 0].astype(np.uint32)
    for channel in range(1, pixels.shape[2]):
        packed <<= 8
        packed |= pixels[..., channel]
    return packed


def is_drawn(pixels: Pixels) -> bool:
    """Tell whether an image [H, W, C] may be better off with a palette."""
    packed = _packed(pixels)
    sample = packed.ravel()[:: max(1, packed.size // _SAMPLE)]
    if len(np.unique(sample)) <= _FEW:
        return True
    across = np.count_nonzero(packed[:, 1:] == packed[:, :-1])
    down = np.count_nonzero(packed[1:] == packed[:-1])
    return bool(max(across, down) >= _FLAT * packed.size)


def palette_of(pixels: Pixels) -> Palette | None:
    """Collect the colours of a drawn image [H, W, C]; None for another."""
    if not is_drawn(pixels):
        return None
    palette = Palette(pixels)
    return palette if len(palette) <= _MANY else None


def _counted_to_nearest(
    colours: NDArray[np.float32], weights: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Keep the first colours [n, C], and count the others to the nearest of them."""
    kept, rest = colours[:_MERGED], colours[_MERGED:]
    nearest = [int(np.square(kept - colour).sum(axis=1).argmin()) for colour in rest]
    more = np.bincount(np.array(nearest, np.intp), weights[_MERGED:], len(kept))
    return kept, (weights[:_MERGED] + more).astype(np.float32)


def _cost(
    one: int, colours: NDArray[np.float32], weights: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Give what merging a colour with each other [n] adds to the squared error."""
    distances = np.square(colours - colours[one]).sum(axis=1)
    both = weights * weights[one] / np.maximum(weights + weights[one], 1)
    costs = np.where(weights > 0, distances * both, np.inf)
    costs[one] = np.inf
    return costs
