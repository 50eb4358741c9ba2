"""Integers of a group of cells to symbols and back, under the logits of the context model.

A symbol is 0, +1, -1, +2, -2, or 3 and more with either sign. What is above 2 follows as a size
class, which has two classes an octave, and as raw bits within the class.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from titokzip.entropy.integer_network import LOGIT_LIMIT
from titokzip.entropy.range_coder import PRECISION, SymbolDecoder, SymbolEncoder

LARGEST = 2**20  # of a magnitude
SYMBOLS = 7
SIZE_CLASSES = 38
SIZE_CONTEXTS = 48  # eight logits each
_VALUES = np.array([0, 1, -1, 2, -2, 3, -3], np.int32)
_MASS = 2**PRECISION - SYMBOLS  # what the probabilities share; each symbol has 1 more
_RANKS = np.arange(SIZE_CLASSES)
_BITS = (_RANKS // 2).astype(np.int32)  # raw bits of a size class
_BASES = ((2 + _RANKS % 2) << _BITS).astype(np.int32)  # least magnitude + 1 - 2 ... of a class

Values = NDArray[np.int32]
Logits = NDArray[np.intp]  # [4, n], 0 to 383


@dataclass(frozen=True)
class Tables:
    """Integer tables of the context model."""

    probabilities: NDArray[np.int64]  # [4, 384]: of three decisions and of flags, in 2^-24
    sizes: NDArray[np.float64]  # [48, 38]: frequencies less one, rows sum to 2^24 - 38


def rows(logits: Logits, tables: Tables) -> NDArray[np.float64]:
    """Give the frequencies less one [n, 7] of the symbols."""
    first, second, third = (tables.probabilities[i].take(logits[i]) for i in range(3))
    nonzero = _MASS * first >> PRECISION
    above_one = nonzero * second >> PRECISION
    above_two = above_one * third >> PRECISION
    found = np.empty((logits.shape[1], SYMBOLS))
    found[:, 0] = _MASS - nonzero
    for place, mass in ((1, nonzero - above_one), (3, above_one - above_two), (5, above_two)):
        half = mass >> 1
        found[:, place], found[:, place + 1] = mass - half, half
    return found


def encode(values: Values, logits: Logits, tables: Tables, coder: SymbolEncoder) -> None:
    """Append values [n], magnitudes at most LARGEST."""
    magnitudes = np.abs(values)
    symbols = 2 * np.minimum(magnitudes, 3) - (values > 0)
    coder.encode(symbols.astype(np.int32), rows(logits, tables))
    large = np.flatnonzero(magnitudes > 2)
    if not large.size:
        return
    rest = magnitudes[large] - 1  # 2 and more
    classes = size_class(rest)
    coder.encode(classes, tables.sizes[logits[3, large] >> 3])
    raw = classes > 1
    coder.encode_bits((rest - _BASES[classes])[raw], _BITS[classes[raw]])


def decode(logits: Logits, tables: Tables, coder: SymbolDecoder) -> Values:
    """Decode values [n]; the inverse of `encode`."""
    values = _VALUES[coder.decode(rows(logits, tables))]
    large = np.flatnonzero(np.abs(values) > 2)
    if large.size:
        classes = coder.decode(tables.sizes[logits[3, large] >> 3])
        rest = _BASES[classes]
        raw = classes > 1
        rest[raw] += coder.decode_bits(_BITS[classes[raw]])
        values[large] = np.sign(values[large]) * np.minimum(rest + 1, LARGEST)
    return values


def size_class(rest: Values) -> Values:
    """Give the size classes of magnitudes less one, 2 and more."""
    octaves = np.frexp(rest.astype(np.float64))[1] - 1  # of 2 and 3: 1
    halves = rest >> (octaves - 1) & 1
    return (2 * (octaves - 1) + halves).astype(np.int32)


def flag_row(logit: int, tables: Tables) -> NDArray[np.float64]:
    """Give the frequencies less one [1, 2] of an empty band and of another."""
    coded = (2**PRECISION - 2) * int(tables.probabilities[3, logit]) >> PRECISION
    return np.array([[2**PRECISION - 2 - coded, coded]], np.float64)


assert SIZE_CONTEXTS * 8 == 2 * LOGIT_LIMIT
