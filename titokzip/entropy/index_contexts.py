"""What is known of an indexed image so far, and what it predicts of the next front.

Numbers are indexes + 1, and 0 outside of the image. H x W pixels, K colours, n pixels of a front.
"""

from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from titokzip.entropy.range_coder import PRECISION

_LENGTHS: Final = (40, 16, 6, 2)  # neighbours that each memory looks at
# Right and down of a pixel; the nearest of those that are coded before it, nearest first.
_NEIGHBOURS: Final = np.array(
    sorted(
        ((x, y) for x in range(-6, 7) for y in range(-6, 1) if x + 2 * y < 0),
        key=lambda at: (at[0] ** 2 + at[1] ** 2, -at[1], -at[0]),
    )[: max(_LENGTHS)]
)
_GUESSES: Final = 6  # neighbours that are guesses themselves
_SEEN: Final = 4  # neighbours whose equality to a guess is a condition
_RANKS: Final = 3  # guesses that are told apart by what was guessed before
_HASH_BITS: Final = 18
_FACTOR: Final = 0x9E3779B97F4A7C15  # of hashes
_START, _STEP = 2, 5  # of the counts of decisions
_FOLLOWED: Final = 16  # weight of a colour each time that it was chosen beside the same one
_RING: Final = 16  # fronts that are kept, and a few more than neighbours need
_MARGIN: Final = 6

Indexes = NDArray[np.int32]
Hits = NDArray[np.bool_]
Counts = NDArray[np.int64]


class Source(Protocol):
    """Where numbers come from, front by front."""

    def decide(self, front: int, rows: Indexes, guesses: Indexes, yes: Counts) -> Hits:
        """Tell which guesses [n] are right, by rows [n]; `yes` are their frequencies of 2^24."""
        ...

    def choose(self, front: int, row: int, numbers: Indexes, weights: Counts) -> int:
        """Give the number of a pixel, one of the numbers [m]."""
        ...

    def new(self, number: int) -> None:
        """Take in a colour."""
        ...


class Fronts:
    """What encoder and decoder know of the fronts so far."""

    def __init__(self, width: int, height: int, colours: int) -> None:
        self._width, self._height, self._colours = width, height, colours
        self._known = 0
        self._ring = np.zeros((_RING, height + 2 * _MARGIN), np.int32)
        self._memory = np.zeros((len(_LENGTHS), 1 << _HASH_BITS), np.int32)
        self._counts = np.full((2, _RANKS << _CONDITIONS), _START, np.int64)  # right, wrong
        self._followed = np.zeros((colours + 1, colours + 1), np.int64)

    def code(self, front: int, source: Source) -> tuple[Indexes, Indexes]:
        """Code a front; give the rows [n] of its pixels and their numbers."""
        first, last = max(0, (front - self._width + 2) // 2), min(self._height - 1, front // 2)
        rows = np.arange(first, last + 1, dtype=np.int32)
        around = self._ring[
            (front + _FRONTS[:, None]) % _RING, rows + (_NEIGHBOURS[:, 1:] + _MARGIN)
        ]
        places = _hashes(around)
        guesses = np.concatenate([self._memory[_MEMORIES, places], around[:_GUESSES]])
        numbers = self._guess(front, rows, guesses, source)
        for at in np.flatnonzero(numbers == 0):
            known = guesses[:, at]
            numbers[at] = self._choose(front, int(rows[at]), int(around[0, at]), known, source)
        self._memory[_MEMORIES, places] = numbers  # of those with the same place the last stays
        self._ring[front % _RING] = 0
        self._ring[front % _RING, rows + _MARGIN] = numbers
        return rows, numbers

    def _guess(self, front: int, rows: Indexes, guesses: Indexes, source: Source) -> Indexes:
        """Give the numbers [n] that a guess [guesses, n] hits, else 0."""
        same = guesses[:, None] == guesses
        valid = (guesses > 0) & ~(same & _EARLIER).any(axis=1)
        ranks = np.minimum(np.cumsum(valid, axis=0) - valid, _RANKS - 1)
        conditions = np.packbits(same[:, :_CONDITIONS], axis=1)[:, 0] >> (8 - _CONDITIONS)
        contexts = (ranks << _CONDITIONS) + conditions
        numbers, learned = np.zeros(len(rows), np.int32), []
        for turn, guess in enumerate(guesses):
            at = np.flatnonzero(valid[turn] & (numbers == 0))
            if not at.size:
                continue
            context, own = contexts[turn, at], guess[at]
            right = source.decide(front, rows[at], own, self._chances(context))
            numbers[at[right]] = own[right]
            learned.append(context + ~right * self._counts.shape[1])
            if numbers.all():
                break
        if learned:
            flat = np.bincount(np.concatenate(learned), minlength=self._counts.size)
            self._counts += _STEP * flat.reshape(self._counts.shape)
        return numbers

    def _chances(self, contexts: Counts) -> Counts:
        """Give the frequencies of 2^24 that guesses are right."""
        right, wrong = self._counts[:, contexts]
        chances: Counts = 1 + ((1 << PRECISION) - 2) * right // (right + wrong)
        return chances

    def _choose(self, front: int, row: int, left: int, guesses: Indexes, source: Source) -> int:
        """Give the number of a pixel that is none of the guesses."""
        open_ = np.ones(self._known + 1, bool)
        open_[guesses] = False
        open_[0] = False
        numbers = np.flatnonzero(open_).astype(np.int32)
        weights = _FOLLOWED * self._followed[left, numbers] + 1
        if self._known < self._colours:
            numbers = np.append(numbers, np.int32(self._known + 1))
            weights = np.append(weights, self._colours - self._known)
        number = source.choose(front, row, numbers, weights)
        if number > self._known:
            self._known = number
            source.new(number)
        self._followed[left, number] += 1
        return number


_FRONTS: Final = _NEIGHBOURS @ (1, 2)
_MEMORIES: Final = np.arange(len(_LENGTHS))[:, None]
_CONDITIONS: Final = len(_LENGTHS) + _SEEN  # bits of a context
_EARLIER: Final = np.tri(len(_LENGTHS) + _GUESSES, k=-1, dtype=bool)[:, :, None]
_FACTORS: Final = np.array(
    [pow(_FACTOR, n, 2**64) for n in range(1, len(_NEIGHBOURS) + 1)], np.uint64
)[:, None]


def _hashes(around: Indexes) -> Counts:
    """Give the places in each memory [4, n] of neighbours [40, n]."""
    sums = np.cumsum(around.astype(np.uint64) * _FACTORS, axis=0, dtype=np.uint64)
    hashes: NDArray[np.uint64] = sums[np.array(_LENGTHS) - 1] >> np.uint64(64 - _HASH_BITS)
    return hashes.astype(np.int64)
