"""A grid of square tiles over an image, and the image cut into it.

An image of W x H pixels is resampled to columns * S by rows * S, so that whole tiles cover it and
no padding is coded. N tiles, S side of a tile. Pixels are uint8 [H, W, 3]; tiles are float32
[N, S, S, 3] in 0..1.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

MAX_TILES = 2**16

Pixels = NDArray[np.uint8]
Tiles = NDArray[np.float32]


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


def split(pixels: Pixels, size: int) -> Iterator[Tiles]:
    """Cut pixels [rows * S, columns * S, 3] into rows of tiles [columns, S, S, 3], top first."""
    for top in range(0, pixels.shape[0], size):
        band = pixels[top : top + size].astype(np.float32) / 255
        yield np.ascontiguousarray(band.reshape(size, -1, size, 3).transpose(1, 0, 2, 3))


def join(rows: Iterable[Tiles], grid: Grid, size: int, truncate: bool = False) -> Pixels:
    """Lay rows of tiles [columns, S, S, 3] out as pixels; the inverse of `split`.

    Pixels are rounded to 8 bits, or, with `truncate`, truncated as TiTok's evaluator does.
    """
    pixels = np.empty((grid.rows * size, grid.columns * size, 3), np.uint8)
    for row, tiles in enumerate(rows):
        levels = tiles.transpose(1, 0, 2, 3).reshape(size, -1, 3).clip(0, 1) * 255
        pixels[row * size : (row + 1) * size] = levels if truncate else np.rint(levels)
    return pixels
