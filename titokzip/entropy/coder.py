"""All integers of an image to layers of bytes and back, in the order of bands.

Encoder, decoder and quantiser go through the bands alike (`code_bands`); each is a `Source` of the
integers.

C planes, By x Bx blocks.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from titokzip.entropy import block_features, pyramid_features, symbols
from titokzip.entropy.context_model import ContextModel
from titokzip.entropy.contexts import Contexts
from titokzip.entropy.neighbours import PHASES
from titokzip.entropy.range_coder import SymbolDecoder, SymbolEncoder
from titokzip.entropy.symbols import Logits, Values
from titokzip.transform.bands import Band, in_order
from titokzip.transform.pyramid import Integers


class Source(Protocol):
    """Where integers come from, band by band."""

    def is_empty(self, band: Band, logit: int) -> bool:
        """Tell whether a band is all zero; `logit` says how likely it is not."""
        ...

    def values(self, band: Band, phase: int, logits: Logits) -> Values:
        """Give the integers [n] of a phase of a band."""
        ...

    def keep(self, band: Band, values: Values) -> bool:
        """Tell whether a band [h, w] stays as it is; otherwise it is empty after all."""
        ...


def code_bands(integers: Integers, step: int, model: ContextModel, source: Source) -> None:
    """Fill in the integers of an image, all zero at first, from a source."""
    planes, rows, columns = integers.blocks.shape[0], *integers.blocks.shape[-2:]
    contexts = Contexts(planes, rows, columns)
    size = _size_condition(rows * columns)
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
        for phase, (row, column) in enumerate(PHASES):
            cells = values[row::2, column::2]
            if not cells.size:
                continue
            logits = networks.cells.logits(
                hidden, phase, known.own_features(phase), known.coded_density(phase)
            )
            cells[:] = source.values(band, phase, logits).reshape(cells.shape)
            known.learn(phase, np.abs(cells))
        if not source.keep(band, values):
            values[:] = 0
        contexts.finish(band, values if values.any() or band.level == 0 else None)


class _Encoder:
    """The source of integers that are known; writes them."""

    def __init__(self, integers: Integers, model: ContextModel, layers: int) -> None:
        self.integers, self.tables = integers, model.tables
        self._layer_of = layers_of(integers.blocks.shape, layers)
        self._coders = [SymbolEncoder() for _ in range(layers)]

    def is_empty(self, band: Band, logit: int) -> bool:
        self._coder = self._coders[self._layer_of[band]]
        if band.level == 0:
            return False
        coded = bool(band.of_integers(self.integers).any())
        self._coder.encode(np.array([coded], np.int32), symbols.flag_row(logit, self.tables))
        return not coded

    def values(self, band: Band, phase: int, logits: Logits) -> Values:
        row, column = PHASES[phase]
        values = band.of_integers(self.integers)[row::2, column::2].ravel()
        symbols.encode(values, logits, self.tables, self._coder)
        return values

    def keep(self, band: Band, values: Values) -> bool:
        return True

    def payloads(self) -> list[bytes]:
        return [coder.finish() for coder in self._coders]


class _Decoder:
    """The source of integers that are read from layers."""

    def __init__(
        self, payloads: Sequence[bytes], shape: tuple[int, ...], model: ContextModel, layers: int
    ) -> None:
        self.tables = model.tables
        self._layer_of = layers_of(shape, layers)
        self._coders = [SymbolDecoder(payload) for payload in payloads]

    def is_empty(self, band: Band, logit: int) -> bool:
        layer = self._layer_of[band]
        if layer >= len(self._coders):
            return True
        self._coder = self._coders[layer]
        if band.level == 0:
            return False
        return not self._coder.decode(symbols.flag_row(logit, self.tables))[0]

    def values(self, band: Band, phase: int, logits: Logits) -> Values:
        return symbols.decode(logits, self.tables, self._coder)

    def keep(self, band: Band, values: Values) -> bool:
        return True


def layers_of(shape: tuple[int, ...], layers: int) -> dict[Band, int]:
    """Say in which of the layers each band is."""
    bands = list(in_order(shape[0], *shape[-2:]))
    starts = [int(len(bands) * 0.25 ** (layers - i)) for i in range(1, layers)]
    return {band: sum(at >= start for start in starts) for at, band in enumerate(bands)}


def _size_condition(blocks: int) -> int:
    """Give floor(16 log2 n) of the number of blocks."""
    return (blocks**16).bit_length() - 1


def encode(integers: Integers, step: int, model: ContextModel, layers: int = 1) -> list[bytes]:
    """Code the integers of an image, magnitudes at most 2^20, as layers, coarse to fine."""
    encoder = _Encoder(integers, model, layers)
    shape = integers.blocks.shape
    code_bands(Integers.zeros(shape[0], *shape[-2:]), step, model, encoder)
    return encoder.payloads()


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
    code_bands(integers, step, model, _Decoder(payloads, integers.blocks.shape, model, layers))
    return integers
