"""Features of tiles to pixels, without seams where the pixel decoder is convolutional.

A pixel decoder whose receptive field crosses the border of a tile runs over rows of tiles laid side
by side, with a halo of features from the rows above and below. Three rows of features are held at a
time.
"""

from collections.abc import Iterator
from itertools import islice

import torch
from torch import Tensor

from titokzip.tiling import Tiles
from titokzip.tokenizers.protocol import Tokenizer

_WIDEST = 8  # tiles decoded at once: bounds the memory that a wide image takes


@torch.inference_mode()
def decode_rows(tokenizer: Tokenizer, features: Iterator[Tensor], columns: int) -> Iterator[Tiles]:
    """Decode features [C, h, h], tile by tile, to rows of tiles [columns, S, S, 3] in 0..1."""
    above: Tensor | None = None
    row = _next_row(features, columns)
    while row is not None:
        below = _next_row(features, columns)
        yield _decode_row(tokenizer, above, row, below, columns)
        above, row = row, below


def _next_row(features: Iterator[Tensor], columns: int) -> Tensor | None:
    tiles = list(islice(features, columns))
    return torch.cat(tiles, dim=2) if tiles else None  # [C, h, columns * h]


def _decode_row(
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
    decoded: Tiles = torch.cat(tiles, dim=2).permute(2, 1, 3, 0).contiguous().numpy()
    return decoded
