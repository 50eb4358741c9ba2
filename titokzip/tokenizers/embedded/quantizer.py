"""Coefficients to integers, optimised for rate and distortion against the context model."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from titokzip.entropy import symbols
from titokzip.entropy.coder import Coded, Signs, Writer, code_bands, nonzero
from titokzip.entropy.context_model import ContextModel
from titokzip.entropy.neighbours import Phase
from titokzip.entropy.range_coder import PRECISION
from titokzip.entropy.symbols import LARGEST, Logits, Tables, Values
from titokzip.transform.bands import Band, is_chroma
from titokzip.transform.pyramid import Coefficients, Integers

FINEST_STEP = 0.4
STEPS_PER_OCTAVE = 24
CHROMA = 0.85  # of the luma step
LAMBDA = 0.14  # squared steps that a bit is worth
_OFFSETS = np.array([0, 0.04, 0.02], np.float32)  # steps added to magnitudes 0, 1 and above
# A bit spent on a first nonzero value is worth less than one: it makes later contexts better.
# What decides is the excess of its bits over those of a zero, times a slope, plus a bias.
_SLOPE, _BIAS = 0.7, 0.3
_SMALL = 0.62  # steps; a band of smaller coefficients is empty


def step_size(index: int) -> float:
    """Give the luma step of an index, 0 to 255: 24 an octave."""
    return float(FINEST_STEP * 2 ** (index / STEPS_PER_OCTAVE))


def plane_steps(index: int, planes: int) -> NDArray[np.float32]:
    """Give the steps of C planes."""
    factors = [CHROMA if is_chroma(plane, planes) else 1.0 for plane in range(planes)]
    return np.array(factors, np.float32) * np.float32(step_size(index))


class Costs:
    """Bits of integers under logits of the context model."""

    def __init__(self, tables: Tables) -> None:
        probability = tables.probabilities / 2.0**PRECISION
        self.yes, self.no = -np.log2(probability), -np.log2(1 - probability)  # [5, 384]
        self.yes, self.no = self.yes.astype(np.float32), self.no.astype(np.float32)
        sizes = PRECISION - np.log2(tables.sizes + 1) + np.arange(symbols.SIZE_CLASSES) // 2
        self.sizes = sizes.astype(np.float32)

    def of(self, magnitudes: Values, logits: Logits) -> NDArray[np.float32]:
        """Give the bits [n] of magnitudes [n] and their signs."""
        first, second, third = logits[:3]
        bits = np.where(magnitudes > 0, self.yes[0].take(first) + 1, self.no[0].take(first))
        above = np.flatnonzero(magnitudes > 0)
        if above.size:
            one, two = magnitudes[above] > 1, magnitudes[above] > 2
            second, third = second[above], third[above]
            more = np.where(one, self.yes[1].take(second), self.no[1].take(second))
            more += one * np.where(two, self.yes[2].take(third), self.no[2].take(third))
            bits[above] += more
            large = above[two]
            if large.size:
                classes = symbols.size_class(magnitudes[large] - 1)
                bits[large] += self.sizes[logits[3, large] >> 3, classes]
        found: NDArray[np.float32] = bits
        return found

    def flag(self, coded: bool, logit: int) -> float:
        """Give the bits of the flag of a band."""
        return float((self.yes if coded else self.no)[3, logit])


class Quantizer:
    """A source of integers: the cheapest of a few candidates, group by group; writes them."""

    def __init__(
        self,
        coefficients: Coefficients,
        step: int,
        model: ContextModel,
        weight: float = LAMBDA,
        layers: int = 1,
    ) -> None:
        self.coefficients, self.weight = coefficients, weight
        self.writer = Writer(model, layers, len(coefficients.means) - 1)
        self.steps = plane_steps(step, coefficients.blocks.shape[0])
        self.costs = Costs(model.tables)
        excess = self.costs.yes[0] - self.costs.no[0]
        self._discount = np.where(excess > 0, (1 - _SLOPE) * excess, 0) - np.float32(_BIAS)
        self.bits = 0.0
        self.saved = 0.0  # squared error, against an image of zeros

    def is_empty(self, band: Band, logit: int) -> bool:
        """Begin a band; one of small coefficients is empty."""
        self._scaled = band.of(self.coefficients) * (1 / self.steps[band.plane])
        self._logit, self._bits, self._gain = logit, 0.0, 0.0
        self._phases: list[Coded] = []
        if band.level == 0 or np.abs(self._scaled).max() >= _SMALL:
            return False
        self._drop(band)
        return True

    def values(self, band: Band, phase: Phase, logits: Logits, signs: Signs) -> Values:
        """Choose the integers [h', w'] of a phase."""
        scaled = phase.of(self._scaled)
        sizes = np.abs(scaled).ravel()
        upper = np.minimum(sizes + np.float32(0.5), LARGEST).astype(np.int32)
        bits = self.costs.no[0].take(logits[0])
        at = np.flatnonzero(upper)
        if at.size:
            chosen, spent = self._choose(sizes[at], upper[at], logits[:, at])
            rest = sizes[at] - chosen
            self._gain += float((sizes[at] ** 2 - rest * rest).sum())
            bits[at] = spent
            upper[at] = chosen
        self._bits += float(bits.sum())
        chosen = upper.reshape(scaled.shape)
        found: Values = np.where(scaled < 0, -chosen, chosen)
        self._phases.append(Coded(found.ravel(), logits, signs(nonzero(found))))
        return found

    def _choose(
        self, sizes: NDArray[np.float32], upper: Values, logits: Logits
    ) -> tuple[Values, NDArray[np.float32]]:
        """Choose among zero, the nearest integer and the one below it; also give their bits."""
        count = len(upper)
        tried = np.concatenate([np.zeros_like(upper), upper, upper - 1])
        threefold = np.concatenate([logits] * 3, axis=1)
        bits = self.costs.of(tried, threefold)
        rest = np.concatenate([sizes] * 3) - tried
        worth = bits - np.where(tried > 0, self._discount.take(threefold[0]), 0)
        totals = rest * rest + self.weight * worth
        best = totals.reshape(3, count).argmin(axis=0) * count + np.arange(count)
        return tried[best], bits[best]

    def keep(self, band: Band, values: Values) -> bool:
        """Write a band if it is worth its bits, and tell whether it is."""
        if band.level != 0:
            flag = self.costs.flag(True, self._logit)
            more = self._bits + flag - self.costs.flag(False, self._logit)
            if not values.any() or self._gain < self.weight * more:
                self._drop(band)
                return False
            self.bits += flag
        self.bits += self._bits
        self.saved += self._gain * float(self.steps[band.plane]) ** 2
        self.writer.begin(band, True, self._logit)
        self.writer.write(self._phases)
        return True

    def _drop(self, band: Band) -> None:
        self.bits += self.costs.flag(False, self._logit)
        self.writer.begin(band, False, self._logit)


def dequantize(integers: Integers, step: int) -> Coefficients:
    """Reconstruct coefficients: the inverse of `quantize`, but for what it lost."""
    steps = plane_steps(step, len(integers.blocks))

    def reconstruct(values: NDArray[np.int32]) -> NDArray[np.float32]:
        sizes = np.abs(values)
        offsets = _OFFSETS.take(np.minimum(sizes, 2))
        shape = (-1,) + (1,) * (values.ndim - 1)
        found: NDArray[np.float32] = np.sign(values) * (sizes + offsets) * steps.reshape(shape)
        return found.astype(np.float32)

    low = integers.means[0][0] * steps[:, None, None]
    details = [[reconstruct(values) for values in level] for level in integers.means[1:]]
    return Coefficients([[low], *details], reconstruct(integers.blocks))


@dataclass(frozen=True)
class Quantized:
    """An image after quantisation."""

    integers: Integers
    payloads: list[bytes]  # the layers
    bits: float  # that they take, all but exactly
    error: float  # squared error of the working image


def quantize(
    coefficients: Coefficients,
    step: int,
    model: ContextModel,
    weight: float = LAMBDA,
    layers: int = 1,
) -> Quantized:
    """Quantise coefficients and code them; `weight` is in squared steps a bit."""
    shape = coefficients.blocks.shape
    integers = Integers.zeros(shape[0], *shape[-2:])
    quantizer = Quantizer(coefficients, step, model, weight, layers)
    code_bands(integers, step, model, quantizer)
    parts = [band for level in coefficients.means for band in level] + [coefficients.blocks]
    energy = sum(float(np.vdot(part, part)) for part in parts)
    error = max(energy - quantizer.saved, 0.0)
    return Quantized(integers, quantizer.writer.payloads(), quantizer.bits, error)
