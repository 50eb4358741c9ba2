"""Images of few colours as a palette and indexes, without the transform.

The encoder of the embedded model asks for them where they cost less, or fit and err less.
"""

import sys
from bisect import bisect_right
from collections.abc import Callable
from functools import cache

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


class IndexedEncoder:
    """One drawn image, encoded with as many colours as pay."""

    def __init__(self, palette: Palette, make_header: Callable[[IndexedLayout], Header]) -> None:
        self._palette, self._make_header = palette, make_header
        self._encoded = cache(self._encode)

    def exact(self, limit: int) -> Encoded | None:
        """Encode without loss in so many bytes, if that is possible."""
        if not self._palette.fits:
            return None
        encoded, size = self._encoded(len(self._palette))
        return encoded if size <= limit else None

    def within(self, limit: int, error: float) -> Encoded | None:
        """Encode with as many colours as fit into so many bytes, if that errs less."""
        fewer = [n for n in self._palette.fewer if self._palette.reduced(n).error < error]
        if not fewer or self._encoded(fewer[0])[1] > limit:
            return None
        fit = bisect_right(fewer, limit, lo=1, key=lambda colours: self._encoded(colours)[1])
        return self._encoded(fewer[fit - 1])[0]

    def at_slope(self, slope: float, cost: float) -> Encoded | None:
        """Encode at less than a cost, if that is possible.

        The cost is the squared error a pixel, plus the slope for each bit of the file. More colours
        take more bytes, so the search ends when the bits alone cost too much.
        """
        best: Encoded | None = None
        chosen = 0

        def attempt(colours: int) -> bool:
            """Tell whether more colours might still be better."""
            nonlocal best, chosen, cost
            error = self._palette.reduced(colours).error
            if error >= cost:
                return True
            encoded, size = self._encoded(colours)
            bits = slope * 8 * size
            if error + bits < cost:
                best, chosen, cost = encoded, colours, error + bits
            return bits < cost

        if self._palette.fits:
            attempt(len(self._palette))
        all(attempt(colours) for colours in self._palette.fewer if colours.bit_count() == 1)
        for colours in self._palette.beside(chosen):
            attempt(colours)
        return best

    def _encode(self, colours: int) -> tuple[Encoded | None, int]:
        """Encode with a number of colours; also give the bytes of the file."""
        try:
            payload, coded = index_coder.encode(self._palette.reduced(colours).image)
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
