"""How fine an image is coded: a quality from 1 to 100, or a limit of bytes.

A quality is a slope of squared error against bits, whatever the number of pixels. Under a limit the
finest slope is searched whose file fits: statistics of the coefficients predict it, and one or two
quantisations correct the prediction.
"""

from collections.abc import Callable
from math import log2

import numpy as np

from titokzip.entropy import coder
from titokzip.entropy.context_model import ContextModel
from titokzip.errors import RateError
from titokzip.tokenizers.embedded.candidates import Candidate, Candidates
from titokzip.tokenizers.embedded.quantizer import LAMBDA, Quantising, Quantization, step_size
from titokzip.tokenizers.embedded.search import (
    COARSEST,
    LEVELS_PER_OCTAVE,
    Encoded,
    FileSize,
    Search,
    Searches,
    Trial,
)
from titokzip.transform.planes import Planes

FINEST_REFINED = 96  # step index: the network gains nothing over finer ones
EXACT = 0.001  # squared error over the squared step; below it an image is near its original already

_QUALITIES = (1, 10, 20, 30, 50, 65, 80, 90, 100)
_LEVELS = (180, 100, 8, -76, -132, -176, -244, -420, -700)
_LAYER_BYTES = (1200, 4000)  # from which on a file has two layers, and three
_SMALL_BITS = 2500  # below which an image is quantised at several working sizes
_MAX_PASSES = 7
_BIAS = 0.025  # of predicted errors with the number of pixels, which are too low for many
_PAYLOAD = 0.95  # real length over the statistics', usually
_EXPECTED = 0.9, 1.08  # of predicted costs; photos cost that, graphics less
_COARSER = 0.4  # power of a smaller multiplier by which slopes grow, so that files keep their sizes


