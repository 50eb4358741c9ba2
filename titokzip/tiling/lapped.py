"""Picture to a grid of square tiles and back, without seams.

A picture of W x H pixels is resampled to columns * S by rows * S, so that whole tiles cover it and
no padding is ever coded. Across every border between two tiles a lapped filter mixes `overlap`
pixels on either side: an invertible map (Tran, Liang and Tu, IEEE Trans. Signal Processing 51(6),
2003) that leaves constants alone and flattens slopes towards the border, so that what is lost
inside a tile fades out across its border when the filter is undone.

N tiles, S side of a tile. Pixels are uint8 [H, W, 3]; tiles are float32 [N, S, S, 3] in 0..1, a
little outside of it where the filter has mixed.
"""

from collections.abc import Iterable, Iterator
from functools import cache

import numpy as np
from numpy.typing import NDArray

from titokzip.tiling.grid import Grid

Pixels = NDArray[np.uint8]
Tiles = NDArray[np.float32]


def split(pixels: Pixels, size: int, overlap: int) -> Iterator[Tiles]:
    """Cut pixels [rows * S, columns * S, 3] into rows of tiles [columns, S, S, 3], top first."""
    height = pixels.shape[0]
    for top in range(0, height, size):
        first, last = top == 0, top + size == height
        above, below = (0 if first else overlap), (0 if last else overlap)
        band: Tiles = pixels[top - above : top + size + below].astype(np.float32)
        band /= 255
        if above:
            _filter_border(band, 0, overlap)
        if below:
            _filter_border(band, above + size - overlap, overlap)
        band = band[above : above + size]
        _filter_columns(band, size, overlap)
        yield np.ascontiguousarray(band.reshape(size, -1, size, 3).transpose(1, 0, 2, 3))


def join(
    rows: Iterable[Tiles], grid: Grid, size: int, overlap: int, truncate: bool = False
) -> Pixels:
    """Lay rows of tiles [columns, S, S, 3] out as [rows * S, columns * S, 3]; undoes `split`.

    Pixels are rounded to 8 bits, or, with `truncate`, cut off as TiTok's evaluator does.
    """
    pixels = np.empty((grid.rows * size, grid.columns * size, 3), np.uint8)
    hanging: Tiles | None = None  # the last pixels of the row above, whose border is not undone yet
    for row, tiles in enumerate(rows):
        band = tiles.transpose(1, 0, 2, 3).reshape(size, -1, 3).copy()
        _filter_columns(band, size, overlap, undo=True)
        top = row * size
        if hanging is not None:
            band = np.concatenate([hanging, band])
            _filter_border(band, 0, overlap, undo=True)
            top -= overlap
        if overlap and row < grid.rows - 1:
            band, hanging = band[:-overlap], band[-overlap:].copy()
        levels = band.clip(0, 1) * 255
        pixels[top : top + len(band)] = levels if truncate else np.rint(levels)
    return pixels


def _filter_columns(band: Tiles, size: int, overlap: int, undo: bool = False) -> None:
    across = band.transpose(1, 0, 2)
    for border in range(size, len(across) if overlap else 0, size):
        _filter_border(across, border - overlap, overlap, undo)


def _filter_border(band: Tiles, start: int, overlap: int, undo: bool = False) -> None:
    """Filter, in place, the 2 * overlap rows of `band` [H, W, 3] from `start` on."""
    part = band[start : start + 2 * overlap]
    part[...] = np.tensordot(lapped_filter(overlap, undo), part, axes=1)


@cache
def lapped_filter(overlap: int, undo: bool = False) -> Tiles:
    """Make the filter for one border, or its inverse: [2n, 2n] over n pixels on either side.

    An orthogonal filter would leave a step where its reach ends, n pixels from the border. One
    coefficient stretched by sqrt(2) takes the step away (Malvar, IEEE Trans. Signal Processing
    46(4), 1998: the lapped biorthogonal transform).
    """
    identity, zero = np.eye(overlap), np.zeros((overlap, overlap))
    flip = identity[::-1]
    butterfly = np.block([[identity, flip], [flip, -identity]]) / np.sqrt(2)
    stretch = np.ones((overlap, 1))
    stretch[0] = np.sqrt(2)
    if undo:
        inner = flip @ _dct4(overlap).T @ (dct(overlap) / stretch) @ flip
    else:
        inner = flip @ dct(overlap).T @ (stretch * _dct4(overlap)) @ flip
    full: Tiles = (butterfly @ np.block([[identity, zero], [zero, inner]]) @ butterfly).astype("f4")
    return full


def dct(size: int) -> NDArray[np.float64]:
    """Make the orthonormal DCT-II, one frequency a row, lowest first; [size, size]."""
    k, i = np.ogrid[:size, :size]
    matrix: NDArray[np.float64] = np.sqrt(2 / size) * np.cos(np.pi / size * k * (i + 0.5))
    matrix[0] /= np.sqrt(2)
    return matrix


def _dct4(size: int) -> NDArray[np.float64]:
    k, i = np.ogrid[:size, :size]
    matrix: NDArray[np.float64] = np.sqrt(2 / size) * np.cos(np.pi / size * (k + 0.5) * (i + 0.5))
    return matrix
