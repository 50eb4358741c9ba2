"""A grid of square tiles over an image, and the image cut into it.

An image of W x H pixels is resampled to columns * S by rows * S, so that whole tiles cover it and
no padding is coded. N tiles, S side of a tile. Pixels are uint8 [H, W, 3], tiles [N, S, S, 3].
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

MAX_TILES = 2**16

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Grid:
    """How many tiles cover an image; at least one each way."""

    rows: int
    columns: int

    def __post_init__(self) -> None:
        if self.rows < 1 or self.columns < 1:
            raise ValueError(f"a grid of {self.rows} x {self.columns} tiles holds no image")

    @property
    def tiles(self) -> int:
        """N, the tiles of an image."""
        return self.rows * self.columns


def nearest_grid(width: int, height: int, tiles: float) -> Grid:
    """Find the grid of about `tiles` tiles that covers width x height with the squarest ones."""
    tiles = min(max(tiles, 1), MAX_TILES)
    columns = min(max(math.sqrt(tiles * width / height), 1), tiles)
    rows = tiles / columns

    def misfit(grid: Grid) -> float:
        stretch = math.log((width / grid.columns) / (height / grid.rows))
        return abs(stretch) + abs(math.log(grid.tiles / tiles))

    choices = [
        Grid(r, c)
        for r in {math.floor(rows), math.ceil(rows)}
        for c in {math.floor(columns), math.ceil(columns)}
    ]
    return min(choices, key=misfit)


def resample(image: Image.Image, width: int, height: int) -> Image.Image:
    """Resize to width x height with a bicubic filter that is widened where it reduces."""
    if image.size == (width, height):
        return image
    return image.resize((width, height), Image.Resampling.BICUBIC)


def split(pixels: Pixels, size: int) -> Pixels:
    """Cut pixels [rows * S, columns * S, 3] into tiles [N, S, S, 3], row by row from the top."""
    rows = pixels.reshape(-1, size, pixels.shape[1] // size, size, 3)
    return np.ascontiguousarray(rows.transpose(0, 2, 1, 3, 4)).reshape(-1, size, size, 3)


def join(tiles: Pixels, grid: Grid) -> Pixels:
    """Lay tiles [N, S, S, 3] out as pixels [rows * S, columns * S, 3]; the inverse of `split`."""
    size = tiles.shape[1]
    rows = tiles.reshape(grid.rows, grid.columns, size, size, 3).transpose(0, 2, 1, 3, 4)
    return np.ascontiguousarray(rows).reshape(grid.rows * size, grid.columns * size, 3)
