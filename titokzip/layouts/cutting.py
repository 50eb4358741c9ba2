"""Images to tiles, and tiles to images: what of a tile tokenizer's work needs no network.

It runs in processes beside the one that has the network, and imports no torch. N tiles, S side of a
tile in pixels.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from titokzip import rate_control
from titokzip.bitstream.header import Header, TileLayout
from titokzip.errors import FormatError, Transparent
from titokzip.images import InputImage
from titokzip.layouts.protocol import Size
from titokzip.rate_control import Rate, TileTokens
from titokzip.tiling import Grid, Pixels, join, resample, split


@dataclass(frozen=True)
class Cut:
    """An image on its way to the network."""

    header: Header
    tiles: Pixels  # [N, S, S, 3]


@dataclass(frozen=True)
class Cutter:
    """Cuts images into the tiles of one tokenizer."""

    fingerprint: bytes  # its first bytes, as in a header
    tokens: TileTokens
    size: int  # S

    def __call__(self, image: InputImage, rate: Rate) -> Cut:
        """Plan the grid of an image, resample it and cut it.

        Raises:
            RateError: no grid is small enough.
            Transparent: it has transparent pixels.
        """
        if image.alpha is not None:
            raise Transparent("it is transparent, and this model has no alpha channel")
        unplanned = Header(self.fingerprint, *image.size, TileLayout(Grid(1, 1), 1), image.grey)
        header = rate_control.plan_tiles(rate, unplanned, self.tokens)
        grid = tile_layout(header).grid
        resampled = resample(image.image, grid.columns * self.size, grid.rows * self.size)
        return Cut(header, split(np.asarray(resampled), self.size))


@dataclass(frozen=True)
class DecodedTiles:
    """An image on its way from the network."""

    header: Header
    tiles: Pixels  # [N, S, S, 3]
    wanted: Size | None  # width and height; None leaves the size of the grid

    def image(self) -> Image.Image:
        """Lay the tiles out, and resample them to the size that is wanted."""
        image = Image.fromarray(join(self.tiles, tile_layout(self.header).grid))
        if self.wanted is not None:
            image = resample(image, *self.wanted)
        return image.convert("L") if self.header.grey else image


def tile_layout(header: Header) -> TileLayout:
    """Take the layout of a header that must be one of tiles.

    Raises:
        FormatError: it is not.
    """
    if not isinstance(header.layout, TileLayout):
        raise FormatError("damaged: this model's files hold tiles")
    return header.layout
