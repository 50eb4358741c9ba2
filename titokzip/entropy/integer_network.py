"""A small integer network: features of a group of cells to integer logits.

All weights are integers. Every sum of products stays below 2^24 in magnitude, so matrix products
of float32 arrays are exact in any order of summation, on any machine.

F maps, G scalars, H hidden units, K hidden units of the second layer, E classes of bands, N images,
A of them with something in a band.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from titokzip.entropy.neighbours import PHASES, Features

Integers = NDArray[np.float32]  # integers, as floats for the matrix products

LOGITS = 4  # nonzero, above 1, above 2, size class of the rest
LOGIT_LIMIT = 192  # logits are -192 to 191, in sixteenths of a natural unit
HIDDEN_LIMIT = 255
# What the sums of each layer are scaled by, and those of features of signs: powers of two, so that
# scaled weights give the same sums, scaled.
_FIRST, _SECOND, _LAST = np.float32(2.0**-5), np.float32(2.0**-6), np.float32(2.0**-7)
SIGN_SCALE = np.float32(2.0**-2)
_STEP_CENTRE, _SIZE_CENTRE = 176, 128  # of the conditions


@dataclass(frozen=True)
class Network:
    """The weights of one network."""

    maps: Integers  # [H, F], int8
    scalars: Integers  # [H, G], int8
    own: Integers  # [7, H, 4], int8: for each phase
    coded: Integers  # [7, H], int8: of the density of the cells before a phase
    phase: Integers  # [7, H], int16
    band: Integers  # [E, H], int16
    step: Integers  # [E, H], int16
    size: Integers  # [E, H], int16
    second: Integers  # [K, H], int8
    second_bias: Integers  # [K], int16
    last: Integers  # [4, K], int8
    last_bias: Integers  # [4], int16

    @cached_property
    def _first(self) -> list[Integers]:
        """The weights [H, F + 4] of the features of each phase: maps, and those of its own."""
        return [np.concatenate([self.maps, own], axis=1) * _FIRST for own in self.own]

    @cached_property
    def _later(self) -> tuple[Integers, Integers, Integers, Integers]:
        """Weights and biases [., 1] of the second layer and of the last."""
        biases = self.second_bias[:, None] * _SECOND, self.last_bias[:, None] * _LAST
        return self.second * _SECOND, biases[0], self.last * _LAST, biases[1]

    def bias(self, band: int, steps: Features, size: int, scalars: Features) -> Integers:
        """Give the biases [H, N] of a class of bands, by steps [N], size and scalars [G, N]."""
        bias = _biases(self.band[band], self.step[band], self.size[band], steps, size)
        return bias + self.scalars @ scalars

    def logits(
        self, maps: Features, phase: int, own: Features, coded: Features, bias: Integers
    ) -> NDArray[np.intp]:
        """Give the logits [4, A * n] + 192 of a phase of a band with maps [F, A, h, w].

        Own features are [4, A * n], densities of what is coded [A], biases [H, A].
        """
        cells = PHASES[phase].of(maps)
        features = np.empty((len(maps) + len(own), *cells.shape[1:]), np.float32)
        features[: len(maps)] = cells
        features[len(maps) :] = own.reshape(-1, *cells.shape[1:])
        hidden = self._first[phase] @ features.reshape(len(features), -1)
        bias = bias + self.phase[phase][:, None] + np.multiply.outer(self.coded[phase], coded)
        by_image = hidden.reshape(*bias.shape, -1)
        by_image += (bias * _FIRST)[:, :, None]
        second, second_bias, last, last_bias = self._later
        hidden = second @ _activate(hidden)
        hidden += second_bias
        logits = last @ _activate(hidden)
        logits += last_bias
        return to_logits(logits)


def to_logits(sums: Integers) -> NDArray[np.intp]:
    """Round scaled sums, which are overwritten, down to logits + 192."""
    np.floor(sums, out=sums)
    sums += np.float32(LOGIT_LIMIT)
    np.maximum(sums, 0, out=sums)  # ndarray.clip takes longer than the rest of small groups
    np.minimum(sums, 2 * LOGIT_LIMIT - 1, out=sums)
    logits: NDArray[np.intp] = sums.astype(np.intp)
    return logits


def _biases(
    band: Integers, step: Integers, size: Integers, steps: Features, blocks: int
) -> Integers:
    """Give biases [H, N] that change with step indices [N] and with the number of blocks."""
    slopes = np.multiply.outer(step, steps - _STEP_CENTRE)
    slopes += (size * np.float32(blocks - _SIZE_CENTRE))[:, None]
    found: Integers = band[:, None] + np.floor(slopes / 16)
    return found


def _activate(sums: Integers) -> Integers:
    """Round scaled sums, which are overwritten, down to units of 0 to 255."""
    np.floor(sums, out=sums)
    np.maximum(sums, 0, out=sums)
    return np.minimum(sums, HIDDEN_LIMIT, out=sums)


@dataclass(frozen=True)
class FlagNetwork:
    """The weights of the network that says how likely a band is empty; L hidden units."""

    scalars: Integers  # [L, G], int8
    band: Integers  # [E, L], int16
    step: Integers  # [E, L], int16
    size: Integers  # [E, L], int16
    last: Integers  # [L], int8
    last_bias: Integers  # [1], int16

    def logits(self, scalars: Features, band: int, steps: Features, size: int) -> NDArray[np.intp]:
        """Give the logits [N] + 192 that a band described by scalars [G, N] is not empty."""
        bias = _biases(self.band[band], self.step[band], self.size[band], steps, size)
        hidden = _activate((self.scalars @ scalars + bias) * _FIRST)
        return to_logits((self.last @ hidden + self.last_bias) * _LAST)
