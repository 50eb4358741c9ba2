"""Images of few colours as a palette and indexes, without the transform.

The encoder of the embedded model asks for them where they cost less, or fit and err less.
"""

import sys
from collections.abc import Callable
from math import inf, log
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from titokzip.bitstream.container import Contents, packed_size
from titokzip.bitstream.header import Header, IndexedLayout
from titokzip.entropy import index_coder
from titokzip.entropy.index_coder import Indexed
from titokzip.errors import FormatError
from titokzip.layouts.pixels import Pixels, to_image
from titokzip.layouts.protocol import Encoded, Size
from titokzip.tokenizers.embedded.palette import Palette, palette_of

_USUAL_RATE: Final = 1 / 8  # bytes for each pair of neighbours that differ
_HOPE: Final = 0.95  # of predicted bytes, so that what may be better is tried


class IndexedEncoder:
    """One drawn image, encoded with as many colours as pay."""

    def __init__(self, palette: Palette, make_header: Callable[[IndexedLayout], Header]) -> None:
        self._palette, self._make_header = palette, make_header
        self._made: dict[int, tuple[Encoded | None, int]] = {}  # files and their bytes

    def exact(self, limit: int) -> Encoded | None:
        """Encode without loss in so many bytes, if that is possible."""
        if not self._palette.fits:
            return None
        encoded, size = self._encoded(len(self._palette))
        return encoded if size <= limit else None

    def within(self, limit: int, error: float) -> Encoded | None:
        """Encode with as many colours as fit into so many bytes, if that errs less."""
        fewer = [colours for colours in self._palette.fewer if self._palette.error(colours) < error]
        fit, fail = -1, len(fewer)
        while fail - fit > 1:
            likely = sum(self._size(colours) <= limit for colours in fewer) - 1
            at = min(max(likely, fit + 1), fail - 1)
            if self._encoded(fewer[at])[1] <= limit:
                fit = at
            else:
                fail = at
        return self._made[fewer[fit]][0] if fit >= 0 else None

    def at_slope(self, slope: float) -> tuple[Encoded | None, float]:
        """Encode at the least cost, and give it.

        The cost is the squared error a pixel, plus the slope for each bit of the file.
        """
        sizes = [*self._palette.fewer, *[len(self._palette)] * self._palette.fits]
        errors = {colours: self._palette.error(colours) for colours in sizes}

        def cost(colours: int) -> float:
            return errors[colours] + slope * 8 * self._size(colours)

        while sizes and (best := min(sizes, key=cost)) not in self._made:
            self._encoded(best)
        return (self._made[best][0], cost(best)) if sizes else (None, inf)

    def _size(self, colours: int) -> float:
        """Give the bytes of a file; predict how few they may be where it is not made yet."""
        if colours in self._made:
            return self._made[colours][1]
        near = min(self._made, key=lambda made: abs(log(made / colours)), default=0)
        rate = _USUAL_RATE
        if near:
            paid = self._made[near][1] - self._palette.channels * near
            rate = paid / max(self._palette.borders(near), 1)
        predicted = self._palette.channels * colours + rate * self._palette.borders(colours)
        return _HOPE * float(predicted)

    def _encoded(self, colours: int) -> tuple[Encoded | None, int]:
        """Encode with a number of colours; also give the bytes of the file."""
        if colours not in self._made:
            self._made[colours] = self._encode(colours)
        return self._made[colours]

    def _encode(self, colours: int) -> tuple[Encoded | None, int]:
        try:
            payload, coded = index_coder.encode(self._palette.reduced(colours))
        except FormatError:  # too many pixels that nothing predicts
            return None, sys.maxsize
        header = self._make_header(IndexedLayout(len(coded.colours)))
        size = packed_size(header, [len(payload)])
        return Encoded(header, [payload], _tokens(coded)), size


def encoder_of(
    pixels: Pixels, make_header: Callable[[IndexedLayout], Header]
) -> IndexedEncoder | None:
    """Make the encoder of an image [H, W, C] if it is drawn; None for others."""
    palette = palette_of(pixels) if index_coder.fits(pixels.shape[1], pixels.shape[0]) else None
    return IndexedEncoder(palette, make_header) if palette else None


def decode(contents: Contents, layout: IndexedLayout) -> Indexed:
    """Decode the indexes and the palette of a file.

    Raises:
        FormatError: they do not decode.
    """
    header = contents.header
    if not index_coder.fits(header.width, header.height):
        raise FormatError("damaged: no image of a palette has this size")
    channels = (1 if header.grey else 3) + header.alpha
    return index_coder.decode(
        contents.payloads[0], header.width, header.height, layout.colours, channels
    )


def tokens(contents: Contents, layout: IndexedLayout) -> NDArray[np.int32]:
    """Give the colours [K C] and then the indexes [H W], row by row."""
    return _tokens(decode(contents, layout))


def image(contents: Contents, layout: IndexedLayout, size: Size | None) -> Image.Image:
    """Decode the image of a file at a size."""
    indexes, colours = decode(contents, layout)
    found = to_image(colours[indexes])
    return found if size in (None, found.size) else found.resize(size, Image.Resampling.LANCZOS)


def _tokens(coded: Indexed) -> NDArray[np.int32]:
    return np.concatenate([coded.colours.ravel().astype(np.int32), coded.indexes.ravel()])
