"""Tokens to bits and back: fixed-width packing, and a range coder over integer tables.

Both write the first token of every tile, then the second of every tile, and so on, so that what a
file loses when it is cut is detail. A token is a row of digits. The range coder sees one digit
of all tiles after the other; how likely its values are is looked up by what is already known on
both sides: the sign of its own coefficient, and how large others are, in the same tile and in
those beside it. The digits of a token are looked up and coded at once. The tables are integers
that travel with the model's weights, so the bits are the same on every machine.

constriction is the coder (Bamler 2022, arXiv:2201.01741), behind one wall: whatever it raises, a
panic included, leaves here as a FormatError.

N tiles, L tokens, T digits a token, D = L * T digits, R values a digit.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import constriction
import numpy as np
from numpy.typing import NDArray

from titokzip.entropy.context_model import TOTAL, ContextModel, Known, to_digits
from titokzip.entropy.packed import Counts, Tokens, spans
from titokzip.errors import FormatError
from titokzip.tiling import Grid, neighbours

_FAMILY = constriction.stream.model.Categorical(perfect=False)  # always spelled out: it sets bits


def range_encode(
    tokens: Tokens, counts: Counts, stops: Sequence[int], grid: Grid, prior: ContextModel
) -> list[bytes]:
    """Code tokens [N, L] by the prior, one string of bytes for the tokens up to each stop."""
    digits = _to_digits(tokens, prior)
    state = _State(counts, grid, prior)
    layers = []
    for start, stop in spans(stops):
        coder = constriction.stream.queue.RangeEncoder()
        for run in prior.runs(start * prior.digits, stop * prior.digits):
            active, rows = state.look_up(run)
            with _wall():
                coder.encode(digits[run][active] + int(prior.balanced), _FAMILY, rows)
            state.learn(run, digits[run] * active)
        layers.append(_trimmed(coder))
    return layers


def range_decode(
    layers: Sequence[bytes], counts: Counts, stops: Sequence[int], grid: Grid, prior: ContextModel
) -> Tokens:
    """Recover tokens [N, L], 0 where none was sent; the inverse of `range_encode`.

    Raises:
        FormatError: the bits do not decode under this prior.
    """
    digits = np.full((stops[-1] * prior.digits, len(counts)), -int(prior.balanced), np.int32)
    state = _State(counts, grid, prior)
    for data, (start, stop) in zip(layers, spans(stops), strict=False):
        words = np.frombuffer(data + bytes(-len(data) % 4), ">u4").astype(np.uint32)
        with _wall():
            coder = constriction.stream.queue.RangeDecoder(words)
        for run in prior.runs(start * prior.digits, stop * prior.digits):
            active, rows = state.look_up(run)
            with _wall():
                digits[run][active] = coder.decode(_FAMILY, rows) - np.int32(prior.balanced)
            state.learn(run, digits[run] * active)
    return _from_digits(digits, prior)


class _State:
    """What both sides know of every tile so far."""

    def __init__(self, counts: Counts, grid: Grid, prior: ContextModel) -> None:
        self.prior, self.counts = prior, counts
        self.known = Known(prior.coefficients, neighbours(grid))

    def look_up(self, run: slice) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        """Tell which tiles have each digit of a run [r, N], and a row of frequencies for those."""
        prior = self.prior
        active = np.arange(run.start, run.stop)[:, None] // prior.digits < self.counts
        activity = self.known.activity(prior.witnesses[run], prior.importance[run])
        row = self.known.rows(prior.coefficient[run], activity, prior.thresholds[run])
        digit, tile = np.nonzero(active)
        frequencies = prior.frequencies[run][digit, row[digit, tile]].astype(np.float64)
        return active, frequencies - 1

    def learn(self, run: slice, digits: NDArray[np.int32]) -> None:
        """Take in the values [r, N] of a run, 0 where there is none."""
        self.known.learn(self.prior.coefficient[run], digits * self.prior.weight[run, None])


def cost(tokens: Tokens, grid: Grid, prior: ContextModel) -> NDArray[np.float64]:
    """Estimate the bits that each token [N, L] takes in the range coder."""
    digits = _to_digits(tokens, prior)
    state = _State(np.full(len(tokens), tokens.shape[1]), grid, prior)
    bits = np.empty(digits.shape)
    for run in prior.runs(0, len(digits)):
        _, rows = state.look_up(run)
        symbols = digits[run].ravel() + int(prior.balanced)
        chosen = rows[np.arange(len(rows)), symbols] + 1
        bits[run] = (np.log2(TOTAL) - np.log2(chosen)).reshape(-1, len(tokens))
        state.learn(run, digits[run])
    summed: NDArray[np.float64] = bits.reshape(-1, prior.digits, len(tokens)).sum(axis=1).T
    return summed


def _to_digits(tokens: Tokens, prior: ContextModel) -> NDArray[np.int32]:
    """Take tokens [N, L] apart; [D, N]."""
    return to_digits(tokens, prior.digits, prior.radix, prior.balanced)


def _from_digits(digits: NDArray[np.int32], prior: ContextModel) -> Tokens:
    """Put digits [D, N] together to tokens [N, L]; the inverse of `_to_digits`."""
    powers = prior.radix ** np.arange(prior.digits)
    rows = digits.reshape(-1, prior.digits, digits.shape[1]) + int(prior.balanced)
    tokens: Tokens = np.einsum("ldn,d->nl", rows, powers).astype(np.int32)
    return tokens


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
