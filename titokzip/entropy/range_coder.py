"""Integer symbols to bytes and back: a range coder over integer frequencies.

constriction is the coder (Bamler 2022, arXiv:2201.01741), behind one wall: whatever it raises, a
panic included, leaves here as a FormatError. Its rows of frequencies sum to 2^24 and are passed
less one each, as float64: with these numbers each of its steps is exact.
"""

from collections.abc import Sequence
from typing import Any

import constriction
import numpy as np
from numpy.typing import NDArray

from titokzip.errors import FormatError

PRECISION = 24  # bits of a frequency
_FAMILY = constriction.stream.model.Categorical(perfect=False)  # always spelled out: it sets bits
_UNIFORM = constriction.stream.model.Uniform()


class _Wall:
    """What constriction raises, a panic included, leaves as a FormatError."""

    def __enter__(self) -> None:
        """Begin to call it."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error and not isinstance(error, KeyboardInterrupt | SystemExit | MemoryError):
            raise FormatError("the payload does not decode under this context model") from error


_WALL = _Wall()


class SymbolEncoder:
    """Symbols to one string of bytes."""

    def __init__(self) -> None:
        self._coder = constriction.stream.queue.RangeEncoder()

    def encode(self, symbols: NDArray[np.int32], rows: NDArray[np.float64]) -> None:
        """Append symbols [n] under rows [n, K] of frequencies less one, which sum to 2^24 - K."""
        with _WALL:
            self._coder.encode(symbols, _FAMILY, rows)

    def encode_bits(self, values: NDArray[np.int32], bits: NDArray[np.int32]) -> None:
        """Append values [n], each of so many bits, 1 to 20, of which all values are as likely."""
        with _WALL:
            self._coder.encode(values, _UNIFORM, np.int32(1) << bits)

    @property
    def bits(self) -> int:
        """Count the bits so far, up to a few dozen."""
        count: int = self._coder.num_bits()
        return count

    def finish(self) -> bytes:
        """Cut the stream to the fewest bytes that, followed by zeros, decode to the same.

        The coder's final interval is [low, low + range); any number inside it will do, and the
        decoder reads zeros past the end. constriction itself would write whole 32-bit words.
        """
        with _WALL:
            words = self._coder.get_compressed()
            finished, (lower, size) = self._coder.pos()
        return _shortest(words, finished, lower, size)


class SymbolDecoder:
    """Bytes to symbols; the inverse of `SymbolEncoder`. All methods raise FormatError."""

    def __init__(self, data: bytes) -> None:
        words = np.frombuffer(data + bytes(-len(data) % 4), ">u4").astype(np.uint32)
        with _WALL:
            self._coder = constriction.stream.queue.RangeDecoder(words)

    def decode(self, rows: NDArray[np.float64]) -> NDArray[np.int32]:
        """Decode a symbol for each row [n, K]."""
        with _WALL:
            symbols: NDArray[np.int32] = self._coder.decode(_FAMILY, rows)
            return symbols

    def decode_bits(self, bits: NDArray[np.int32]) -> NDArray[np.int32]:
        """Decode values of so many bits each."""
        with _WALL:
            values: NDArray[np.int32] = self._coder.decode(_UNIFORM, np.int32(1) << bits)
            return values


def columns(parts: Sequence[NDArray[np.int64]]) -> NDArray[np.float64]:
    """Lay out frequencies less one, an array [n] for each of K symbols, as rows [n, K]."""
    found = np.empty((len(parts[0]), len(parts)))
    for column, part in enumerate(parts):
        found[:, column] = part
    return found


def _shortest(words: Any, finished: int, lower: int, size: int) -> bytes:
    """Find the shortest bytes inside the final interval."""
    sealed = int.from_bytes(words.astype(">u4").tobytes(), "big")
    sealed <<= 32 * (finished + 2 - len(words))  # now in units of 2^-32 of the last full word
    low = sealed - ((sealed - lower) & (2**64 - 1))
    length = 4 * (finished + 2)
    for kept in range(length - 8, length + 1):  # the interval is narrower than eight bytes
        shift = 8 * (length - kept)
        value = -(-low >> shift) << shift  # low, rounded up to the bytes kept
        if low <= value < low + size:
            return int(value >> shift).to_bytes(kept, "big").rstrip(b"\0")
    raise AssertionError("the interval of a range coder is never empty")
