"""Tokens to bits and back: fixed-width packing, and a range coder over integer tables.

Both write the first token of every tile, then the second of every tile, and so on, so that what a
file loses when it is cut is detail. A token is a row of digits. The range coder sees one digit
of all tiles after the other; how likely its values are is looked up by what is already known on
both sides: the sign of its own coefficient, and how active its neighbours are. Digits that tell
nothing about one another make a run, which is looked up and coded at once. The tables are integers
that travel with the model's weights, so the bits are the same on every machine.

constriction is the coder (Bamler 2022, arXiv:2201.01741), behind one wall: whatever it raises, a
panic included, leaves here as a FormatError.

N tiles, L tokens, T digits a token, D = L * T digits, R values a digit, J coefficients.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import constriction
import numpy as np
from numpy.typing import NDArray

from titokzip.errors import FormatError

Tokens = NDArray[np.int32]  # [N, L]
Counts = NDArray[np.int64]  # [N] tokens kept of each tile
Integers = NDArray[np.int64]

TOTAL = 2**24  # of a row of frequencies: constriction's precision, so that they pass exactly
_RUN = 256  # frequencies a tile that are looked up at once, unless one digit has more
_FAMILY = constriction.stream.model.Categorical(perfect=False)  # always spelled out: it sets bits


@dataclass(frozen=True)
class Prior:
    """How likely the values of each digit are; integers only."""

    digits: int  # T
    radix: int  # R
    balanced: bool  # digits are -1, 0, 1 and not 0..R-1
    coefficient: Integers  # [D] whose digit it is, 0..J-1
    weight: Integers  # [D] what a unit of it adds to the coefficient
    neighbours: Integers  # [D, 8] coefficients whose size tells about this digit; J stands for none
    importance: Integers  # [D, 8] how much each of them does
    thresholds: Integers  # [D, C - 1] that part the neighbours' activity into C classes
    frequencies: Integers  # [D, 3 * C, R] rows that sum to TOTAL, nothing below 1

    def __post_init__(self) -> None:
        rows = self.frequencies.sum(axis=-1)
        if (rows != TOTAL).any() or (self.frequencies < 1).any():
            raise ValueError(f"frequencies are positive and sum to {TOTAL}")
        if not 0 <= self.coefficient.min() <= self.coefficient.max() < len(self.coefficient):
            raise ValueError("every coefficient has a digit")
        if not 0 <= self.neighbours.min() <= self.neighbours.max() <= self.coefficients:
            raise ValueError("neighbours are coefficients")

    @property
    def coefficients(self) -> int:
        """J, coefficients of a tile."""
        return int(self.coefficient.max()) + 1

    @cached_property
    def starts(self) -> list[int]:
        """Digits at which a run starts: as many as need nothing that is learnt inside of it."""
        latest = np.full(self.coefficients + 1, -1)  # digit that told of each coefficient
        starts, longest = [0], max(1, _RUN // self.radix)
        for d, own in enumerate(self.coefficient):
            needed = max(latest[own], latest[self.neighbours[d]].max())
            if needed >= starts[-1] or d - starts[-1] == longest:
                starts.append(d)
            latest[own] = d
        return starts

    def runs(self, start: int, stop: int) -> Iterator[slice]:
        """Part the digits from `start` to `stop` into runs."""
        edges = [start, *(d for d in self.starts if start < d < stop), stop]
        return map(slice, edges, edges[1:])

    def to_tables(self) -> dict[str, NDArray[np.int32]]:
        """List everything as arrays, to travel with the weights."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: np.asarray(value, np.int32) for name, value in values.items()}

    @classmethod
    def from_tables(cls, tables: Mapping[str, NDArray[np.int32]]) -> "Prior":
        """Read what `to_tables` listed; its inverse."""
        values: dict[str, Any] = {name: table.astype(np.int64) for name, table in tables.items()}
        values |= {name: int(values[name]) for name in ("digits", "radix")}
        return cls(**values | {"balanced": bool(values["balanced"])})


def pack(tokens: Tokens, counts: Counts, stops: Sequence[int], vocabulary: int) -> list[bytes]:
    """Pack tokens [N, L] in fixed width, one string of bytes for the tokens up to each stop."""
    width = _width(vocabulary)
    shifts = np.arange(width - 1, -1, -1)
    layers = []
    for start, stop in _spans(stops):
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
    for data, (start, stop) in zip(layers, _spans(stops), strict=False):
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


def range_encode(tokens: Tokens, counts: Counts, stops: Sequence[int], prior: Prior) -> list[bytes]:
    """Code tokens [N, L] by the prior, one string of bytes for the tokens up to each stop."""
    digits = _to_digits(tokens, prior)
    state = _State(counts, prior)
    layers = []
    for start, stop in _spans(stops):
        coder = constriction.stream.queue.RangeEncoder()
        for run in prior.runs(start * prior.digits, stop * prior.digits):
            active, rows = state.look_up(run)
            with _wall():
                coder.encode(digits[run][active] + int(prior.balanced), _FAMILY, rows)
            state.learn(run, digits[run])
        layers.append(_trimmed(coder))
    return layers


