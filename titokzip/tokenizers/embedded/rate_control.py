"""How fine an image is coded: a quality from 1 to 100, or a limit of bytes.

A quality is a slope of squared error against bits, whatever the number of pixels. Under a limit the
finest slope is searched whose file fits: statistics of the coefficients predict it, and one or two
quantisations correct the prediction.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf, log2

import numpy as np

from titokzip.entropy import coder
from titokzip.entropy.context_model import ContextModel
from titokzip.errors import RateError
from titokzip.tokenizers.embedded import quantizer
from titokzip.tokenizers.embedded.candidates import Candidate, Candidates
from titokzip.tokenizers.embedded.quantizer import LAMBDA
from titokzip.transform.planes import Planes
from titokzip.transform.pyramid import Integers

FileSize = Callable[[int, Sequence[int]], int]  # of the blocks and the lengths of the layers

# Levels are 48ths of an octave of the slope. At level 0 the step is the root of the number of
# working pixels.
_QUALITIES = (1, 10, 20, 30, 50, 65, 80, 90, 100)
_LEVELS = (180, 100, 8, -76, -132, -176, -244, -420, -700)
_COARSEST, _FINEST = 800, -1320
_LEVELS_PER_OCTAVE = 80  # of bytes, usually
_LAYER_BYTES = (1200, 4000)  # from which on a file has two layers, and three
_SMALL_BITS = 2500  # below which an image is quantised at several working sizes
_MAX_PASSES = 7
_BIAS = 0.025  # of predicted errors with the number of pixels, which are too low for many
_PAYLOAD = 0.95  # real length over the statistics', usually
_FULL = 0.985  # of a limit, which is enough
_AIM = 0.994  # of a limit, for the next try
_NEAR = 0.98, 1.005  # of a limit, between which an estimated size is worth the real one
_EXPECTED = 0.9, 1.08  # of predicted costs; photos cost that, graphics less


@dataclass(frozen=True)
class Encoded:
    """An image as it is coded."""

    step: int
    blocks: int  # along the shorter side, 0 for the image's own size
    payloads: list[bytes]
    integers: Integers
    error: float  # squared, a pixel of the working image


@dataclass(frozen=True)
class _Trial:
    candidate: Candidate
    step: int
    integers: Integers
    length: float  # of the payload, in bytes, as the quantiser estimates it
    error: float  # squared, a pixel of the source
    coding_error: float  # squared, a pixel of the working image
    expected: bool  # whether it costs about what the statistics predicted


@dataclass
class _Search:
    """How far the search for the finest file of one working size within a limit has come."""

    limit: int
    file_size: FileSize
    fits: int = _COARSEST + 1  # finest level known to fit
    fails: int = _FINEST - 1  # coarsest level known to fail
    best: Encoded | None = None
    size: int = 0  # of the best, in bytes
    error: float = inf  # of the best
    ratio: float = 0.98  # real length over the quantiser's
    pace: float = _LEVELS_PER_OCTAVE  # of bytes, by the latest two sizes
    latest: tuple[int, int] | None = None  # level and size
    expected: bool = True  # whether all trials cost what the statistics predicted

    def estimated_size(self, candidate: Candidate, length: float) -> int:
        """Give the bytes of a file whose payload has an estimated length."""
        return self.file_size(candidate.blocks, _lengths(length))

    def open(self, level: int) -> int:
        """Give the level nearest to another of those that are open."""
        return min(max(level, self.fails + 1), self.fits - 1)

    @property
    def is_over(self) -> bool:
        """Whether no level is open, or the best file is as good as full."""
        return self.size >= _FULL * self.limit or self.fits - self.fails <= 1

    def learn(self, level: int, size: int) -> int:
        """Take in the size of a file at a level, and give the level to try next."""
        if size <= self.limit:
            self.fits = min(self.fits, level)
        else:
            self.fails = max(self.fails, level)
        if self.latest is not None:
            levels, octaves = level - self.latest[0], log2(self.latest[1] / size)
            if abs(levels) > 3 and levels * octaves > 0:
                self.pace = min(max(levels / octaves, _LEVELS_PER_OCTAVE / 2), self.pace * 2)
        self.latest = level, size
        return level + round(self.pace * log2(size / (_AIM * self.limit)))

    def offer(self, encoded: Encoded, trial: _Trial) -> int:
        """Take in a file, and keep it if it is the best; give its size."""
        lengths = [len(one) for one in encoded.payloads]
        self.ratio = sum(lengths) / trial.length
        size = self.file_size(encoded.blocks, lengths)
        if size <= self.limit and trial.error < self.error:
            self.best, self.size, self.error = encoded, size, trial.error
        return size


class Encoder:
    """One image, encoded as often as is asked for."""

    def __init__(
        self, source: Planes, model: ContextModel, size: tuple[int, int] | None = None
    ) -> None:
        """Take planes [C, H, W]; `size` is the image's own, if they are already reduced."""
        self.model = model
        self.candidates = Candidates(source, size)

    def at_quality(self, quality: float) -> Encoded:
        """Encode at a quality from 1 to 100."""
        return self._encode(self._try(round(float(np.interp(quality, _QUALITIES, _LEVELS)))))

    def within(self, limit: int, file_size: FileSize) -> Encoded:
        """Encode in at most so many bytes.

        Raises:
            RateError: even the coarsest file is larger.
        """
        predictions: dict[int, tuple[int, float]] = {}

        def cost(index: int) -> float:
            if index not in predictions:
                predictions[index] = self._predict(index, limit, file_size)
            return predictions[index][1]

        best = self.candidates.nearest(limit * 8, cost)
        searches: dict[int, _Search] = {}

        def error(index: int) -> float:
            if index not in searches:
                cost(index)
                searches[index] = _Search(limit, file_size)
                self._search(searches[index], index, predictions[index][0])
            return searches[index].error

        error(best)
        if limit * 8 < _SMALL_BITS or not searches[best].expected:
            best = self.candidates.descend(best, error)
        return searches[best].best or self._smallest(limit, file_size)

    def _search(self, search: _Search, index: int, level: int) -> None:
        """Search the finest level of a working size, from a level on."""
        for _ in range(_MAX_PASSES):
            level = search.open(level)
            trial = self._quantise(_slope(level), index)
            size = search.estimated_size(trial.candidate, trial.length * search.ratio)
            search.expected &= trial.expected
            if _NEAR[0] < size / search.limit < _NEAR[1]:
                size = search.offer(self._encode(trial), trial)
            level = search.learn(level, size)
            if search.is_over:
                break
        level, move = search.fits if search.fits <= _COARSEST else search.fails + 4, 4
        while search.best is None and level <= _COARSEST:
            trial = self._quantise(_slope(level), index)
            size = search.offer(self._encode(trial), trial)
            level += max(move, round(_LEVELS_PER_OCTAVE * log2(size / search.limit)))
            move *= 2

    def _smallest(self, limit: int, file_size: FileSize) -> Encoded:
        """Encode the coarsest file that there is."""
        search = _Search(limit, file_size)
        trial = self._quantise(_slope(_COARSEST), 0)
        size = search.offer(self._encode(trial), trial)
        if search.best is None:
            raise RateError(f"this image takes at least {size} bytes; {limit} are too few")
        return search.best

    def _predict(self, index: int, limit: int, file_size: FileSize) -> tuple[int, float]:
        """Predict the finest level of a working size that fits, and what the image costs at it."""
        candidate, search = self.candidates.at(index), _Search(limit, file_size)
        level = -round(_LEVELS_PER_OCTAVE * log2(max(limit, 1) / 600))
        while search.fits - search.fails > 1:
            level = search.open(level)
            length = candidate.estimate(_slope(level))[0] / 8 * _PAYLOAD
            level = search.learn(level, search.estimated_size(candidate, length))
        error = candidate.estimate(_slope(search.fits))[1]
        return search.fits, error * candidate.pixels**_BIAS

    def _try(self, level: int) -> _Trial:
        """Quantise at the best working size.

        It is the one that the statistics predict, but for small images and those that cost more or
        less than predicted; for them others are tried.
        """
        slope = _slope(level)
        best = self.candidates.best(slope)
        trials = {best: self._quantise(slope, best)}
        if trials[best].expected and trials[best].length * 8 > _SMALL_BITS:
            return trials[best]

        def cost(index: int) -> float:
            if index not in trials:
                trials[index] = self._quantise(slope, index)
            return trials[index].error + slope * 8 * trials[index].length

        return trials[self.candidates.descend(best, cost)]

    def _quantise(self, slope: float, index: int) -> _Trial:
        candidate = self.candidates.at(index)
        step, weight = candidate.step(slope), candidate.weight(slope)
        found = quantizer.quantize(candidate.coefficients, step, self.model, weight)
        error = candidate.residual + found.error / candidate.pixels
        bits, guess = candidate.estimate(slope)
        ratio = (error + slope * found.bits) / (guess + slope * bits)
        expected = _EXPECTED[0] < ratio < _EXPECTED[1]
        coding_error = found.error / candidate.pixels
        length = found.bits / 8
        return _Trial(candidate, step, found.integers, length, error, coding_error, expected)

    def _encode(self, trial: _Trial) -> Encoded:
        layers = len(_lengths(trial.length))
        payloads = coder.encode(trial.integers, trial.step, self.model, layers)
        blocks = trial.candidate.blocks
        return Encoded(trial.step, blocks, payloads, trial.integers, trial.coding_error)


def _slope(level: int) -> float:
    return LAMBDA * float(2 ** (level / 48))


def _lengths(length: float) -> list[int]:
    """Split a number of bytes into those of layers, about as the coder does."""
    layers = 1 + sum(length >= least for least in _LAYER_BYTES)
    ends = [round(length * 0.25 ** (layers - i)) for i in range(1, layers + 1)]
    return [int(end - start) + 1 for start, end in zip([0, *ends], ends, strict=False)]
