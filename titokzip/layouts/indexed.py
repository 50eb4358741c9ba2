"""Images of few colours as a palette and indexes, without the transform.

The encoder of the embedded model asks for them where they cost less, or fit and err less.
"""

from collections.abc import Callable
from functools import cache
from math import inf

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
from titokzip.tokenizers.embedded.palette import palette_of


class IndexedEncoder:
    """One drawn image, encoded with as many colours as pay."""

    def __init__(
        self, pixels: Pixels | None, make_header: Callable[[IndexedLayout], Header]
    ) -> None:
        """Take pixels [H, W, C]; images that are not drawn are never encoded."""
        fits = pixels is not None and index_coder.fits(pixels.shape[1], pixels.shape[0])
        self._palette = palette_of(pixels) if pixels is not None and fits else None
        self._make_header = make_header
        self._encoded = cache(self._encode)

    @property
    def sizes(self) -> list[int]:
        """Numbers of colours that can be tried, smallest first; none for images not drawn."""
        return self._palette.sizes if self._palette else []

    def exact(self, limit: float) -> Encoded | None:
        """Encode without loss in so many bytes, if that is possible."""
        if not self._palette or self.sizes[-1:] != [len(self._palette)]:
            return None
        encoded, size = self._encoded(len(self._palette))
        return encoded if size <= limit else None

    def better(self, cost: float, slope: float, limit: float) -> Encoded | None:
        """Encode at less than a cost in so many bytes, if that is possible.

        The cost is the squared error a pixel, plus the slope for each bit of the file. More colours
        take more bytes, so the search ends when they cost too much. All of the image's own are
        tried first: nothing else can be exact.
        """
        best = None
        for colours in [*self.sizes[-1:], *self.sizes[:-1]]:
            assert self._palette, "an image that is not drawn has no sizes"
            error = self._palette.reduced(colours).error
            if error >= cost:
                continue
            encoded, size = self._encoded(colours)
            bits = slope * 8 * size
            if size <= limit and error + bits < cost:
                best, cost = encoded, error + bits
            elif (size > limit or bits >= cost) and colours != self.sizes[-1]:
                break
        return best

    def _encode(self, colours: int) -> tuple[Encoded | None, float]:
        """Encode with a number of colours; also give the bytes of the file."""
        assert self._palette, "an image that is not drawn is not encoded"
        try:
            payload, coded = index_coder.encode(self._palette.reduced(colours).image)
        except FormatError:  # too many pixels that nothing predicts
            return None, inf
        header = self._make_header(IndexedLayout(len(coded.colours)))
        size = packed_size(header, [len(payload)])
        return Encoded(header, [payload], _tokens(coded)), size


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
