"""Tokens in fixed width: always possible, and as long for every image.

The first token of every tile comes first, then the second of every tile, and so on, so that what a
truncated file loses is detail. N tiles, L tokens per tile.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from titokzip.errors import FormatError

Tokens = NDArray[np.int32]  # [N, L]


def pack(tokens: Tokens, boundaries: Sequence[int], vocabulary: int) -> list[bytes]:
    """Pack tokens [N, L] in fixed width, one byte string for the tokens up to each boundary."""
    shifts = np.arange(_width(vocabulary) - 1, -1, -1)
    layers = []
    for start, stop in _spans(boundaries):
        bits = (tokens.T[start:stop].reshape(-1, 1) >> shifts) & 1
        layers.append(np.packbits(bits.astype(np.uint8)).tobytes())
    return layers


def unpack(
    layers: Sequence[bytes], tiles: int, boundaries: Sequence[int], vocabulary: int
) -> Tokens:
    """Recover the tokens [N, k] of as many layers as there are; the inverse of `pack`.

    Raises:
        FormatError: a layer is not as long as its tokens, or holds a token out of range.
    """
    width = _width(vocabulary)
    weights = 1 << np.arange(width - 1, -1, -1)
    spans = list(_spans(boundaries))[: len(layers)]
    rows = []
    for data, (start, stop) in zip(layers, spans, strict=True):
        count = (stop - start) * tiles
        if len(data) != _bytes(count, width):
            raise FormatError(
                f"damaged: {len(data)} bytes of packed tokens, not {_bytes(count, width)}"
            )
        bits = np.unpackbits(np.frombuffer(data, np.uint8))
        if bits[count * width :].any():
            raise FormatError("damaged: packed tokens end in bits that are not zero")
        tokens = bits[: count * width].reshape(-1, width) @ weights
        if (tokens >= vocabulary).any():
            raise FormatError(f"damaged: a token is beyond the model's {vocabulary}")
        rows.append(tokens.reshape(stop - start, tiles))
    return np.ascontiguousarray(np.concatenate(rows).T.astype(np.int32))


def packed_lengths(tiles: int, boundaries: Sequence[int], vocabulary: int) -> list[int]:
    """Count the bytes of each layer that `pack` makes."""
    width = _width(vocabulary)
    return [_bytes((stop - start) * tiles, width) for start, stop in _spans(boundaries)]


def _spans(boundaries: Sequence[int]) -> Iterator[tuple[int, int]]:
    return pairwise([0, *boundaries])


def _width(vocabulary: int) -> int:
    """Bits of a token."""
    return max(1, (vocabulary - 1).bit_length())


def _bytes(count: int, width: int) -> int:
    return -(-count * width // 8)
