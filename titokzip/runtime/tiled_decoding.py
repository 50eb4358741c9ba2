"""Features of tiles to rows of tiles in pixels, without seams where a decoder reaches over borders.

A convolutional pixel decoder sees past the border of a tile. So it runs over windows: up to eight
tiles of a row side by side, with `halo` positions of the rows above and below and of the row's own
tiles left and right. Windows of one shape, of one image or of many, go through it in one batch.

C channels and h side of a tile's features, S side of a tile in pixels.
"""

from collections.abc import Iterable, Iterator
from itertools import groupby, islice
from typing import Final, NamedTuple

import numpy as np
import torch
from torch import Tensor

from titokzip.errors import ModelError
from titokzip.runtime import precision
from titokzip.tiling import Grid, Tiles
from titokzip.tokenizers.protocol import Tokenizer

_WIDEST: Final = 8  # tiles of a window: bounds the memory that a wide image takes


class _Window(NamedTuple):
    features: Tensor  # [C, h', w'], halo included
    top: int  # features above and left of the tiles' own
    left: int
    tiles: int  # that lie side by side in it
    last: bool  # of its row


@torch.inference_mode()
def decode_tiles(
    tokenizer: Tokenizer, features: Iterator[Tensor], grids: Iterable[Grid], batch: int
) -> Iterator[Tiles]:
    """Decode features [C, h, h], tile after tile of images of these grids; rows [columns, S, S, 3].

    About `batch` tiles, at least a window, go through the pixel decoder at once. Beside them, three
    rows of features are in memory.

    Raises:
        ModelError: the network's pixels are not finite.
    """
    windows = (
        window
        for grid in grids
        for window in _windows(islice(features, grid.tiles), grid.columns, tokenizer.halo)
    )
    row: list[Tiles] = []
    for group in _alike(windows, batch):
        for window, tiles in zip(group, _decoded(tokenizer, group), strict=True):
            row.append(tiles)
            if window.last:
                yield np.concatenate(row)
                row = []


def _windows(features: Iterator[Tensor], columns: int, halo: int) -> Iterator[_Window]:
    """Lay the tiles of one image out and cut windows, row by row."""
    above: Tensor | None = None
    row = _next_row(features, columns)
    while row is not None:
        below = _next_row(features, columns)
        parts = [row]
        if above is not None and halo:
            parts.insert(0, above[:, -halo:])
        if below is not None and halo:
            parts.append(below[:, :halo])
        top = parts[0].shape[1] if len(parts) > 1 and parts[0] is not row else 0
        side, field = row.shape[1], torch.cat(parts, dim=1)
        for first in range(0, columns, _WIDEST):
            tiles = min(_WIDEST, columns - first)
            left = min(first * side, halo)
            window = field[:, :, first * side - left : (first + tiles) * side + halo]
            yield _Window(window, top, left, tiles, first + tiles == columns)
        above, row = row, below


def _next_row(features: Iterator[Tensor], columns: int) -> Tensor | None:
    tiles = list(islice(features, columns))
    return torch.cat(tiles, dim=2) if tiles else None  # [C, h, columns * h]


def _alike(windows: Iterable[_Window], batch: int) -> Iterator[list[_Window]]:
    """Gather successive windows of one shape, of about `batch` tiles."""
    for (_, tiles), run in groupby(windows, key=lambda one: (one.features.shape, one.tiles)):
        while group := list(islice(run, max(1, batch // tiles))):
            yield group


def _decoded(tokenizer: Tokenizer, group: list[_Window]) -> Tiles:
    """Decode windows together; [windows, tiles, S, S, 3], off the device in one piece."""
    with precision.tf32(False):
        pixels = tokenizer.decode_pixels(torch.stack([window.features for window in group]))
    size = tokenizer.size
    scale = pixels.shape[2] // group[0].features.shape[1]
    # [windows, 3, S, tiles * S]
    own = torch.stack([_own(*pair, scale, size) for pair in zip(pixels, group, strict=True)])
    tiles = own.view(*own.shape[:3], -1, size).permute(0, 3, 2, 4, 1)
    decoded: Tiles = tiles.float().contiguous().cpu().numpy()
    if not np.isfinite(decoded).all():
        raise ModelError("the model decodes to values that are not finite: its weights are damaged")
    return decoded


def _own(pixels: Tensor, window: _Window, scale: int, size: int) -> Tensor:
    """Cut the halo off the pixels [3, H, W] of a window; [3, S, tiles * S]."""
    top, left = window.top * scale, window.left * scale
    return pixels[:, top : top + size, left : left + window.tiles * size]
