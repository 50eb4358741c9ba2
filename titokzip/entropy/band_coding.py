"""The way through the bands of images that encoder, decoder and quantiser share.

Each of them is a `Source` of the integers. Images of one size go side by side, as `Contexts` says.

N images of C planes and By x Bx blocks, A of them with something in a band.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from titokzip.entropy import block_features, pyramid_features, signs
from titokzip.entropy.context_model import ContextModel
from titokzip.entropy.contexts import Contexts
from titokzip.entropy.integer_network import SIGN_SCALE, to_logits
from titokzip.entropy.neighbours import PHASES, Phase, Some
from titokzip.entropy.signs import Positions
from titokzip.entropy.symbols import Logits, Values
from titokzip.transform.bands import Band, in_order
from titokzip.transform.pyramid import Integers

Signs = Callable[[Positions], NDArray[np.intp]]
Mask = NDArray[np.bool_]


class Source(Protocol):
    """Where the integers of N images come from, band by band."""

    def begin(self, band: Band, logits: NDArray[np.intp]) -> Mask:
        """Tell in which images [N] a band is coded; logits [N] say how likely it is."""
        ...

    def values(self, band: Band, phase: Phase, logits: Logits, signs: Signs) -> Values:
        """Give the integers [A, h', w'] of a phase of a band, for the images where it is coded.

        `signs` gives the logits of the signs of cells [n], by their places in the phase.
        """
        ...

    def keep(self, band: Band, values: Values) -> Mask:
        """Tell in which images [A] a band [A, h, w] stays; in others it is empty after all."""
        ...


def code_bands(
    integers: Integers, steps: Sequence[int], model: ContextModel, source: Source
) -> None:
    """Fill in the integers of N images, all zero at first, from a source.

    They are stacked before their last two axes (`stacked`).
    """
    planes, rows, columns = integers.blocks.shape[0], *integers.blocks.shape[-2:]
    contexts = Contexts(planes, rows, columns, model.tables.steps[list(steps)])
    size, conditions = size_condition(rows * columns), np.array(steps, np.float32)
    for band in in_order(planes, rows, columns):
        values = band.of_integers(integers)
        if not values.size:
            continue
        features = block_features if band.level is None else pyramid_features
        networks = model.blocks if band.level is None else model.pyramid
        index = features.band_class(band, contexts)
        scalars = features.scalars(band, contexts)
        coded = source.begin(band, networks.flags.logits(scalars, index, conditions, size))
        if not coded.any():
            contexts.finish(band, None)
            continue
        images = coded.nonzero()[0]
        some: Some = slice(None) if coded.all() else images
        known = contexts.begin(band)
        bias = networks.cells.bias(index, conditions[some], size, scalars[:, some])
        maps = features.maps(band, contexts, some)
        sign_logits = _SignLogits(band, contexts, some, networks.signs[index])
        for turn, phase in enumerate(PHASES):
            cells = phase.of(values)
            if not cells.size:
                continue
            own, density = known.own_features(phase, some), known.coded_density(some)
            logits = networks.cells.logits(maps, turn, own, density, bias)
            found = source.values(band, phase, logits, partial(sign_logits, phase))
            cells[some] = found
            known.learn(phase, some, found)
        kept = source.keep(band, values[some])
        if not kept.all():
            values[images[~kept]] = 0
        contexts.finish(band, values)


class _SignLogits:
    """The logits of signs in one band."""

    def __init__(
        self, band: Band, contexts: Contexts, some: Some, weights: NDArray[np.float32]
    ) -> None:
        self._band, self._contexts, self._some, self._weights = band, contexts, some, weights
        self._maps: NDArray[np.int8] | None = None

    def __call__(self, phase: Phase, at: Positions) -> NDArray[np.intp]:
        """Give the logits + 192 of cells [n] of a phase to be positive."""
        images, rows, columns = at
        if not images.size:
            return images
        if self._maps is None:
            self._maps = signs.maps(self._band, self._contexts, self._some)
        place = images, rows * phase.stride + phase.row, columns * phase.stride + phase.column
        known = self._contexts.known[self._band]
        found = signs.features(self._maps, known, self._some, place)
        return to_logits(self._weights @ found * SIGN_SCALE)


def nonzero(values: Values) -> Positions:
    """List the cells [n] of a phase [A, h', w'] that are not zero."""
    images, rows, columns = np.nonzero(values)
    return images, rows, columns


def size_condition(blocks: int) -> int:
    """Give floor(16 log2 n) of the number of blocks."""
    return (blocks**16).bit_length() - 1
