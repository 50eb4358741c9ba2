"""How fine an image is coded: a quality from 1 to 100, or a limit of bytes.

A quality is a slope of squared error against bits, whatever the number of pixels. Under a limit the
finest slope is searched whose file fits: statistics of the coefficients predict it, and one or two
quantisations correct the prediction.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import log2

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

# Levels are twelfths of an octave of the slope, so steps are an index apart. Level 0 has a step
# of a pixel's root: the step over the root of the number of working pixels is one.
_QUALITIES = (1, 10, 20, 30, 50, 65, 80, 90, 100)
_LEVELS = (45, 25, 2, -19, -33, -44, -61, -105, -175)
_COARSEST, _FINEST = 200, -330
_LEVELS_PER_OCTAVE = 20  # of bytes, usually
_LAYER_BYTES = (1200, 4000)  # from which on a file has two layers, and three
_SMALL_BITS = 2500  # below which an image is quantised at several working sizes
_MAX_PASSES = 6


@dataclass(frozen=True)
class Encoded:
    """An image as it is coded."""

    step: int
    blocks: int  # along the shorter side, 0 for the image's own size
    payloads: list[bytes]
    integers: Integers


@dataclass(frozen=True)
class _Trial:
    level: int
    candidate: Candidate
    step: int
    integers: Integers
    length: float  # of the payload, in bytes
    error: float  # squared, a pixel of the source


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
        correction, trials = 1.0, dict[int, _Trial]()
        level = self._predict(
            limit, file_size, correction, -round(_LEVELS_PER_OCTAVE * log2(limit / 600))
        )
        fits: _Trial | None = None
        fails = _FINEST - 1
        while len(trials) < _MAX_PASSES:
            trial = trials[level] = self._try(level)
            size = _estimated_size(trial, file_size)
            predicted, _ = trial.candidate.estimate(_slope(level))
            correction = trial.length * 8 / predicted
            if size <= limit:
                fits = trial if fits is None or level < fits.level else fits
            else:
                fails = max(fails, level)
            nearest = self._predict(limit, file_size, correction, level)
            level = max(nearest, fails + 1)
            if fits is not None:
                level = min(level, fits.level)
            if level in trials:
                break
        return self._fitting(fits, fails, limit, file_size)

    def _fitting(self, fits: _Trial | None, fails: int, limit: int, file_size: FileSize) -> Encoded:
        """Encode for good; go coarser where the estimate of the size was too low."""
        level = fits.level if fits is not None else fails + 1
        while True:
            trial = fits if fits is not None else self._try(level)
            encoded = self._encode(trial)
            size = file_size(encoded.blocks, [len(one) for one in encoded.payloads])
            if size <= limit:
                return encoded
            if level >= _COARSEST:
                raise RateError(f"this image takes at least {size} bytes; {limit} are too few")
            fits, level = None, min(level + max(1, round(20 * log2(size / limit))), _COARSEST)

    def _predict(self, limit: int, file_size: FileSize, correction: float, level: int) -> int:
        """Search the finest level that is predicted to fit, from a level on."""
        fits, fails = _COARSEST + 1, _FINEST - 1
        while fits - fails > 1:
            level = min(max(level, fails + 1), fits - 1)
            slope = _slope(level)
            candidate = self.candidates.at(self.candidates.best(slope))
            length = candidate.estimate(slope)[0] * correction / 8
            size = file_size(candidate.blocks, _lengths(length))
            if size <= limit:
                fits = level
            else:
                fails = level
            move = round(_LEVELS_PER_OCTAVE * log2(size / limit))
            level += move or (1 if size > limit else -1)
        return min(fits, _COARSEST)

    def _try(self, level: int) -> _Trial:
        """Quantise at the best working size; of small images, the sizes beside it are tried, too."""
        slope = _slope(level)
        best = self.candidates.best(slope)
        if self.candidates.at(best).estimate(slope)[0] > _SMALL_BITS:
            return self._quantise(level, best)
        trials = [self._quantise(level, index) for index in self.candidates.beside(best)]
        return min(trials, key=lambda trial: trial.error + slope * 8 * trial.length)

    def _quantise(self, level: int, index: int) -> _Trial:
        candidate = self.candidates.at(index)
        step = candidate.step(_slope(level))
        found = quantizer.quantize(candidate.coefficients, step, self.model)
        error = candidate.residual + found.error / candidate.pixels
        return _Trial(level, candidate, step, found.integers, found.bits / 8, error)

    def _encode(self, trial: _Trial) -> Encoded:
        layers = len(_lengths(trial.length))
        payloads = coder.encode(trial.integers, trial.step, self.model, layers)
        return Encoded(trial.step, trial.candidate.blocks, payloads, trial.integers)


def _slope(level: int) -> float:
    return LAMBDA * float(2 ** (level / 12))


def _lengths(length: float) -> list[int]:
    """Split a number of bytes into those of layers, about as the coder does."""
    layers = 1 + sum(length >= least for least in _LAYER_BYTES)
    ends = [round(length * 0.25 ** (layers - i)) for i in range(1, layers + 1)]
    return [int(end - start) + 1 for start, end in zip([0, *ends], ends, strict=False)]


def _estimated_size(trial: _Trial, file_size: FileSize) -> int:
    return file_size(trial.candidate.blocks, _lengths(trial.length))
