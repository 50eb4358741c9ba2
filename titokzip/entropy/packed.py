"""Tokens in fixed width: always possible, and the same size for every image.

The first token of every tile comes first, then the second of every tile, and so on, so that what a
truncated file loses is detail. N tiles, L tokens a tile.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from titokzip.errors import FormatError

Tokens = NDArray[np.int32]  # [N, L]
Counts = NDArray[np.int64]  # [N] tokens kept of each tile


def pack(tokens: Tokens, counts: Counts, stops: Sequence[int], vocabulary: int) -> list[bytes]:
    """Pack tokens [N, L] in fixed width, one string of bytes for the tokens up to each stop."""
    width = _width(vocabulary)
    shifts = np.arange(width - 1, -1, -1)
    layers = []
    for start, stop in spans(stops):
        symbols = tokens[:, start:stop].T[_sent(counts, start, stop)]
        bits = (symbols[:, None] >> shifts) & 1
        layers.append(np.packbits(bits.astype(np.uint8)).tobytes())
    return layers


def unpack(
    layers: Sequence[bytes], counts: Counts, stops: Sequence[int], vocabulary: int
) -> Tokens:
    """Recover tokens [N, L], 0 where none was sent; the inverse of `pack`.

    Raises:
        FormatError: a layer is not as long as its tokens, or holds a token out of range.
    """
    width = _width(vocabulary)
    weights = 1 << np.arange(width - 1, -1, -1)
    tokens = np.zeros((len(counts), stops[-1]), np.int32)
    for data, (start, stop) in zip(layers, spans(stops), strict=False):
        sent = _sent(counts, start, stop)
        needed = int(sent.sum()) * width
        if len(data) != -(-needed // 8):
            raise FormatError(f"{len(data)} bytes of packed tokens where {-(-needed // 8)} belong")
        bits = np.unpackbits(np.frombuffer(data, np.uint8))
        if bits[needed:].any():
            raise FormatError("packed tokens end in bits that are not zero")
        symbols = bits[:needed].reshape(-1, width) @ weights
        if (symbols >= vocabulary).any():
            raise FormatError(f"a packed token is beyond the model's {vocabulary}")
        tokens[:, start:stop].T[sent] = symbols
    return tokens


def spans(stops: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Pair the start and end of each layer, in tokens."""
    return zip([0, *stops[:-1]], stops, strict=True)


def _sent(counts: Counts, start: int, stop: int) -> NDArray[np.bool_]:
    """Tell which tokens of a span exist; [stop - start, N]."""
    return np.arange(start, stop)[:, None] < counts


def _width(vocabulary: int) -> int:
    return max(1, (vocabulary - 1).bit_length())
