"""Estimates of bits and squared error at any step, from how many coefficients are how large.

Rate control uses them to compare working sizes and to predict a step; they are no part of the
format. The constants were fitted to what the quantiser does to training images.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from titokzip.tokenizers.embedded.quantizer import CHROMA
from titokzip.transform.bands import is_chroma
from titokzip.transform.pyramid import Coefficients

_BINS_PER_OCTAVE = 8
_LEAST, _LARGEST = -3, 17  # octaves of coefficients that are told apart
_BINS = (_LARGEST - _LEAST) * _BINS_PER_OCTAVE
_CENTRES = _LEAST + (np.arange(_BINS) + 0.5) / _BINS_PER_OCTAVE  # in octaves
_TYPICAL = 0.66  # steps from which a coefficient is usually not quantised to zero
_STEEPNESS = 6.0  # of the odds that it is, in nats an octave
# Bits: of the entropy of which are zero, a nonzero one, an octave above one step, an image.
_WEIGHTS = np.array([0.39, 2.76, 1.04, 9.0])
_ERROR = 0.045  # of a nonzero one, in squared steps


@dataclass(frozen=True)
class Statistics:
    """The sizes of the coefficients of an image, for each band with any."""

    counts: NDArray[np.float64]  # [bands, bins]
    sizes: NDArray[np.float64]  # [bands], cells of each band
    small: float  # squared sum of what is below all bins

    @staticmethod
    def of(coefficients: Coefficients) -> "Statistics":
        """Count the coefficients of an image; chroma in units of its finer step."""
        planes = len(coefficients.blocks)
        stacks = [band[:, None] for level in coefficients.means[1:] for band in level if band.size]
        stacks.append(
            coefficients.blocks.reshape(planes, 64, *coefficients.blocks.shape[-2:])[:, 1:]
        )
        counts, sizes, small = [], [], 0.0
        for stack in stacks:
            bands = stack.shape[1]
            for plane in range(planes):
                factor = CHROMA if is_chroma(plane, planes) else 1.0
                rows = np.abs(stack[plane]).reshape(bands, -1) * np.float32(1 / factor)
                found, rest = _histogram(rows)
                counts.append(found)
                sizes += [rows.shape[1]] * bands
                small += rest * factor**2
        return Statistics(np.concatenate(counts), np.array(sizes, np.float64), small)

    def features(self, step: float) -> tuple[NDArray[np.float64], float]:
        """Give the terms of the bits, and the squared error in steps of what becomes zero."""
        octaves = _CENTRES - np.log2(step)
        share = self.counts @ (octaves > np.log2(_TYPICAL)) / self.sizes
        rarity = np.maximum(np.log2((1 - share + 1e-4) / (share + 1e-4)) + 2, 0)
        middle = np.log2(0.56 + 0.025 * rarity + 0.004 * rarity**2)
        zero = 1 / (1 + np.exp(_STEEPNESS * (octaves - middle[:, None]).clip(-4, 4)))
        kept = self.counts * (1 - zero)  # [bands, bins], how many are not quantised to zero
        nonzero = kept.sum(axis=1)
        share = np.clip(nonzero / self.sizes, 1e-9, 1 - 1e-9)
        entropy = -share * np.log2(share) - (1 - share) * np.log2(1 - share)
        terms = [self.sizes @ entropy, nonzero.sum(), (kept @ np.maximum(octaves, 0)).sum(), 1.0]
        zeroed = ((self.counts - kept) @ 4.0**octaves).sum()
        return np.array(terms), float(zeroed)

    def estimate(self, step: float) -> tuple[float, float]:
        """Estimate bits and squared error at a step of luma, summed over the working image."""
        terms, zeroed = self.features(step)
        error = (zeroed + _ERROR * terms[1]) * step**2 + self.small
        return float(_WEIGHTS @ terms), error


def _histogram(rows: NDArray[np.float32]) -> tuple[NDArray[np.float64], float]:
    """Count sizes [bands, n] by eighths of octaves; also sum the squares of the smallest."""
    tiny = rows <= 2.0**_LEAST
    eighths = (np.log2(np.maximum(rows, 2.0**_LEAST)) - _LEAST) * _BINS_PER_OCTAVE
    bins = np.minimum(eighths.astype(np.int32), _BINS - 1)
    bins += np.arange(len(rows), dtype=np.int32)[:, None] * _BINS
    counts = np.bincount(bins[~tiny], minlength=len(rows) * _BINS).reshape(len(rows), _BINS)
    return counts.astype(np.float64), float(np.square(rows[tiny]).sum())
