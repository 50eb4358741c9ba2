"""Images of few colours to bytes and back, without loss: indexes of a palette, pixel by pixel.

An index is guessed: first what followed the same neighbours before, then the neighbours themselves.
Each guess is one adaptive binary decision; a colour that nothing guesses is chosen among those
known, or is new. Memory of what followed is the idea of PPM and its kin (Cleary and Witten 1984).

Pixels (x, y) of the same x + 2y, a front, are coded together: all of their neighbours come before.

H x W pixels, K colours of C channels, n pixels of a front.
"""

from math import inf
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from titokzip.entropy.index_contexts import Counts, Fronts, Hits, Indexes, Source
from titokzip.entropy.range_coder import PRECISION, SymbolDecoder, SymbolEncoder, columns
from titokzip.errors import FormatError

MAX_PIXELS: Final = 2**22
MAX_FRONTS: Final = 2**15
FREE_CHOICES: Final = 2**14  # pixels that nothing guesses; more must take a bit each

_ROUNDING: Final = 64  # bits of a coder beyond those of what it has written

Colours = NDArray[np.uint8]


class Indexed(NamedTuple):
    """An image of few colours."""

    indexes: Indexes  # [H, W]
    colours: Colours  # [K, C], each used


def fits(width: int, height: int) -> bool:
    """Tell whether images of a size can be coded."""
    return width * height <= MAX_PIXELS and _count(width, height) <= MAX_FRONTS


def encode(image: Indexed, most: float = inf) -> tuple[bytes, Indexed] | None:
    """Code an image; also give it as it is decoded, colours in the order in which they appear.

    None if that takes more than `most` bytes, or too many choices.
    """
    height, width = image.indexes.shape
    fronts = np.arange(width) + 2 * np.arange(height)[:, None]
    first = np.full(len(image.colours), np.iinfo(np.int64).max)
    np.minimum.at(first, image.indexes, fronts * height + np.arange(height)[:, None])
    order = np.argsort(first)
    numbers = np.empty(len(order), np.int32)
    numbers[order] = np.arange(len(order), dtype=np.int32)
    same = Indexed(numbers[image.indexes], image.colours[order])
    source = _Encoder(same, most)
    try:
        _code(width, height, len(order), source)
    except _TooLargeError:
        return None
    payload = source.coder.finish()
    return (payload, same) if source.choices <= _most_choices(payload) else None


def decode(payload: bytes, width: int, height: int, colours: int, channels: int) -> Indexed:
    """Decode an image; the inverse of `encode`.

    Raises:
        FormatError: the payload is damaged.
    """
    source = _Decoder(payload, colours, channels)
    return Indexed(_code(width, height, colours, source), source.colours)


class _TooLargeError(Exception):
    """The payload is larger than it may be."""


class _Encoder:
    """The source of an image that is known; writes it."""

    def __init__(self, image: Indexed, most: float) -> None:
        self._numbers, self._colours = image.indexes + 1, image.colours
        self.coder, self._most, self.choices = SymbolEncoder(), 8 * most + _ROUNDING, 0

    def decide(self, front: int, rows: Indexes, guesses: Indexes, yes: Counts) -> Hits:
        found: Hits = self._numbers[rows, front - 2 * rows] == guesses
        self.coder.encode((~found).astype(np.int32), _decisions(yes))
        if self.coder.bits > self._most:
            raise _TooLargeError
        return found

    def choose(self, front: int, row: int, numbers: Indexes, weights: Counts) -> int:
        self.choices += 1
        number = int(self._numbers[row, front - 2 * row])
        at = int(np.flatnonzero(numbers == number)[0])
        if len(numbers) > 1:
            self.coder.encode(np.array([at], np.int32), _frequencies(weights))
        return number

    def new(self, number: int) -> None:
        colour = self._colours[number - 1].astype(np.int32)
        self.coder.encode_bits(colour, np.full(len(colour), 8, np.int32))


class _Decoder:
    """The source of an image that is read."""

    def __init__(self, payload: bytes, colours: int, channels: int) -> None:
        self._coder, self._left = SymbolDecoder(payload), _most_choices(payload)
        self.colours = np.zeros((colours, channels), np.uint8)

    def decide(self, front: int, rows: Indexes, guesses: Indexes, yes: Counts) -> Hits:
        found: Hits = self._coder.decode(_decisions(yes)) == 0
        return found

    def choose(self, front: int, row: int, numbers: Indexes, weights: Counts) -> int:
        self._left -= 1
        if self._left < 0 or not len(numbers):
            raise FormatError("the payload does not decode: a pixel has none of its colours")
        at = self._coder.decode(_frequencies(weights))[0] if len(numbers) > 1 else 0
        return int(numbers[at])

    def new(self, number: int) -> None:
        bits = np.full(self.colours.shape[1], 8, np.int32)
        self.colours[number - 1] = self._coder.decode_bits(bits)


def _code(width: int, height: int, colours: int, source: Source) -> Indexes:
    state, numbers = Fronts(width, height, colours), np.zeros((height, width), np.int32)
    for front in range(_count(width, height)):
        rows, found = state.code(front, source)
        numbers[rows, front - 2 * rows] = found
    return numbers - 1


def _most_choices(payload: bytes) -> int:
    """Give the choices that a payload may have, so that a small file is not decoded for minutes."""
    return FREE_CHOICES + 8 * len(payload)


def _count(width: int, height: int) -> int:
    """Count the fronts."""
    return width + 2 * height - 2


def _decisions(yes: Counts) -> NDArray[np.float64]:
    """Give the rows [n, 2] of the range coder of frequencies [n] that a guess is right."""
    return columns((yes - 1, (1 << PRECISION) - 1 - yes))


def _frequencies(weights: Counts) -> NDArray[np.float64]:
    """Give the row [1, m] of the range coder of weights."""
    rest = (1 << PRECISION) - len(weights)
    frequencies: Counts = weights * rest // weights.sum()
    frequencies[0] += rest - frequencies.sum()
    return frequencies[None].astype(np.float64)
