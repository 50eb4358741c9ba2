"""Features of tiles to rows of painted tiles, with no seam where the pixel end is convolutional.

A pixel end that reaches over the border of a tile is run over rows of tiles laid side by side,
with `halo` cells of the rows above and below. Three rows of features are held at a time.
"""

from collections.abc import Iterator
from itertools import islice

import torch
from torch import Tensor

from titokzip.tiling.lapped import Tiles
from titokzip.tokenizers.protocol import Tokenizer

_WIDEST = 8  # tiles painted in one piece: bounds the memory that a wide picture takes


@torch.inference_mode()
def mosaic(tokenizer: Tokenizer, features: Iterator[Tensor], columns: int) -> Iterator[Tiles]:
    """Paint features [C, h, h] of one tile after the other; rows of tiles [columns, S, S, 3]."""
    above: Tensor | None = None
    row = _next_row(features, columns)
    while row is not None:
        below = _next_row(features, columns)
        yield _painted(tokenizer, above, row, below, columns)
        above, row = row, below


def _next_row(features: Iterator[Tensor], columns: int) -> Tensor | None:
    tiles = list(islice(features, columns))
    return torch.cat(tiles, dim=2) if tiles else None  # [C, h, columns * h]


def _painted(
    tokenizer: Tokenizer, above: Tensor | None, row: Tensor, below: Tensor | None, columns: int
) -> Tiles:
    halo, cells = tokenizer.halo, row.shape[1]
    scale = tokenizer.size // cells
    parts, top = [row], 0
    if above is not None and halo:
        parts.insert(0, above[:, -halo:])
        top = parts[0].shape[1]
    if below is not None and halo:
        parts.append(below[:, :halo])
    field = torch.cat(parts, dim=1)
    tiles = []
    for first in range(0, columns, _WIDEST):
        start, stop = first * cells, min(first + _WIDEST, columns) * cells
        left = min(start, halo)
        window = field[:, :, start - left : stop + halo]
        pixels = tokenizer.decode_pixels(window[None])[0]
        pixels = pixels[:, top * scale :, left * scale :]
        pixels = pixels[:, : cells * scale, : (stop - start) * scale]
        pixels = pixels.float().cpu()
        tiles.append(pixels.view(3, pixels.shape[1], -1, tokenizer.size))  # [3, S, n, S]
    painted: Tiles = torch.cat(tiles, dim=2).permute(2, 1, 3, 0).contiguous().numpy()
    return painted
