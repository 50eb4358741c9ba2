"""An image as a grid of square tiles."""

from titokzip.tiling.grid import (
    MAX_TILES,
    Grid,
    Pixels,
    join,
    nearest_grid,
    resample,
    split,
)

__all__ = [
    "MAX_TILES",
    "Grid",
    "Pixels",
    "join",
    "nearest_grid",
    "resample",
    "split",
]
