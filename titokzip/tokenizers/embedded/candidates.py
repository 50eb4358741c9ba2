"""Working sizes that the encoder may choose among, and estimates of what each is worth.

The quality of an image is a slope: the squared error that a bit must save, as a mean over the
pixels of the source, all planes together. Every working size has its own step at a slope, because
errors of a smaller working image are spread over more pixels of the source: steps are proportional
to the root of the number of working pixels. The best size at a slope is the one with the least
squared error plus slope times bits.

C planes, W x H pixels.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import log2

import numpy as np

from titokzip.bitstream.header import MAX_STEP
from titokzip.errors import RateError
from titokzip.tokenizers.embedded.quantizer import FINEST_STEP, LAMBDA, STEPS_PER_OCTAVE, step_size
from titokzip.tokenizers.embedded.statistics import Statistics
from titokzip.transform import planes as conversion
from titokzip.transform import pyramid as transform
from titokzip.transform.lapped import SIDE
from titokzip.transform.planes import Planes
from titokzip.transform.pyramid import Coefficients
from titokzip.transform.working_size import fits_whole, largest, working_blocks

# Pixels of the working image that are usual for photos: so many times a power of the slope.
_USUAL_PIXELS, _USUAL_POWER = 5050.0, -0.77
_USUAL_PIXELS_A_BIT = 4.0
_BIAS = 0.035  # of estimates with the number of pixels, which are too low for many


@dataclass(frozen=True)
class Candidate:
    """An image at one working size."""

    blocks: int  # along the shorter side, 0 for the image's own size
    coefficients: Coefficients
    residual: float  # squared error a pixel of the source that stays at the finest step
    pixels: int  # of the working image

    @cached_property
    def statistics(self) -> Statistics:
        """The sizes of the coefficients."""
        return Statistics.of(self.coefficients)

    def step(self, slope: float) -> int:
        """Give the step index at a slope."""
        index = STEPS_PER_OCTAVE * log2(self._step_size(slope) / FINEST_STEP)
        return int(np.clip(round(index), 0, MAX_STEP))

    def weight(self, slope: float) -> float:
        """Give what a bit is worth at a slope, in squared steps of its index.

        It makes up for the rounding of the step, by twice as much as keeps the slope: then the bits
        of an image change evenly with the slope.
        """
        weight = LAMBDA * (self._step_size(slope) / step_size(self.step(slope))) ** 4
        return float(np.clip(weight, LAMBDA / 8, LAMBDA * 8))

    def estimate(self, slope: float) -> tuple[float, float]:
        """Estimate the bits at a slope, and the squared error a pixel of the source."""
        bits, error = self.statistics.estimate(self._step_size(slope))
        return bits, self.residual + error / self.pixels

    def _step_size(self, slope: float) -> float:
        return float((slope / LAMBDA * self.pixels) ** 0.5)


class Candidates:
    """The working sizes of an image, analysed when they are asked for."""

    def __init__(self, source: Planes, size: tuple[int, int] | None = None) -> None:
        """Take planes [C, H, W]; `size` is the image's own, if they are already reduced.

        Raises:
            RateError: the image is too large, or too long and narrow, for any working size.
        """
        height, width = source.shape[1:]
        self.source = source
        self.size: tuple[int, int] = size or (width, height)
        self.sizes = _candidate_sizes(self.size, min(width, height))
        if not self.sizes:
            raise RateError(
                f"an image of {self.size[0]} x {self.size[1]} pixels has no working size"
            )
        grids = [working_blocks(*self.size, blocks) for blocks in self.sizes]
        self._pixels = np.array([rows * columns * SIDE**2 for rows, columns in grids])
        self._made: dict[int, Candidate] = {}

    def at(self, index: int) -> Candidate:
        """Give the candidate at a place in `sizes`, smallest first."""
        if index not in self._made:
            self._made[index] = _analyse(self.source, self.sizes[index], self.size)
        return self._made[index]

    def beside(self, index: int) -> list[int]:
        """List a place in `sizes` and those next to it."""
        return [i for i in (index, index - 1, index + 1) if 0 <= i < len(self.sizes)]

    def around(self, index: int) -> list[int]:
        """List a place in `sizes` and the two on either side."""
        return [i for i in range(index - 2, index + 3) if 0 <= i < len(self.sizes)]

    def best(self, slope: float) -> int:
        """Search the place of the working size of least cost at a slope."""

        def cost(index: int) -> float:
            bits, error = self.at(index).estimate(slope)
            return float((error + slope * bits) * self._pixels[index] ** _BIAS)

        return self.descend(self._usual(_USUAL_PIXELS * slope**_USUAL_POWER), cost)

    def nearest(self, bits: float, cost: Callable[[int], float]) -> int:
        """Search the place of least cost, from the size on that is usual for a number of bits."""
        return self.descend(self._usual(_USUAL_PIXELS_A_BIT * bits), cost)

    def descend(self, index: int, cost: Callable[[int], float]) -> int:
        """Search the place of least cost from another on, from neighbour to neighbour."""
        while (best := min(self.beside(index), key=cost)) != index:
            index = best
        return index

    def _usual(self, pixels: float) -> int:
        return int(np.argmin(np.abs(np.log(self._pixels / pixels))))


def _candidate_sizes(size: tuple[int, int], shorter: int) -> list[int]:
    """List numbers of blocks along the shorter side, about a quarter apart, and the own size.

    `shorter` is that side in pixels, as they are at hand.
    """
    width, height = size
    most, sizes, blocks = min(largest(width, height), shorter // SIDE), [], 1
    while blocks <= most:
        sizes.append(blocks)
        blocks = max(blocks + 1, round(blocks * 1.22))
    if shorter == min(size) and fits_whole(width, height):
        whole = most and working_blocks(width, height, most) == working_blocks(width, height, 0)
        exact = width % SIDE == 0 and height % SIDE == 0
        if sizes and whole and exact and sizes[-1] == most:
            sizes.pop()
        sizes.append(0)
    return sizes


def _analyse(source: Planes, blocks: int, size: tuple[int, int]) -> Candidate:
    height, width = source.shape[1:]
    reduced = conversion.reduce(source, blocks, size)
    residual = 0.0
    if blocks:
        lost = conversion.enlarge(reduced, width, height, blocks) - source
        by_row = np.einsum("chw,chw->ch", lost, lost)
        residual = float(by_row.sum(dtype=np.float64)) / (width * height)
    coefficients = transform.analyse(reduced)
    return Candidate(blocks, coefficients, residual, reduced.shape[1] * reduced.shape[2])
