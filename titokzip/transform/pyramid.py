"""Images to coefficients and back: lapped blocks, and a wavelet pyramid over their means.

    planes [C, H, W] -> frequencies of blocks -> means [C, By, Bx] -> pyramid

Every coefficient is scaled by the norm of its synthesis basis function, so that an error of 1 in
any of them is an error of 1 in the image (squared and summed over pixels), as if the basis were
orthonormal.

C planes, H x W pixels, both multiples of S = 8; By x Bx blocks.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from titokzip.transform import lapped, wavelet
from titokzip.transform.lapped import SIDE

Planes = NDArray[np.float32]

_ROTATION = np.array([[1, 1, 1], [1, 0, -1], [-0.5, 1, -0.5]])
ROTATION = (_ROTATION / np.linalg.norm(_ROTATION, axis=1, keepdims=True)).astype(np.float32)


@dataclass(frozen=True)
class Coefficients:
    """The coefficients of an image of By x Bx blocks.

    `means` holds the levels of the wavelet, coarsest first: [low], then [horizontal, vertical,
    diagonal detail] of each level, each [C, h, w]. `blocks` is [C, S, S, By, Bx], rows of
    frequencies first; its [:, 0, 0] is zero, as the pyramid holds the means.
    """

    means: list[list[Planes]]
    blocks: Planes

    def less(self, other: "Coefficients") -> "Coefficients":
        """Subtract those of another image."""
        levels = zip(self.means, other.means, strict=True)
        means = [[a - b for a, b in zip(*level, strict=True)] for level in levels]
        return Coefficients(means, self.blocks - other.blocks)


@dataclass(frozen=True)
class Integers:
    """Quantised coefficients, shaped as in `Coefficients`.

    A stack of N images has its axis before the last two: [C, N, h, w], [C, S, S, N, By, Bx].
    """

    means: list[list[NDArray[np.int32]]]
    blocks: NDArray[np.int32]

    @staticmethod
    def zeros(planes: int, rows: int, columns: int, images: int | None = None) -> "Integers":
        """Make an image of C planes and By x Bx blocks, all zero, or a stack of so many."""
        stack = () if images is None else (images,)
        means = [
            [np.zeros((planes, *stack, *size), np.int32) for size in level]
            for level in level_sizes(rows, columns)
        ]
        return Integers(means, np.zeros((planes, SIDE, SIDE, *stack, rows, columns), np.int32))

    def image(self, index: int) -> "Integers":
        """Give one image of a stack."""

        def of(array: NDArray[np.int32]) -> NDArray[np.int32]:
            return np.ascontiguousarray(array[..., index, :, :])

        return Integers([[of(band) for band in level] for level in self.means], of(self.blocks))


T = TypeVar("T", Coefficients, Integers)


def stacked(images: Sequence[T]) -> T:
    """Stack images of one size before the last two axes."""
    first = images[0]
    if len(images) == 1:
        means = [[band[..., None, :, :] for band in level] for level in first.means]
        return type(first)(means, first.blocks[..., None, :, :])
    means = [
        [np.stack(bands, axis=-3) for bands in zip(*levels, strict=True)]
        for levels in zip(*(one.means for one in images), strict=True)
    ]
    return type(first)(means, np.stack([one.blocks for one in images], axis=-3))


def levels(rows: int, columns: int) -> int:
    """Count how often the means of blocks are halved: until one is left."""
    return (max(rows, columns) - 1).bit_length()


def level_sizes(rows: int, columns: int) -> list[list[tuple[int, int]]]:
    """List the sides of the bands of every level, as in `Coefficients.means`."""
    sizes = []
    for _ in range(levels(rows, columns)):
        low_rows, low_columns = -(-rows // 2), -(-columns // 2)
        high_rows, high_columns = rows // 2, columns // 2
        sizes.append(
            [(low_rows, high_columns), (high_rows, low_columns), (high_rows, high_columns)]
        )
        rows, columns = low_rows, low_columns
    return [[(rows, columns)], *sizes[::-1]]


def analyse(planes: Planes) -> Coefficients:
    """Transform planes [C, H, W], sides multiples of eight, into coefficients."""
    along = lapped.analyse(planes)  # [C, H, Bx, S]
    both = lapped.analyse(np.ascontiguousarray(along.transpose(0, 2, 3, 1)))  # [C, Bx, S, By, S]
    blocks = np.ascontiguousarray(both.transpose(0, 4, 2, 3, 1))
    y, x = _axis_norms(*blocks.shape[-2:])
    means, low = [], blocks[:, 0, 0]
    for level in range(levels(*low.shape[1:])):
        low, details = _split(low)
        scales = _detail_scales(y, x, level)
        means.append([detail * scale for detail, scale in zip(details, scales, strict=True)])
    means.append([low * np.outer(y.low[-1], x.low[-1])])
    blocks *= y.blocks[:, None, :, None]
    blocks *= x.blocks[:, None, :]
    blocks[:, 0, 0] = 0  # in the pyramid instead
    return Coefficients(means[::-1], blocks)


def synthesise(pyramid: Coefficients) -> Planes:
    """Transform coefficients into planes [C, H, W]; the inverse of `analyse`."""
    y, x = _axis_norms(*pyramid.blocks.shape[-2:])
    low = pyramid.means[0][0] / np.outer(y.low[-1], x.low[-1])
    for level, details in reversed(list(enumerate(pyramid.means[:0:-1]))):
        scales = _detail_scales(y, x, level)
        low = _join(low, [detail / scale for detail, scale in zip(details, scales, strict=True)])
    blocks = pyramid.blocks / y.blocks[:, None, :, None]
    blocks /= x.blocks[:, None, :]
    blocks[:, 0, 0] = low
    along = lapped.synthesise(np.ascontiguousarray(blocks.transpose(0, 4, 2, 3, 1)))
    return lapped.synthesise(np.ascontiguousarray(along.transpose(0, 3, 1, 2)))


def _split(means: Planes) -> tuple[Planes, list[Planes]]:
    """Split means [C, h, w] once: low, and horizontal, vertical and diagonal detail."""
    low, horizontal = wavelet.split(means)
    (low, vertical), (horizontal, diagonal) = (
        (np.swapaxes(half, 1, 2) for half in wavelet.split(np.swapaxes(part, 1, 2)))
        for part in (low, horizontal)
    )
    return low, [horizontal, vertical, diagonal]


def _join(low: Planes, details: list[Planes]) -> Planes:
    """Join what `_split` split."""
    horizontal, vertical, diagonal = details
    low, horizontal = (
        np.swapaxes(wavelet.join(np.swapaxes(first, 1, 2), np.swapaxes(second, 1, 2)), 1, 2)
        for first, second in ((low, vertical), (horizontal, diagonal))
    )
    return wavelet.join(low, horizontal)


@dataclass(frozen=True)
class _Norms:
    """Norms of the synthesis basis functions along one axis of B blocks."""

    blocks: Planes  # [S, B]
    low: list[Planes]  # of the means, then of each level, finest first
    detail: list[Planes]  # of each level, finest first


def _detail_scales(y: _Norms, x: _Norms, level: int) -> list[Planes]:
    """Give the scales [h, w] of the details of a level, 0 the finest."""
    pairs = (
        (y.low[level + 1], x.detail[level]),
        (y.detail[level], x.low[level + 1]),
        (y.detail[level], x.detail[level]),
    )
    return [np.outer(*pair).astype(np.float32) for pair in pairs]


def _axis_norms(rows: int, columns: int) -> tuple[_Norms, _Norms]:
    depth = levels(rows, columns)
    return _norms(rows, depth), _norms(columns, depth)


_COMB = 16  # coefficients from one to the next whose basis function does not overlap its own


@lru_cache(maxsize=32)
def _norms(blocks: int, depth: int) -> _Norms:
    """Measure the norms along an axis of B blocks and of `depth` levels over their means."""
    sizes = [blocks]
    for _ in range(depth):
        sizes.append(-(-sizes[-1] // 2))
    frequencies = [_norms_of(partial(_basis, frequency=u), blocks, SIDE) for u in range(SIDE)]
    low, detail = [frequencies[0]], []
    for level in range(1, depth + 1):
        spacing = SIDE << level
        finer = sizes[:level]
        low.append(_norms_of(partial(_low_basis, finer=finer), sizes[level], spacing))
        detail.append(_norms_of(partial(_detail_basis, finer=finer), finer[-1] // 2, spacing))
    return _Norms(np.stack(frequencies), low, detail)


def _norms_of(basis: Callable[[Planes], Planes], count: int, spacing: int) -> Planes:
    """Measure the norms [n] of n basis functions, each `spacing` samples after the one before.

    `basis` synthesises rows [r, n] of coefficients. A row has one coefficient in sixteen, so that
    the basis functions of a row can be told apart.
    """
    norms = np.empty(count, np.float32)
    if not count:
        return norms
    row, column = np.arange(count) % _COMB, np.arange(count)
    combs = np.zeros((min(_COMB, count), count), np.float32)
    combs[row, column] = 1
    energy = np.square(basis(combs), dtype=np.float64)
    starts = np.maximum((column - _COMB // 2) * spacing + spacing // 2, 0)
    order = np.lexsort((column, row))
    norms[order] = np.sqrt(np.add.reduceat(energy.ravel(), (row * energy.shape[1] + starts)[order]))
    return norms


def _basis(coefficients: Planes, frequency: int) -> Planes:
    blocks = np.zeros((*coefficients.shape, SIDE), np.float32)
    blocks[..., frequency] = coefficients
    return lapped.synthesise(blocks)


def _low_basis(low: Planes, finer: list[int]) -> Planes:
    for size in reversed(finer):
        low = wavelet.join(low, np.zeros((len(low), size // 2), np.float32))
    return _basis(low, 0)


def _detail_basis(detail: Planes, finer: list[int]) -> Planes:
    low = np.zeros((len(detail), -(-finer[-1] // 2)), np.float32)
    return _low_basis(wavelet.join(low, detail), finer[:-1])
