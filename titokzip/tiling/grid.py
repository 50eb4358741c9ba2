"""A grid of square tiles over an image."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

MAX_TILES = 2**16


@dataclass(frozen=True)
class Grid:
    """How many tiles a picture is cut into; at least one each way."""

    rows: int
    columns: int

    def __post_init__(self) -> None:
        if self.rows < 1 or self.columns < 1:
            raise ValueError(f"a grid of {self.rows} x {self.columns} tiles holds no picture")

    @property
    def tiles(self) -> int:
        """N, the tiles of a picture."""
        return self.rows * self.columns


def neighbours(grid: Grid) -> NDArray[np.int64]:
    """List the tiles that share a side with each, row by row; [N, 4], N where there is none."""
    numbers = np.full((grid.rows + 2, grid.columns + 2), grid.tiles)
    numbers[1:-1, 1:-1] = np.arange(grid.tiles).reshape(grid.rows, grid.columns)
    around = numbers[:-2, 1:-1], numbers[2:, 1:-1], numbers[1:-1, :-2], numbers[1:-1, 2:]
    return np.stack(around, axis=-1).reshape(-1, 4)


def resample(image: Image.Image, width: int, height: int) -> Image.Image:
    """Resize to width x height with a filter that neither blurs nor aliases."""
    if image.size == (width, height):
        return image
    return image.resize((width, height), Image.Resampling.BICUBIC)


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
