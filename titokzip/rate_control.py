"""What size was asked for, and how many tiles and tokens meet it.

Quality is relative to the image, not to its pixels: a photo of 12 megapixels takes hardly more
bytes than the same photo of one, and looks the same on the same screen.

The size of packed tokens follows from their number, so a limit of bytes needs no trial encoding
with tile tokenizers. The embedded codec searches its own settings (`layouts.transform`).
"""

import math
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

from titokzip.bitstream.container import packed_size
from titokzip.bitstream.header import Header, TileLayout
from titokzip.entropy import packed_lengths
from titokzip.errors import RateError
from titokzip.tiling import MAX_TILES, Grid, nearest_grid

DEFAULT_QUALITY = 50
_MIDDLE_TILES = 12  # of an image at the default quality, at the most
_MIDDLE_SIDE = 192  # source pixels along such a tile, at the least
_STEPS_PER_DOUBLING = 25  # of quality, for half the side of a tile
_SMALLEST_TILE = 64  # source pixels along a tile under a limit of bytes, at the least
_LEAST_SHARE = 0.42  # of the tokens of a tile under a limit; with fewer, its borders show


@dataclass(frozen=True)
class Rate:
    """The size that was asked for, once; nothing set means the default quality."""

    quality: float | None = None  # 1 to 100
    bpp: float | None = None  # bits of the whole file per pixel of the source, at the most
    max_bytes: int | None = None  # of the whole file
    tokens: int | None = None  # per tile
    tile: int | None = None  # source pixels along a tile
    best: bool = False  # decode several candidates, and keep the best

    def __post_init__(self) -> None:
        asked = (self.quality, self.bpp, self.max_bytes)
        if sum(value is not None for value in asked) > 1:
            raise ValueError("quality, bpp and max_bytes exclude each other")
        if self.quality is not None and self.tile is not None:
            raise ValueError("quality determines the tile; give one or the other")
        if (self.bpp is not None or self.max_bytes is not None) and self.for_tiles:
            raise ValueError(
                "a limit on the size determines tokens and tile; give one or the other"
            )
        if self.quality is not None and not 1 <= self.quality <= 100:
            raise ValueError(f"quality is 1 to 100, not {self.quality}")
        if self.bpp is not None and not 0 < self.bpp < math.inf:
            raise ValueError(f"bits per pixel are finite and above 0, not {self.bpp}")
        for name in ("max_bytes", "tokens", "tile"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} is at least 1, not {value}")

    @property
    def for_tiles(self) -> bool:
        """Whether it sets what only tile tokenizers have."""
        return self.tokens is not None or self.tile is not None

    @property
    def effective_quality(self) -> float:
        """The quality, or the default."""
        return DEFAULT_QUALITY if self.quality is None else self.quality

    def limit(self, width: int, height: int) -> int | None:
        """Bytes that the file may have, if a limit was asked for."""
        if self.bpp is not None:
            return int(min(self.bpp * width * height / 8, 2**62))
        return self.max_bytes


@dataclass(frozen=True)
class TileTokens:
    """What the tokens of a tile tokenizer are like."""

    length: int  # L, per tile
    vocabulary: int  # K
    prefix_decodable: bool


def plan_tiles(rate: Rate, unplanned: Header, tokens: TileTokens) -> Header:
    """Choose the grid, the tokens per tile and the layers of an image.

    `unplanned` is its header with any layout.

    Raises:
        RateError: no choice is small enough, or the tokenizer has no such number of tokens.
    """
    if rate.best:
        raise RateError("best is for the embedded model; tiles are coded in one way only")
    width, height = unplanned.width, unplanned.height
    limit = rate.limit(width, height)
    if limit is None:
        kept = _checked(rate.tokens, tokens)
        return _with_layers(unplanned, TileLayout(_grid(rate, width, height), kept), tokens)
    smallest = _with_layers(unplanned, TileLayout(Grid(1, 1), _fewest(Grid(1, 1), tokens)), tokens)
    finest = min(width * height / _SMALLEST_TILE**2, 8.0 * limit)  # a tile takes a bit or more
    for grid in candidate_grids(width, height, finest):
        choices = [
            _with_layers(unplanned, TileLayout(grid, kept), tokens)
            for kept in range(_fewest(grid, tokens), tokens.length + 1)
        ]
        if fitting := bisect_right(choices, limit, key=partial(_size, tokens=tokens)):
            return choices[fitting - 1]
    least = _size(smallest, tokens)
    raise RateError(f"this image takes at least {least} bytes; {limit} are too few")


def candidate_grids(width: int, height: int, tiles: float) -> Iterator[Grid]:
    """List ever smaller grids, from about `tiles` tiles down to a single one."""
    last: Grid | None = None
    tiles = min(max(tiles, 1), MAX_TILES)
    while tiles > 0.7:
        grid = nearest_grid(width, height, tiles)
        if last is None or grid.tiles < last.tiles:
            yield grid
            last = grid
        tiles /= 1.19


def _grid(rate: Rate, width: int, height: int) -> Grid:
    """Choose the grid when there is no limit."""
    if rate.tile is not None:
        return nearest_grid(width, height, width * height / rate.tile**2)
    finer = 4 ** ((rate.effective_quality - DEFAULT_QUALITY) / _STEPS_PER_DOUBLING)
    tiles = finer * min(_MIDDLE_TILES, width * height / _MIDDLE_SIDE**2)
    return nearest_grid(width, height, tiles)


def _fewest(grid: Grid, tokens: TileTokens) -> int:
    """Tokens that a tile of a grid keeps under a limit, at the least."""
    if not tokens.prefix_decodable:
        return tokens.length
    return 1 if grid.tiles == 1 else max(1, int(_LEAST_SHARE * tokens.length))


def _checked(asked: int | None, tokens: TileTokens) -> int:
    if asked is None:
        return tokens.length
    if asked > tokens.length or (asked < tokens.length and not tokens.prefix_decodable):
        raise RateError(f"this model has {tokens.length} tokens per tile, not {asked}")
    return asked


def _with_layers(header: Header, layout: TileLayout, tokens: TileTokens) -> Header:
    """Use as many layers as pay: each costs about six bytes, so a small file has one."""
    count = layout.grid.tiles * layout.tokens if tokens.prefix_decodable else 0
    return replace(header, layout=layout, layers=1 if count <= 512 else 2 if count <= 1024 else 3)


def _size(header: Header, tokens: TileTokens) -> int:
    layout = header.layout
    assert isinstance(layout, TileLayout), "only tiles are planned here"
    boundaries = layout.boundaries(header.layers)
    lengths = packed_lengths(layout.grid.tiles, boundaries, tokens.vocabulary)
    return packed_size(header, lengths)
