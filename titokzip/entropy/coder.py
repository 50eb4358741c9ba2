"""All integers of an image to layers of bytes and back, in the order of bands.

Encoder, decoder and quantiser go through the bands alike (`code_bands`); each is a `Source` of the
integers.

C planes, By x Bx blocks.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from titokzip.entropy import block_features, pyramid_features, signs, symbols
from titokzip.entropy.context_model import ContextModel
from titokzip.entropy.contexts import Contexts
from titokzip.entropy.integer_network import SIGN_SCALE, to_logits
from titokzip.entropy.neighbours import PHASES, Phase
from titokzip.entropy.range_coder import SymbolDecoder, SymbolEncoder
from titokzip.entropy.signs import Positions
from titokzip.entropy.symbols import Logits, Values
from titokzip.transform.bands import Band, in_order
from titokzip.transform.pyramid import Integers

Signs = Callable[[Positions], NDArray[np.intp]]


class Source(Protocol):
    """Where integers come from, band by band."""

    def is_empty(self, band: Band, logit: int) -> bool:
        """Tell whether a band is all zero; `logit` says how likely it is not."""
        ...

    def values(self, band: Band, phase: Phase, logits: Logits, signs: Signs) -> Values:
        """Give the integers [h', w'] of a phase of a band.

        `signs` gives the logits of the signs of cells [n], by their rows and columns in the phase.
        """
        ...

    def keep(self, band: Band, values: Values) -> bool:
        """Tell whether a band [h, w] stays as it is; otherwise it is empty after all."""
        ...


def code_bands(integers: Integers, step: int, model: ContextModel, source: Source) -> None:
    """Fill in the integers of an image, all zero at first, from a source."""
    planes, rows, columns = integers.blocks.shape[0], *integers.blocks.shape[-2:]
    contexts = Contexts(planes, rows, columns, int(model.tables.steps[step]))
    size = size_condition(rows * columns)
    for band in in_order(planes, rows, columns):
        values = band.of_integers(integers)
        if not values.size:
            continue
        features = block_features if band.level is None else pyramid_features
        networks = model.blocks if band.level is None else model.pyramid
        index = features.band_class(band, contexts)
        scalars = features.scalars(band, contexts)
        logit = networks.flags.logit(scalars, index, step, size) if band.level != 0 else -1
        if source.is_empty(band, logit):
            contexts.finish(band, None)
            continue
        known = contexts.begin(band)
        bias = networks.cells.bias(index, step, size)
        hidden = networks.cells.hidden(features.maps(band, contexts), scalars, bias)
        sign_logits = _SignLogits(band, contexts, networks.signs[index])
        for turn, phase in enumerate(PHASES):
            cells = phase.of(values)
            if not cells.size:
                continue
            own, coded = known.own_features(phase), known.coded_density()
            logits = networks.cells.logits(hidden, turn, own, coded)
            cells[:] = source.values(band, phase, logits, partial(sign_logits, phase))
            known.learn(phase, cells)
        if not source.keep(band, values):
            values[:] = 0
        contexts.finish(band, values if values.any() or band.level == 0 else None)


class _SignLogits:
    """The logits of signs in one band."""

    def __init__(self, band: Band, contexts: Contexts, weights: NDArray[np.float32]) -> None:
        self._band, self._contexts, self._weights = band, contexts, weights
        self._maps: NDArray[np.int8] | None = None

    def __call__(self, phase: Phase, at: Positions) -> NDArray[np.intp]:
        """Give the logits + 192 of cells [n] of a phase to be positive."""
        if not at[0].size:
            return at[0]
        if self._maps is None:
            self._maps = signs.maps(self._band, self._contexts)
        place = at[0] * phase.stride + phase.row, at[1] * phase.stride + phase.column
        found = signs.features(self._maps, self._contexts.known[self._band], place)
        sums = (self._weights[:, None] * found).sum(axis=0)
        return to_logits(sums * np.float32(SIGN_SCALE))


class Coded(NamedTuple):
    """The integers [n] of a phase, their logits, and those of the signs of what is not zero."""

    values: Values
    logits: Logits
    signs: NDArray[np.intp]


class Writer:
    """Writes an image's bands to layers."""

    def __init__(self, model: ContextModel, layers: int, depth: int) -> None:
        """Begin so many layers; `depth` is the number of levels of the pyramid."""
        self.tables, self.layers, self._depth = model.tables, layers, depth
        self._coders = [SymbolEncoder() for _ in range(layers)]

    def begin(self, band: Band, coded: bool, logit: int) -> None:
        """Begin a band: the first level has no flag that says whether it is coded."""
        self._coder = self._coders[layer_of(band, self.layers, self._depth)]
        if band.level != 0:
            self._coder.encode(np.array([coded], np.int32), symbols.flag_rows(logit, self.tables))

    def write(self, phases: Sequence[Coded]) -> None:
        """Write the integers of a band, phase by phase."""
        frequencies = symbols.rows(np.concatenate([p.logits for p in phases], 1), self.tables)
        chances = symbols.sign_rows(np.concatenate([p.signs for p in phases]), self.tables)
        for values, logits, of_signs in phases:
            own, frequencies = np.split(frequencies, [len(values)])
            symbols.encode_magnitudes(np.abs(values), logits, own, self.tables, self._coder)
            if of_signs.size:
                own, chances = np.split(chances, [len(of_signs)])
                self._coder.encode((values[values != 0] > 0).astype(np.int32), own)

    def payloads(self) -> list[bytes]:
        """Finish the layers."""
        return [coder.finish() for coder in self._coders]


