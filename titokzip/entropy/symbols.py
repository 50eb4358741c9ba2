"""Integers of a group of cells to symbols and back, under the logits of the context model.

A symbol is a magnitude of 0, 1, 2, or 3 and more. The signs of what is not zero follow, then, for
magnitudes of 3 and more, a size class, of which an octave has two, and raw bits within the class.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from titokzip.entropy.integer_network import LOGIT_LIMIT
from titokzip.entropy.range_coder import PRECISION, SymbolDecoder, SymbolEncoder, columns

LARGEST = 2**20  # of a magnitude
SYMBOLS = 4
STEPS = 256  # indices of quantisation steps
SIZE_CLASSES = 38
SIZE_CONTEXTS = 48  # eight logits each
_MASS = 2**PRECISION - SYMBOLS  # what the probabilities share; each symbol has 1 more
_RANKS = np.arange(SIZE_CLASSES)
_BITS = (_RANKS // 2).astype(np.int32)  # raw bits of a size class
_BASES = ((2 + _RANKS % 2) << _BITS).astype(np.int32)  # least magnitude + 1 - 2 ... of a class

Values = NDArray[np.int32]
Logits = NDArray[np.intp]  # [4, n], 0 to 383


@dataclass(frozen=True)
class Tables:
    """Integer tables of the context model."""

    probabilities: NDArray[np.int64]  # [5, 384], in 2^-24: three decisions, flags, signs
    steps: NDArray[np.int64]  # [256], luma steps in 1/1024 of a grey level
    sizes: NDArray[np.float64]  # [48, 38]: frequencies less one, rows sum to 2^24 - 38


def rows(logits: Logits, tables: Tables) -> NDArray[np.float64]:
    """Give the frequencies less one [n, 4] of the symbols."""
    first, second, third = (tables.probabilities[i].take(logits[i]) for i in range(3))
    nonzero = _MASS * first >> PRECISION
    above_one = nonzero * second >> PRECISION
    above_two = above_one * third >> PRECISION
    masses = (_MASS - nonzero, nonzero - above_one, above_one - above_two, above_two)
    return columns(masses)


def encode_magnitudes(
    magnitudes: Values,
    logits: Logits,
    frequencies: NDArray[np.float64],
    tables: Tables,
    coders: Sequence[SymbolEncoder],
) -> None:
    """Append magnitudes [A, n], at most LARGEST, each row to its coder.

    Logits are [4, A * n], and frequencies the rows of these.
    """
    limited, count = np.minimum(magnitudes, SYMBOLS - 1), magnitudes.shape[1]
    for i, coder in enumerate(coders):
        coder.encode(limited[i], frequencies[i * count : (i + 1) * count])
    large = limited == SYMBOLS - 1
    rest = magnitudes[large] - 1  # 2 and more
    if not rest.size:
        return
    classes, contexts = size_class(rest), logits[3].reshape(magnitudes.shape)[large] >> 3
    raw, bits = rest - _BASES[classes], _BITS[classes]
    for coder, own in zip(coders, shares(large), strict=True):
        if own.stop > own.start:
            coder.encode(classes[own], tables.sizes[contexts[own]])
            some = bits[own] > 0
            coder.encode_bits(raw[own][some], bits[own][some])


def shares(values: Values | NDArray[np.bool_]) -> list[slice]:
    """Tell which of the cells [A, n] that are not zero, taken row by row, are in which row."""
    if len(values) == 1:
        return [slice(0, np.count_nonzero(values))]
    ends = np.count_nonzero(values, axis=1).cumsum().tolist()
    return list(map(slice, [0, *ends], ends))


def decode_magnitudes(
    logits: Logits, frequencies: NDArray[np.float64], tables: Tables, coder: SymbolDecoder
) -> Values:
    """Decode magnitudes [n] of one image; the inverse of `encode_magnitudes`."""
    magnitudes = coder.decode(frequencies)
    large = (magnitudes == SYMBOLS - 1).nonzero()[0]
    if large.size:
        classes = coder.decode(tables.sizes[logits[3, large] >> 3])
        rest = _BASES[classes]
        raw = classes > 1
        rest[raw] += coder.decode_bits(_BITS[classes[raw]])
        magnitudes[large] = np.minimum(rest + 1, LARGEST)
    return magnitudes


def sign_rows(logits: NDArray[np.intp], tables: Tables) -> NDArray[np.float64]:
    """Give the frequencies less one [n, 2] of negative and of positive signs."""
    return _binary(tables.probabilities[4].take(logits))


def flag_rows(logits: NDArray[np.intp], tables: Tables) -> NDArray[np.float64]:
    """Give the frequencies less one [N, 2] of an empty band and of another."""
    return _binary(tables.probabilities[3].take(logits))


def _binary(probabilities: NDArray[np.int64]) -> NDArray[np.float64]:
    yes = (2**PRECISION - 2) * probabilities >> PRECISION
    return columns((2**PRECISION - 2 - yes, yes))


def size_class(rest: Values) -> Values:
    """Give the size classes of magnitudes less one, 2 and more."""
    octaves = np.frexp(rest.astype(np.float64))[1] - 1  # of 2 and 3: 1
    halves = rest >> (octaves - 1) & 1
    classes: Values = (2 * (octaves - 1) + halves).astype(np.int32)
    return classes


assert SIZE_CONTEXTS * 8 == 2 * LOGIT_LIMIT
