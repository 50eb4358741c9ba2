"""Tiles that lie side by side in training too, and are judged as the picture that they make.

B pictures, S side of a tile, n overlap.
"""

from typing import Any

import torch
from torch import Tensor

from titokzip.tiling import lapped_filter
from titokzip.training.data import Sampler


class GridSampler:
    """Draws tiles of which half lie in grids of two by two, those of a grid in a row at the end."""

    def __init__(self, photos: list[Tensor], size: int, overlap: int, seed: int) -> None:
        self.overlap = overlap
        self.single = Sampler(photos, size, overlap, seed)
        self.double = Sampler(photos, 2 * size, overlap, seed + 1)

    def batch(self, count: int) -> Tensor:
        """Draw tiles [count, 3, S, S] in 0..1, the last `in_grids(count)` of them in grids."""
        lying = in_grids(count)
        single = self.single.batch(count - lying)
        return torch.cat([single, cut(self.double.batch(lying // 4), self.overlap)])

    def state(self) -> dict[str, Any]:
        """Gather what a resumed run needs to draw on without repeating."""
        return {"single": self.single.state(), "double": self.double.state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gathered."""
        self.single.restore(state["single"])
        self.double.restore(state["double"])


def in_grids(count: int) -> int:
    """Tell how many of `count` tiles lie in grids: half of them, rounded to whole grids."""
    return 4 * max(1, count // 8)


def cut(crops: Tensor, overlap: int) -> Tensor:
    """Cut crops [B, 3, 2S, 2S] into lapped tiles [4B, 3, S, S], those of a crop in a row."""
    lapped = _filter(crops, overlap, undo=False)
    rows = [half for band in lapped.chunk(2, dim=2) for half in band.chunk(2, dim=3)]
    return torch.stack(rows, dim=1).flatten(0, 1)


def stitch(tiles: Tensor, overlap: int) -> Tensor:
    """Lay tiles [4B, 3, S, S] out as pictures [B, 3, 2S, 2S]; the inverse of `cut`."""
    bands = [torch.cat([tiles[i::4], tiles[i + 1 :: 4]], dim=3) for i in (0, 2)]
    return _filter(torch.cat(bands, dim=2), overlap, undo=True)


def _filter(pixels: Tensor, overlap: int, undo: bool) -> Tensor:
    """Filter both borders in the middle of pixels [B, 3, 2S, 2S]."""
    matrix = torch.from_numpy(lapped_filter(overlap, undo)).to(pixels)
    for _ in range(2):
        middle = pixels.shape[3] // 2
        left, mixed, right = pixels.tensor_split((middle - overlap, middle + overlap), dim=3)
        pixels = torch.cat([left, mixed @ matrix.mT, right], dim=3).transpose(2, 3)
    return pixels
