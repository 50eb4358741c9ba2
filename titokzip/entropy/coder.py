"""All integers of images to layers of bytes and back, in the order of bands.

Images of one size go side by side; each has layers of its own.

N images of C planes and By x Bx blocks, A of them with something in a band.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from titokzip.entropy import symbols
from titokzip.entropy.band_coding import Mask, Signs, code_bands, nonzero
from titokzip.entropy.context_model import ContextModel
from titokzip.entropy.neighbours import Phase, any_of
from titokzip.entropy.range_coder import SymbolDecoder, SymbolEncoder
from titokzip.entropy.symbols import Logits, Values
from titokzip.errors import FormatError
from titokzip.transform.bands import Band
from titokzip.transform.pyramid import Integers, stacked


class Coded(NamedTuple):
    """The integers [A, n] of a phase, their logits [4, A * n], and those of all their signs."""

    values: Values
    logits: Logits
    signs: NDArray[np.intp]

    def of(self, images: Mask) -> "Coded":
        """Take some of the images [A]."""
        if images.all():
            return self
        logits = self.logits.reshape(4, *self.values.shape)[:, images]
        owners = np.nonzero(self.values)[0]
        return Coded(self.values[images], logits.reshape(4, -1), self.signs[images[owners]])


class Writer:
    """Writes the bands of N images, each to its layers."""

    def __init__(self, model: ContextModel, layers: Sequence[int], depth: int) -> None:
        """Begin so many layers of each image; `depth` is the number of levels of the pyramid."""
        self.tables, self._depth = model.tables, depth
        self._coders = [[SymbolEncoder() for _ in range(count)] for count in layers]

    def begin(self, band: Band, coded: Mask, logits: NDArray[np.intp]) -> None:
        """Begin a band: the first level has no flags that say where [N] it is coded."""
        self._now = [
            layers[layer_of(band, len(layers), self._depth)]
            for layers, one in zip(self._coders, coded, strict=True)
            if one or band.level != 0
        ]
        if band.level != 0:
            flags, chances = coded.astype(np.int32), symbols.flag_rows(logits, self.tables)
            for i, coder in enumerate(self._now):
                coder.encode(flags[i : i + 1], chances[i : i + 1])
            self._now = [coder for coder, one in zip(self._now, coded, strict=True) if one]

    def write(self, phases: Sequence[Coded]) -> None:
        """Write the integers of a band, phase by phase, of the images where it is coded."""
        frequencies = symbols.rows(np.concatenate([p.logits for p in phases], 1), self.tables)
        chances = symbols.sign_rows(np.concatenate([p.signs for p in phases]), self.tables)
        for values, logits, of_signs in phases:
            own, frequencies = frequencies[: values.size], frequencies[values.size :]
            symbols.encode_magnitudes(np.abs(values), logits, own, self.tables, self._now)
            if of_signs.size:
                _write_signs(values, chances[: of_signs.size], self._now)
                chances = chances[of_signs.size :]

    def payloads(self) -> list[list[bytes]]:
        """Finish the layers of each image."""
        return [[coder.finish() for coder in layers] for layers in self._coders]


def _write_signs(
    values: Values, chances: NDArray[np.float64], coders: Sequence[SymbolEncoder]
) -> None:
    """Write the signs of integers [A, n] that are not zero."""
    positive = (values[values != 0] > 0).astype(np.int32)
    for coder, own in zip(coders, symbols.shares(values), strict=True):
        if own.stop > own.start:
            coder.encode(positive[own], chances[own])


class _Encoder:
    """The source of integers that are known; writes them."""

    def __init__(self, integers: Integers, model: ContextModel, layers: Sequence[int]) -> None:
        self._integers = integers
        self.writer = Writer(model, layers, len(integers.means) - 1)

    def begin(self, band: Band, logits: NDArray[np.intp]) -> Mask:
        self._coded = any_of(band.of_integers(self._integers)) | (band.level == 0)
        self.writer.begin(band, self._coded, logits)
        return self._coded

    def values(self, band: Band, phase: Phase, logits: Logits, signs: Signs) -> Values:
        values = phase.of(band.of_integers(self._integers))[self._coded]
        flat = values.reshape(len(values), -1)
        self.writer.write([Coded(flat, logits, signs(nonzero(values)))])
        return values

    def keep(self, band: Band, values: Values) -> Mask:
        return np.ones(len(values), np.bool_)


class _Decoder:
    """The source of integers that are read from layers."""

    def __init__(
        self,
        payloads: Sequence[Sequence[bytes]],
        integers: Integers,
        model: ContextModel,
        layers: Sequence[int],
    ) -> None:
        self.tables, self._integers = model.tables, integers
        self._layers, self._depth = layers, len(integers.means) - 1
        self._coders = [[SymbolDecoder(payload) for payload in one] for one in payloads]

    def begin(self, band: Band, logits: NDArray[np.intp]) -> Mask:
        self._now: list[SymbolDecoder] = []
        coded = np.zeros(len(logits), np.bool_)
        chances = symbols.flag_rows(logits, self.tables)
        for i, coders in enumerate(self._coders):
            layer = layer_of(band, self._layers[i], self._depth)
            if layer < len(coders):
                coded[i] = band.level == 0 or coders[layer].decode(chances[i : i + 1])[0]
                self._now += [coders[layer]] if coded[i] else []
        return coded

    def values(self, band: Band, phase: Phase, logits: Logits, signs: Signs) -> Values:
        shape = phase.of(band.of_integers(self._integers)).shape[1:]
        values = np.empty((len(self._now), *shape), np.int32)
        flat = values.reshape(len(values), -1)
        frequencies = symbols.rows(logits, self.tables).reshape(*flat.shape, -1)
        own = logits.reshape(4, *flat.shape)
        for i, coder in enumerate(self._now):
            flat[i] = symbols.decode_magnitudes(own[:, i], frequencies[i], self.tables, coder)
        of_signs = signs(nonzero(values))
        if of_signs.size:
            chances = symbols.sign_rows(of_signs, self.tables)
            for row, coder, at in zip(flat, self._now, symbols.shares(flat), strict=True):
                if at.stop > at.start:
                    row[row != 0] *= 2 * coder.decode(chances[at]) - 1
        return values

    def keep(self, band: Band, values: Values) -> Mask:
        return np.ones(len(values), np.bool_)


def layer_of(band: Band, layers: int, depth: int) -> int:
    """Give the layer of a band, 0 the first; `depth` is the number of levels of the pyramid.

    The last layer holds the frequencies of the blocks, each layer before it a level of the
    pyramid, finest last, and the first layer whatever is coarser.
    """
    if band.level is None:
        return layers - 1
    return max(0, layers - 2 - (depth - band.level))


def encode(integers: Integers, step: int, model: ContextModel, layers: int = 1) -> list[bytes]:
    """Code the integers of an image, magnitudes at most 2^20, as layers, coarse to fine."""
    encoder = _Encoder(stacked([integers]), model, [layers])
    shape = integers.blocks.shape
    code_bands(Integers.zeros(shape[0], shape[-2], shape[-1], 1), [step], model, encoder)
    return encoder.writer.payloads()[0]


class Stored(NamedTuple):
    """The integers of an image in a file."""

    payloads: Sequence[bytes]  # the layers that are there
    step: int
    layers: int = 1  # that there were


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
    (found,) = _decoded([Stored(payloads, step, layers)], planes, rows, columns, model)
    return found


def decode_many(
    stored: Sequence[Stored], planes: int, rows: int, columns: int, model: ContextModel
) -> list[Integers | FormatError]:
    """Recover the integers of images of one size; one that does not decode gives its error."""
    try:
        return [*_decoded(stored, planes, rows, columns, model)]
    except FormatError as error:
        if len(stored) == 1:
            return [error]
        alone = (decode_many([one], planes, rows, columns, model) for one in stored)
        return [found for (found,) in alone]


def _decoded(
    stored: Sequence[Stored], planes: int, rows: int, columns: int, model: ContextModel
) -> list[Integers]:
    integers = Integers.zeros(planes, rows, columns, len(stored))
    decoder = _Decoder(
        [one.payloads for one in stored], integers, model, [one.layers for one in stored]
    )
    code_bands(integers, [one.step for one in stored], model, decoder)
    return [integers.image(i) for i in range(len(stored))]