def range_decode(
    layers: Sequence[bytes], counts: Counts, stops: Sequence[int], prior: Prior
) -> Tokens:
    """Recover tokens [N, L], 0 where none was sent; the inverse of `range_encode`.

    Raises:
        FormatError: the bits do not decode under this prior.
    """
    digits = np.full((stops[-1] * prior.digits, len(counts)), -int(prior.balanced), np.int32)
    state = _State(counts, prior)
    for data, (start, stop) in zip(layers, _spans(stops), strict=False):
        words = np.frombuffer(data + bytes(-len(data) % 4), ">u4").astype(np.uint32)
        with _wall():
            coder = constriction.stream.queue.RangeDecoder(words)
        for run in prior.runs(start * prior.digits, stop * prior.digits):
            active, rows = state.look_up(run)
            with _wall():
                digits[run][active] = coder.decode(_FAMILY, rows) - np.int32(prior.balanced)
            state.learn(run, digits[run])
    return _from_digits(digits, prior)


class _State:
    """What both sides know of every tile so far."""

    def __init__(self, counts: Counts, prior: Prior) -> None:
        self.prior, self.counts = prior, counts
        # One coefficient more than there are stands for a neighbour that does not exist.
        self.values = np.zeros((prior.coefficients + 1, len(counts)), np.int64)

    def look_up(self, run: slice) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        """Tell which tiles have each digit of a run [r, N], and a row of frequencies for those."""
        prior = self.prior
        active = np.arange(run.start, run.stop)[:, None] // prior.digits < self.counts
        sizes = np.abs(self.values[prior.neighbours[run]])
        activity = (sizes * prior.importance[run, :, None]).sum(axis=1)
        level = (activity[:, None] >= prior.thresholds[run, :, None]).sum(axis=1)
        row = 3 * level + np.sign(self.values[prior.coefficient[run]]) + 1
        digit, tile = np.nonzero(active)
        return active, prior.frequencies[run][digit, row[digit, tile]] - 1.0

    def learn(self, run: slice, digits: NDArray[np.int32]) -> None:
        """Take in the values [r, N] of a run, of which none is of another's coefficient."""
        self.values[self.prior.coefficient[run]] += digits * self.prior.weight[run, None]


def cost(tokens: Tokens, prior: Prior) -> NDArray[np.float64]:
    """Estimate the bits that each token [N, L] takes in the range coder."""
    digits = _to_digits(tokens, prior)
    state = _State(np.full(len(tokens), tokens.shape[1]), prior)
    bits = np.empty(digits.shape)
    for run in prior.runs(0, len(digits)):
        _, rows = state.look_up(run)
        symbols = digits[run].ravel() + int(prior.balanced)
        chosen = rows[np.arange(len(rows)), symbols] + 1
        bits[run] = (np.log2(TOTAL) - np.log2(chosen)).reshape(-1, len(tokens))
        state.learn(run, digits[run])
    summed: NDArray[np.float64] = bits.reshape(-1, prior.digits, len(tokens)).sum(axis=1).T
    return summed


def _to_digits(tokens: Tokens, prior: Prior) -> NDArray[np.int32]:
    """Take tokens [N, L] apart; [D, N]."""
    powers = prior.radix ** np.arange(prior.digits)
    digits = tokens.T[:, None] // powers[:, None] % prior.radix - int(prior.balanced)
    return digits.reshape(-1, len(tokens)).astype(np.int32)


def _from_digits(digits: NDArray[np.int32], prior: Prior) -> Tokens:
    """Put digits [D, N] together to tokens [N, L]; the inverse of `_to_digits`."""
    powers = prior.radix ** np.arange(prior.digits)
    rows = digits.reshape(-1, prior.digits, digits.shape[1]) + int(prior.balanced)
    tokens: Tokens = np.einsum("ldn,d->nl", rows, powers).astype(np.int32)
    return tokens


def _spans(stops: Sequence[int]) -> Iterator[tuple[int, int]]:
    return zip([0, *stops[:-1]], stops, strict=True)


def _sent(counts: Counts, start: int, stop: int) -> NDArray[np.bool_]:
    """Tell which tokens of a span exist; [stop - start, N]."""
    return np.arange(start, stop)[:, None] < counts


def _width(vocabulary: int) -> int:
    return max(1, (vocabulary - 1).bit_length())


def _trimmed(coder: Any) -> bytes:
    """Cut a finished stream to the fewest bytes that, followed by zeros, decode to the same.

    The coder's final interval is [low, low + range); any number inside it will do, and the
    decoder reads zeros past the end. constriction itself would write whole 32-bit words.
    """
    with _wall():
        words = coder.get_compressed()
        finished, (lower, size) = coder.pos()
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


@contextmanager
def _wall() -> Iterator[None]:
    try:
        yield
    except (KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException as error:  # Rust panics are no Exceptions
        raise FormatError("the tokens do not decode under this model's tables") from error
