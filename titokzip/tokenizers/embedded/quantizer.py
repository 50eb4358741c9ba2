"""Coefficients to integers, optimised for rate and distortion against the context model."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from titokzip.entropy import symbols
from titokzip.entropy.band_coding import Mask, Signs, code_bands, nonzero
from titokzip.entropy.coder import Coded, Writer
from titokzip.entropy.context_model import ContextModel
from titokzip.entropy.neighbours import Phase, any_of
from titokzip.entropy.range_coder import PRECISION
from titokzip.entropy.symbols import LARGEST, Logits, Tables, Values
from titokzip.transform.bands import Band, is_chroma
from titokzip.transform.pyramid import Coefficients, Integers, stacked

T = TypeVar("T")

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
        above = magnitudes.nonzero()[0]
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


@dataclass(frozen=True)
class Quantization:
    """What is to be done to an image; `weight` is what a bit is worth in squared steps."""

    coefficients: Coefficients
    step: int
    weight: float = LAMBDA
    layers: int = 1

    @property
    def shape(self) -> tuple[int, int, int]:
        """Planes, rows and columns of blocks: images whose shapes are equal go side by side."""
        blocks = self.coefficients.blocks.shape
        return blocks[0], *blocks[-2:]


@dataclass(frozen=True)
class Quantized:
    """An image after quantisation."""

    integers: Integers
    payloads: list[bytes]  # the layers
    bits: float  # that they take, all but exactly
    error: float  # squared error of the working image


# Work on one image that asks for quantisations on its way, so that those of many are done together.
Quantising = Generator[Quantization, Quantized, T]


class Quantizer:
    """A source of integers: the cheapest of a few candidates, group by group; writes them.

    Sums over an image are taken cell by cell, so that none depends on the images beside it.
    """

    def __init__(self, images: Sequence[Quantization], model: ContextModel) -> None:
        self.coefficients = stacked([one.coefficients for one in images])
        self.weights = np.array([one.weight for one in images], np.float32)
        depth, planes = len(self.coefficients.means) - 1, images[0].shape[0]
        self.writer = Writer(model, [one.layers for one in images], depth)
        self.steps = np.stack([plane_steps(one.step, planes) for one in images], axis=1)
        self.costs = Costs(model.tables)
        excess = self.costs.yes[0] - self.costs.no[0]
        self._discount = np.where(excess > 0, (1 - _SLOPE) * excess, 0) - np.float32(_BIAS)
        self.bits = np.zeros(len(images))
        self.saved = np.zeros(len(images))  # squared error, against an image of zeros

    def begin(self, band: Band, logits: NDArray[np.intp]) -> Mask:
        """Begin a band; one of small coefficients is empty."""
        scaled = band.of(self.coefficients) * (1 / self.steps[band.plane])[:, None, None]
        coded: Mask = (np.abs(scaled).max(axis=(1, 2)) >= _SMALL) | (band.level == 0)
        self._logits, self._images = logits, coded.nonzero()[0]
        self._scaled = scaled if coded.all() else scaled[coded]
        self._bits, self._gain = np.zeros(len(self._images)), np.zeros(len(self._images))
        self._phases: list[Coded] = []
        if not coded.any():
            self._settle(band, coded)
        return coded

    def values(self, band: Band, phase: Phase, logits: Logits, signs: Signs) -> Values:
        """Choose the integers [A, h', w'] of a phase."""
        scaled = phase.of(self._scaled)
        sizes = np.abs(scaled).ravel()
        upper = np.minimum(sizes + np.float32(0.5), LARGEST).astype(np.int32)
        bits = self.costs.no[0].take(logits[0])
        at = upper.nonzero()[0]
        if at.size:
            owners = at // (upper.size // len(scaled))
            weights = self.weights[self._images[owners]]
            chosen, spent = self._choose(sizes[at], upper[at], logits[:, at], weights)
            rest = sizes[at] - chosen
            self._gain += np.bincount(owners, sizes[at] ** 2 - rest * rest, len(scaled))
            bits[at] = spent
            upper[at] = chosen
        starts = np.arange(0, upper.size, upper.size // len(scaled))
        self._bits += np.add.reduceat(bits.astype(np.float64), starts)
        chosen = upper.reshape(scaled.shape)
        found: Values = np.where(scaled < 0, -chosen, chosen)
        flat = found.reshape(len(found), -1)
        self._phases.append(Coded(flat, logits, signs(nonzero(found))))
        return found

    def _choose(
        self,
        sizes: NDArray[np.float32],
        upper: Values,
        logits: Logits,
        weights: NDArray[np.float32],
    ) -> tuple[Values, NDArray[np.float32]]:
        """Choose among zero, the nearest integer and the one below it; also give their bits."""
        count = len(upper)
        tried = np.zeros(3 * count, np.int32)
        tried[count : 2 * count], tried[2 * count :] = upper, upper - 1
        threefold = np.concatenate([logits] * 3, axis=1)
        bits = self.costs.of(tried, threefold)
        rest = np.concatenate([sizes] * 3) - tried
        worth = bits - np.where(tried > 0, self._discount.take(threefold[0]), 0)
        totals = (rest * rest).reshape(3, count) + weights * worth.reshape(3, count)
        best = totals.argmin(axis=0) * count + np.arange(count)
        return tried[best], bits[best]

    def keep(self, band: Band, values: Values) -> Mask:
        """Write a band where it is worth its bits, and tell where it is."""
        logits = self._logits[self._images]
        more = self._bits + self.costs.yes[3, logits] - self.costs.no[3, logits]
        worth = self._gain >= self.weights[self._images] * more
        kept: Mask = (any_of(values) & worth) | (band.level == 0)
        images, coded = self._images[kept], np.zeros(len(self._logits), np.bool_)
        coded[images] = True
        self._settle(band, coded)
        if images.size:
            self.bits[images] += self._bits[kept]
            self.saved[images] += self._gain[kept] * self.steps[band.plane, images] ** 2.0
            self.writer.write([phase.of(kept) for phase in self._phases])
        return kept

    def _settle(self, band: Band, coded: Mask) -> None:
        """Write where [N] a band is coded, and count the bits of that."""
        self.writer.begin(band, coded, self._logits)
        if band.level != 0:
            yes, no = self.costs.yes[3, self._logits], self.costs.no[3, self._logits]
            self.bits += np.where(coded, yes, no)


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


def quantize(
    coefficients: Coefficients,
    step: int,
    model: ContextModel,
    weight: float = LAMBDA,
    layers: int = 1,
) -> Quantized:
    """Quantise the coefficients of an image and code them."""
    return quantize_many([Quantization(coefficients, step, weight, layers)], model)[0]


def quantize_many(images: Sequence[Quantization], model: ContextModel) -> list[Quantized]:
    """Quantise images of one shape and code them: each as if it were alone."""
    integers = Integers.zeros(*images[0].shape, len(images))
    quantizer = Quantizer(images, model)
    code_bands(integers, [one.step for one in images], model, quantizer)
    found = zip(quantizer.writer.payloads(), quantizer.bits, quantizer.saved, strict=True)
    return [
        Quantized(
            integers.image(i), payloads, float(bits), max(_energy(images[i]) - float(saved), 0.0)
        )
        for i, (payloads, bits, saved) in enumerate(found)
    ]


def _energy(image: Quantization) -> float:
    means, blocks = image.coefficients.means, image.coefficients.blocks
    parts = [band for level in means for band in level] + [blocks]
    return sum(float(np.vdot(part, part)) for part in parts)
