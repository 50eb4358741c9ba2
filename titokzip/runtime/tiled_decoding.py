"""Features of tiles to rows of tiles in pixels, without seams where a decoder reaches over borders.

A convolutional pixel decoder sees past the border of a tile. So it runs over windows: up to eight
tiles of a row side by side, with `halo` positions of the rows above and below and of the row's own
tiles left and right. Windows of one shape, of one image or of many, go through it in one batch.

C channels and h side of a tile's features, S side of a tile in pixels.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, groupby, islice
from typing import Final, NamedTuple

import numpy as np
import torch
from torch import Tensor

from titokzip.errors import ModelError
from titokzip.runtime import precision
from titokzip.runtime.batching import Batch, collected, from_device, to_levels
from titokzip.tiling import Grid, Pixels
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
    tokenizer: Tokenizer,
    features: Iterator[Tensor],
    grids: Iterable[Grid],
    batch: Batch,
    truncate: bool = False,
) -> Iterator[Pixels]:
    """Decode features [C, h, h], tile after tile of images of these grids; rows [columns, S, S, 3].

    About a batch of tiles, at least a window, go through the pixel decoder at once. Beside them,
    three rows of features are in memory. Pixels are rounded on the device, or truncated.

    Raises:
        ModelError: the network's pixels are not finite.
    """
    windows = (
        window
        for grid in grids
        for window in _windows(islice(features, grid.tiles), grid.columns, tokenizer.halo)
    )
    launched = (_launched(tokenizer, group, batch, truncate) for group in _alike(windows, batch))
    row: list[Pixels] = []
    for window, tiles in chain.from_iterable(collected(launched)):
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


def _alike(windows: Iterable[_Window], batch: Batch) -> Iterator[list[_Window]]:
    """Gather successive windows of one shape and halo, of about a batch of tiles."""
    for (_, tiles, *_), run in groupby(windows, key=_kind):
        while group := list(islice(run, max(1, batch.tiles // tiles))):
            yield group


def _kind(window: _Window) -> tuple[torch.Size, int, int, int]:
    return window.features.shape, window.tiles, window.top, window.left


def _launched(
    tokenizer: Tokenizer, group: list[_Window], batch: Batch, truncate: bool
) -> Callable[[], Iterable[tuple[_Window, Pixels]]]:
    """Decode windows together; a call waits for their tiles [n, S, S, 3], which come in one piece.

    Their halo is cut off and they are laid out on the device.
    """
    first, size = group[0], tokenizer.size
    finite: list[Tensor] = []

    def decoded(features: Tensor) -> Tensor:
        with precision.tf32(False):
            pixels = tokenizer.decode_pixels(features)
        scale = pixels.shape[2] // features.shape[2]
        top, left = first.top * scale, first.left * scale
        own = pixels[:, :, top : top + size, left : left + first.tiles * size]
        finite.append(own.sum(dtype=torch.float32).isfinite())  # in one pass
        levels = to_levels(own, truncate).reshape(len(own), 3, size, first.tiles, size)
        return levels.permute(0, 3, 2, 4, 1).contiguous()

    levels = batch.run(decoded, torch.stack([window.features for window in group]))
    pixels, sound = from_device(levels), from_device(torch.stack(finite))

    def tiles() -> Iterable[tuple[_Window, Pixels]]:
        if not sound().all():
            raise ModelError(
                "the model decodes to values that are not finite: its weights are damaged"
            )
        return zip(group, pixels().numpy(), strict=True)

    return tiles
