"""Images of few colours as a palette and indexes, without the transform.

The encoder of the embedded model asks for them where they cost less, or fit and err less.
"""

from collections.abc import Callable
from math import inf, log
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from titokzip.bitstream.container import Contents, packed_size
from titokzip.bitstream.header import Header, IndexedLayout
from titokzip.entropy import index_coder
from titokzip.entropy.index_coder import Indexed
from titokzip.errors import FormatError
from titokzip.layouts.pixels import Pixels, at_size, to_image
from titokzip.layouts.protocol import Encoded, Size
from titokzip.tokenizers.embedded.palette import Palette, palette_of


class _Made(NamedTuple):
    """An image that is encoded with some colours."""

    header: Header
    payload: bytes
    coded: Indexed
    size: int  # bytes of the file


_USUAL_RATE: Final = 1 / 8  # bytes for each pair of neighbours that differ
_HOPE: Final = 0.95  # of predicted bytes, so that what may be better is tried
_LITTLE: Final = 1e-9  # of a cost, by which another must be less


class IndexedEncoder:
    """One drawn image, encoded with as many colours as pay."""

    def __init__(self, palette: Palette, make_header: Callable[[IndexedLayout], Header]) -> None:
        self._palette, self._make_header = palette, make_header
        self._made: dict[int, _Made] = {}
        self._least: dict[int, float] = {}  # bytes of files that would be larger than was allowed

    def exact(self, limit: int) -> Encoded | None:
        """Encode without loss in so many bytes, if that is possible."""
        if self._palette.fits and self._make(len(self._palette), limit):
            return self._file(len(self._palette))
        return None

    def within(self, limit: int, error: float) -> Encoded | None:
        """Encode with as many colours as fit into so many bytes, if that errs less."""
        fewer = [colours for colours in self._palette.fewer if self._palette.error(colours) < error]
        fit, fail = -1, len(fewer)
        while fail - fit > 1:
            likely = sum(self._size(colours) <= limit for colours in fewer) - 1
            at = min(max(likely, fit + 1), fail - 1)
            if self._make(fewer[at], limit):
                fit = at
            else:
                fail = at
        return self._file(fewer[fit]) if fit >= 0 else None

    def at_slope(self, slope: float, most: float) -> tuple[Encoded | None, float]:
        """Encode at the least cost, and give it, if that is below `most`.

        The cost is the squared error a pixel, plus the slope for each bit of the file. Predictions
        lead the search; the next fewer and more colours than the best are tried in any case.
        """
        sizes = [*self._palette.fewer, *[len(self._palette)] * self._palette.fits]
        errors = {colours: self._palette.error(colours) for colours in sizes}

        def cost(colours: int) -> float:
            return errors[colours] + slope * 8 * self._size(colours)

        tried = set[int]()
        while sizes and cost(best := min(sizes, key=cost)) < most:
            at = sizes.index(best)
            beside = sizes[max(at - 1, 0) : at + 2] if best in self._made else [best]
            if not (untried := [colours for colours in beside if colours not in tried]):
                return self._file(best), cost(best)
            for colours in untried:
                tried.add(colours)
                self._make(colours, (most - errors[colours]) / (8 * slope))
                most = min([most, *(cost(made) + _LITTLE for made in self._made)])
        return None, inf

    def _size(self, colours: int) -> float:
        """Give the bytes of a file; predict how few they may be where it is not made yet."""
        if colours in self._made:
            return self._made[colours].size
        near = min(self._made, key=lambda made: abs(log(made / colours)), default=0)
        rate = _USUAL_RATE
        if near:
            paid = self._made[near].size - self._palette.channels * near
            rate = paid / max(self._palette.borders(near), 1)
        predicted = self._palette.channels * colours + rate * self._palette.borders(colours)
        least = [size for fewer, size in self._least.items() if fewer <= colours]
        return max([_HOPE * float(predicted), *least])

    def _make(self, colours: int, limit: float) -> bool:
        """Encode with a number of colours, and tell whether a file of so many bytes holds them."""
        if colours not in self._made and self._least.get(colours, 0) <= limit:
            found = index_coder.encode(self._palette.reduced(colours), limit)
            if found is None:
                self._least[colours] = limit + 1
            else:
                payload, (indexes, own) = found
                header = self._make_header(IndexedLayout(len(own)))
                size = packed_size(header, [len(payload)])
                small = Indexed(indexes.astype(np.uint8), own)  # they are kept for long
                self._made[colours] = _Made(header, payload, small, size)
        return self._size(colours) <= limit

    def _file(self, colours: int) -> Encoded:
        made = self._made[colours]
        return Encoded(made.header, [made.payload], _tokens(made.coded))


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
    return index_coder.decode(
        contents.payloads[0], header.width, header.height, layout.colours, header.channels
    )


def tokens(contents: Contents, layout: IndexedLayout) -> NDArray[np.int32]:
    """Give the colours [K C] and then the indexes [H W], row by row."""
    return _tokens(decode(contents, layout))


def image(contents: Contents, layout: IndexedLayout, size: Size | None) -> Image.Image:
    """Decode the image of a file at a size."""
    indexes, colours = decode(contents, layout)
    return at_size(to_image(colours[indexes]), size)


def _tokens(coded: Indexed) -> NDArray[np.int32]:
    return np.concatenate([coded.colours.ravel(), coded.indexes.ravel()], dtype=np.int32)
