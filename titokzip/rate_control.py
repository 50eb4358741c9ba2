"""How many bytes: quality, bits per pixel or a limit to a grid and tokens a tile.

Two dials set the size of a file: how many tiles the picture is resampled to, and how many tokens
are kept of each. Without a limit of bytes the number of tiles moves, and each keeps all tokens, for
few tiles are fast. Under a limit there are as many tiles as have two fifths of theirs: for the same
bytes that has more PSNR than fewer tiles with more of them, and takes longer to paint. With still
fewer, PSNR goes on rising a little, but colours begin to change where tiles meet.

Quality is relative to the picture, not to its pixels: a photo of 12 megapixels takes hardly more
bytes than the same photo of one, and looks the same on the same screen.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from titokzip.entropy import Tokens
from titokzip.errors import RateError
from titokzip.tiling import MAX_TILES, Grid, nearest_grid

DEFAULT_QUALITY = 50
_MIDDLE_TILES = 12  # of a picture at the default quality, at the most
_MIDDLE_SIDE = 192  # source pixels that such a tile covers each way, at the least
_STEPS_PER_DOUBLING = 25  # of quality, for half the side of a tile
_SMALLEST_TILE = 64  # source pixels each way: room for more bytes blows nothing up further
_LEAST = 0.42  # of the tokens of a tile under a limit; with fewer, its borders show


@dataclass(frozen=True)
class Rate:
    """What the user asked for, once; nothing set means the default quality."""

    quality: float | None = None  # 1..100
    bpp: float | None = None  # bits of the whole file a pixel of the original, at the most
    max_bytes: int | None = None  # of the whole file
    tokens: int | None = None  # a tile
    tile: int | None = None  # source pixels that a tile covers, each way

    def __post_init__(self) -> None:
        asked = (self.quality, self.bpp, self.max_bytes)
        if sum(value is not None for value in asked) > 1:
            raise ValueError("quality, bpp and max_bytes exclude each other")
        if self.quality is not None and self.tile is not None:
            raise ValueError("quality sets the tile; give one or the other")
        if any(value is not None for value in (self.bpp, self.max_bytes)) and (
            self.tokens is not None or self.tile is not None
        ):
            raise ValueError(
                "tokens and tile are set by a limit on the size; give one or the other"
            )
        if self.quality is not None and not 1 <= self.quality <= 100:
            raise ValueError(f"quality is 1 to 100, not {self.quality}")
        if self.bpp is not None and not 0 < self.bpp < math.inf:
            raise ValueError(f"bits per pixel are more than 0, not {self.bpp}")
        for name in ("max_bytes", "tokens", "tile"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} is at least 1, not {value}")

    def limit(self, width: int, height: int) -> int | None:
        """Bytes that the file may have, if a limit was asked for."""
        if self.bpp is not None:
            return int(self.bpp * width * height / 8)
        return self.max_bytes

    def grid(self, width: int, height: int) -> Grid:
        """Choose the grid when there is no limit."""
        if self.tile is not None:
            return nearest_grid(width, height, width * height / self.tile**2)
        quality = DEFAULT_QUALITY if self.quality is None else self.quality
        finer = 4 ** ((quality - DEFAULT_QUALITY) / _STEPS_PER_DOUBLING)
        tiles = finer * min(_MIDDLE_TILES, width * height / _MIDDLE_SIDE**2)
        return nearest_grid(width, height, tiles)


def ladder(width: int, height: int, tiles: float) -> Iterator[Grid]:
    """Go through ever smaller grids, from about `tiles` tiles down to a single one."""
    seen: Grid | None = None
    tiles = min(max(tiles, 1), MAX_TILES)
    while tiles > 0.7:
        grid = nearest_grid(width, height, tiles)
        if seen is None or grid.tiles < seen.tiles:
            yield grid
            seen = grid
        tiles /= 1.19


def fit(
    limit: int,
    size: tuple[int, int],
    grid: Grid,
    tokens: Tokens,
    *,
    prefix_decodable: bool,
    tokenize: Callable[[Grid], Tokens],
    write: Callable[[Grid, Tokens], bytes],
) -> tuple[bytes, Tokens]:
    """Find the finest grid, and on it the most tokens, whose file fits into `limit` bytes.

    A picture of `size` has the tokens [N, L] on `grid`; `tokenize` gives those on another grid, and
    `write` the file of some. Gives the file and the tokens in it.

    Raises:
        RateError: not even the smallest file fits.
    """
    least = _LEAST if prefix_decodable else 1.0
    smallest = len(write(grid, tokens))
    # What this picture's tiles cost tells how many of them to expect in the limit.
    finest = size[0] * size[1] / _SMALLEST_TILE**2
    for rung in ladder(*size, min(grid.tiles * limit / smallest / least, finest)):
        own = tokens if rung == grid else tokenize(rung)
        fewest = int(least * own.shape[1]) if rung.tiles > 1 or not prefix_decodable else 1
        data, kept = _most(limit, own, fewest, partial(write, rung))
        if len(data) <= limit:
            return data, own[:, :kept]
        smallest = min(smallest, len(data))
    raise RateError(f"this picture takes at least {smallest} bytes; {limit} are too few")


def _most(
    limit: int, tokens: Tokens, fewest: int, write: Callable[[Tokens], bytes]
) -> tuple[bytes, int]:
    """Keep the most tokens, but at least `fewest`, whose file fits into `limit` bytes."""
    best, low, high = write(tokens[:, :fewest]), fewest, tokens.shape[1]
    while low < high and len(best) <= limit:
        middle = (low + high + 1) // 2
        data = write(tokens[:, :middle])
        if len(data) <= limit:
            best, low = data, middle
        else:
            high = middle - 1
    return best, low