class Encoder:
    """One image, encoded as often as is asked for.

    What encodes it asks for quantisations; `quantizer.quantize_many` answers.
    """

    def __init__(
        self,
        source: Planes,
        model: ContextModel,
        size: tuple[int, int] | None = None,
        lagrange: float = 1.0,
    ) -> None:
        """Take planes [C, H, W]; `size` is the image's own, if they are already reduced.

        What a bit is worth in quantising is multiplied by `lagrange`, at about equal bits.
        """
        self.model, self.lagrange = model, lagrange
        self.candidates = Candidates(source, size)

    def predicted_cost(self, slope: float) -> float:
        """Predict the squared error, a pixel, plus the slope for each bit."""
        bits, error = self.candidates.at(self.candidates.best(slope)).estimate(slope)
        return error + slope * bits

    def at_quality(self, quality: float) -> Quantising[Encoded]:
        """Encode at a quality from 1 to 100."""
        slope, trials = slope_at(quality), dict[int, Trial]()
        best = yield from self._best(slope, trials)
        return trials[best].encoded

    def within(self, limit: int, file_size: FileSize) -> Quantising[Encoded]:
        """Encode in at most so many bytes.

        Raises:
            RateError: even the coarsest file is larger.
        """
        searches = Searches(limit, file_size)
        best = yield from self._fullest(searches)
        return searches.made[best].best or (yield from self._smallest(limit, file_size))

    def _fullest(self, searches: Searches) -> Quantising[int]:
        """Find the place of the working size that a limit of bytes serves best."""

        def cost(index: int) -> float:
            return self._predicted(searches, index)[1]

        def error(index: int) -> Quantising[float]:
            return (yield from self._searched(searches, index)).error

        best = self.candidates.nearest(searches.limit * 8, cost)
        found = yield from self._searched(searches, best)
        if searches.limit * 8 < _SMALL_BITS or not found.expected:
            best = yield from self._descend(best, error)
        return best

    def _predicted(self, searches: Searches, index: int) -> tuple[int, float]:
        """Predict the finest level of a working size that fits, and its cost, once."""
        if index not in searches.predictions:
            found = self._predict(index, searches.limit, searches.file_size)
            searches.predictions[index] = found
        return searches.predictions[index]

    def _searched(self, searches: Searches, index: int) -> Quantising[Search]:
        """Search the finest level of a working size that fits, once."""
        if index not in searches.made:
            level = self._predicted(searches, index)[0]
            search = Search(searches.limit, searches.file_size)
            yield from self._search(search, self.candidates.at(index), level)
            searches.made[index] = search
        return searches.made[index]

    def _search(self, search: Search, candidate: Candidate, level: int) -> Quantising[None]:
        """Search the finest level of a working size, from a level on."""
        for _ in range(_MAX_PASSES):
            level = search.open(level)
            trial = yield from self._quantise(_slope(level), candidate)
            search.expected &= trial.expected
            level = search.learn(level, search.offer(trial))
            if search.is_over:
                break
        level, move = search.fails + 4, 4
        while search.best is None and level <= COARSEST:
            size = search.offer((yield from self._quantise(_slope(level), candidate)))
            search.learn(level, size)
            level += max(move, round(LEVELS_PER_OCTAVE * log2(size / search.limit)))
            move *= 2

    def _smallest(self, limit: int, file_size: FileSize) -> Quantising[Encoded]:
        """Encode the coarsest file that there is."""
        search = Search(limit, file_size)
        size = search.offer((yield from self._quantise(_slope(COARSEST), self.candidates.at(0))))
        if search.best is None:
            raise RateError(f"this image takes at least {size} bytes; {limit} are too few")
        return search.best

    def _predict(self, index: int, limit: int, file_size: FileSize) -> tuple[int, float]:
        """Predict the finest level of a working size that fits, and what the image costs at it."""
        candidate, search = self.candidates.at(index), Search(limit, file_size)
        level = -round(LEVELS_PER_OCTAVE * log2(max(limit, 1) / 600))
        while search.fits - search.fails > 1:
            level = search.open(level)
            length = candidate.estimate(_slope(level))[0] / 8 * _PAYLOAD
            level = search.learn(level, file_size(candidate.blocks, _lengths(length), True))
        error = candidate.estimate(_slope(search.fits))[1]
        return search.fits, error * candidate.pixels**_BIAS

    def _best(self, slope: float, trials: dict[int, Trial]) -> Quantising[int]:
        """Find the place of the best working size.

        It is the one that the statistics predict, but for small images and those that cost more or
        less than predicted; for them others are tried.
        """
        best = self.candidates.best(slope)
        trial = yield from self._tried(trials, slope, best)
        if trial.expected and trial.bits > _SMALL_BITS:
            return best

        def cost(index: int) -> Quantising[float]:
            trial = yield from self._tried(trials, slope, index)
            return trial.error + slope * trial.bits

        return (yield from self._descend(best, cost))

    def _descend(self, index: int, cost: Callable[[int], Quantising[float]]) -> Quantising[int]:
        """Search the place of least cost from another on, from neighbour to neighbour."""
        while True:
            costs: dict[int, float] = {}
            for one in self.candidates.beside(index):
                costs[one] = yield from cost(one)
            best = min(costs, key=costs.__getitem__)
            if best == index:
                return index
            index = best

    def _tried(self, trials: dict[int, Trial], slope: float, index: int) -> Quantising[Trial]:
        """Quantise at a working size, once."""
        if index not in trials:
            trials[index] = yield from self._quantise(slope, self.candidates.at(index))
        return trials[index]

    def _quantise(self, slope: float, candidate: Candidate) -> Quantising[Trial]:
        coarser = slope * self.lagrange**-_COARSER
        step, weight = candidate.step(coarser), candidate.weight(coarser) * self.lagrange
        bits, guess = candidate.estimate(slope)
        layers = len(_lengths(bits / 8))
        found = yield Quantization(candidate.coefficients, step, weight, layers)
        payloads = found.payloads
        if (needed := len(_lengths(found.bits / 8))) != layers:
            payloads = coder.encode(found.integers, step, self.model, needed)
        coding_error = found.error / candidate.pixels
        error = candidate.residual + coding_error
        ratio = (error + slope * found.bits) / (guess + slope * bits)
        refined = step >= FINEST_REFINED and coding_error > EXACT * step_size(step) ** 2
        encoded = Encoded(step, candidate.blocks, payloads, found.integers, refined)
        return Trial(encoded, found.bits, error, _EXPECTED[0] < ratio < _EXPECTED[1])


def slope_at(quality: float) -> float:
    """Give the squared error that a bit must save at a quality, a pixel of the source."""
    return _slope(round(float(np.interp(quality, _QUALITIES, _LEVELS))))


def _slope(level: int) -> float:
    return LAMBDA * float(2 ** (level / 48))


def _lengths(length: float) -> list[int]:
    """Split a number of bytes into those of layers, about as the coder does."""
    layers = 1 + sum(length >= least for least in _LAYER_BYTES)
    ends = [round(length * 0.25 ** (layers - i)) for i in range(1, layers + 1)]
    return [int(end - start) + 1 for start, end in zip([0, *ends], ends, strict=False)]
