"""An image as a grid of square tiles, cut and joined without seams."""

from titokzip.tiling.grid import MAX_TILES, Grid, nearest_grid, neighbours, resample
from titokzip.tiling.lapped import dct, join, lapped_filter, split

__all__ = [
    "MAX_TILES",
    "Grid",
    "dct",
    "join",
    "lapped_filter",
    "nearest_grid",
    "neighbours",
    "resample",
    "split",
]