class _Encoder:
    """The source of integers that are known; writes them."""

    def __init__(self, integers: Integers, model: ContextModel, layers: int) -> None:
        self._integers = integers
        self.writer = Writer(model, layers, len(integers.means) - 1)

    def is_empty(self, band: Band, logit: int) -> bool:
        coded = band.level == 0 or bool(band.of_integers(self._integers).any())
        self.writer.begin(band, coded, logit)
        return not coded

    def values(self, band: Band, phase: Phase, logits: Logits, signs: Signs) -> Values:
        values = phase.of(band.of_integers(self._integers))
        self.writer.write([Coded(values.ravel(), logits, signs(nonzero(values)))])
        return values

    def keep(self, band: Band, values: Values) -> bool:
        return True


class _Decoder:
    """The source of integers that are read from layers."""

    def __init__(
        self, payloads: Sequence[bytes], integers: Integers, model: ContextModel, layers: int
    ) -> None:
        self.tables, self._integers = model.tables, integers
        self._layers, self._depth = layers, len(integers.means) - 1
        self._coders = [SymbolDecoder(payload) for payload in payloads]

    def is_empty(self, band: Band, logit: int) -> bool:
        layer = layer_of(band, self._layers, self._depth)
        if layer >= len(self._coders):
            return True
        self._coder = self._coders[layer]
        if band.level == 0:
            return False
        return not self._coder.decode(symbols.flag_rows(logit, self.tables))[0]

    def values(self, band: Band, phase: Phase, logits: Logits, signs: Signs) -> Values:
        shape = phase.of(band.of_integers(self._integers)).shape
        values = symbols.decode_magnitudes(logits, self.tables, self._coder).reshape(shape)
        at = nonzero(values)
        if at[0].size:
            positive = self._coder.decode(symbols.sign_rows(signs(at), self.tables))
            values[at] *= 2 * positive - 1
        return values

    def keep(self, band: Band, values: Values) -> bool:
        return True


def nonzero(values: Values) -> Positions:
    """List the cells [n] that are not zero."""
    rows, columns = np.nonzero(values)
    return rows, columns


def layer_of(band: Band, layers: int, depth: int) -> int:
    """Give the layer of a band, 0 the first; `depth` is the number of levels of the pyramid.

    The last layer holds the frequencies of the blocks, each layer before it a level of the
    pyramid, finest last, and the first layer whatever is coarser.
    """
    if band.level is None:
        return layers - 1
    return max(0, layers - 2 - (depth - band.level))


def size_condition(blocks: int) -> int:
    """Give floor(16 log2 n) of the number of blocks."""
    return (blocks**16).bit_length() - 1


def encode(integers: Integers, step: int, model: ContextModel, layers: int = 1) -> list[bytes]:
    """Code the integers of an image, magnitudes at most 2^20, as layers, coarse to fine."""
    encoder = _Encoder(integers, model, layers)
    shape = integers.blocks.shape
    code_bands(Integers.zeros(shape[0], *shape[-2:]), step, model, encoder)
    return encoder.writer.payloads()


def decode(
    payloads: Sequence[bytes],
    planes: int,
    rows: int,
    columns: int,
    step: int,
    model: ContextModel,
    layers: int = 1,
) -> Integers:
    """Recover the integers of an image from its first layers, 0 where there is none.

    Raises:
        FormatError: the payloads do not decode under this model.
    """
    integers = Integers.zeros(planes, rows, columns)
    code_bands(integers, step, model, _Decoder(payloads, integers, model, layers))
    return integers
