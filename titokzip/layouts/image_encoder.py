"""One image on its way to a file of the embedded model: by its transform, or by a palette."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from math import inf
from typing import Final, NamedTuple

import numpy as np

from titokzip.bitstream.container import packed_size
from titokzip.bitstream.header import MAX_STEP, Header, IndexedLayout, TransformLayout
from titokzip.entropy.context_model import ContextModel
from titokzip.errors import RateError
from titokzip.images import InputImage
from titokzip.layouts.indexed import IndexedEncoder, encoder_of
from titokzip.layouts.pixels import pixels_of
from titokzip.layouts.protocol import Encoded, Size
from titokzip.layouts.reconstruction import Reconstruction
from titokzip.layouts.stored import transform_layout
from titokzip.rate_control import Rate
from titokzip.tokenizers.embedded.best import BestEncoder
from titokzip.tokenizers.embedded.quantizer import Quantising
from titokzip.tokenizers.embedded.rate_control import Encoder, slope_at
from titokzip.tokenizers.embedded.search import Encoded as Coded
from titokzip.transform.bands import flatten
from titokzip.transform.planes import Planes, to_planes
from titokzip.transform.transparency import is_mask, with_hidden_colours

FINEST_MASK: Final = 120  # step index; at finer ones a mask's slope errs more than quantisation
_REFINED: Final = 0.75  # of the squared error of drawn images that the network usually leaves
# Of the predicted cost of the transform: a palette that costs less, or more, than this.
_SURE, _HOPELESS = 0.5, 2.0
_FEW_BITS: Final = 500  # that predictions may be off in any case


class Model(NamedTuple):
    """The embedded model as an encoder needs it."""

    fingerprint: bytes
    context: ContextModel
    lagrange: float  # by which what a bit is worth is multiplied
    reconstruction: Reconstruction


class _Begun(NamedTuple):
    mask: bool
    encoder: Encoder
    receiver: "_Receiver"


class ImageEncoder:
    """Encodes one image at one rate."""

    def __init__(self, image: InputImage, rate: Rate, model: Model) -> None:
        """Copy the pixels now: an image may be drawn on when it was given."""
        self._image, self._rate, self._pixels = image, rate, pixels_of(image)
        self._model = model
        self._limit = rate.limit(*image.size)
        self._begun: dict[bool, _Begun] = {}  # with and without a mask

    def encode(self) -> Quantising[Encoded]:
        """Encode by a palette if the image is drawn and that is better, else by the transform.

        Raises:
            RateError: no file is as small as the rate asks for, it is one of tile tokenizers, or it
                asks for the best of a model that is not for squared errors.
        """
        if self._rate.for_tiles:
            raise RateError("tokens and tile are for models of tiles; this one takes a quality")
        if self._limit == 0:
            raise RateError("no image fits into 0 bytes")
        if self._rate.best and self._model.lagrange != 1:
            raise RateError("best seeks the least squared error, this model looks: leave best out")
        try:
            return (yield from self._better())
        finally:
            self._begun.clear()  # it leads back here: planes would stay until garbage is collected

    def _better(self) -> Quantising[Encoded]:
        drawn = self._drawn()
        if drawn is None:
            return self._encoded(*(yield from self._transformed()))
        if self._limit is None:
            slope = slope_at(self._rate.effective_quality)
            return (yield from self._at_slope(drawn, slope))
        if exact := drawn.exact(self._limit):
            return exact
        return (yield from self._within(drawn, self._limit))

    def _within(self, drawn: IndexedEncoder, limit: int) -> Quantising[Encoded]:
        try:
            begun, coded = yield from self._transformed()
        except RateError:
            if indexed := drawn.within(limit, inf):
                return indexed
            raise
        indexed = drawn.within(limit, self._usual_error(begun, coded))
        return indexed or self._encoded(begun, coded)

    def _at_slope(self, drawn: IndexedEncoder, slope: float) -> Quantising[Encoded]:
        predicted = inf
        if self._image.alpha is None:
            predicted = self._begin(False).encoder.predicted_cost(slope)
        indexed, cost = drawn.at_slope(slope, _HOPELESS * predicted + slope * _FEW_BITS)
        if indexed and cost < _SURE * predicted < inf:
            return indexed
        begun, coded = yield from self._transformed()
        encoded = self._encoded(begun, coded)
        bits = 8 * packed_size(encoded.header, [len(payload) for payload in coded.payloads])
        cheaper = cost < self._usual_error(begun, coded) + slope * bits
        return indexed if indexed and cheaper else encoded

    def _drawn(self) -> IndexedEncoder | None:
        if self._image.image.size != self._image.size:  # it was reduced
            return None
        pixels = self._pixels
        if self._image.alpha is not None:  # nobody sees the colours of what is hidden
            pixels = np.where(pixels[:, :, -1:] == 0, 0, pixels)
        return encoder_of(pixels, lambda layout: self._header(layout, 1))

    def _transformed(self) -> Quantising[tuple[_Begun, Coded]]:
        mask = self._image.alpha is not None and is_mask(self._image.alpha)
        begun, coded = yield from self._transformed_as(mask)
        if mask and coded.step < FINEST_MASK:
            return (yield from self._transformed_as(False))
        return begun, coded

    def _transformed_as(self, mask: bool) -> Quantising[tuple[_Begun, Coded]]:
        begun, limit = self._begin(mask), self._limit
        if limit is None:
            coded = yield from begun.encoder.at_quality(self._rate.effective_quality)
        else:
            coded = yield from begun.encoder.within(limit, partial(self._file_size, mask))
        return begun, coded

    def _begin(self, mask: bool) -> _Begun:
        if mask not in self._begun:
            planes = to_planes(self._pixels, mask)
            if self._image.alpha is not None:
                planes = with_hidden_colours(planes, self._pixels[:, :, -1] == 0)
            header = partial(self._transform_header, mask)
            receiver = _Receiver(self._model.reconstruction, self._image.size, planes, header)
            source = planes, self._model.context, self._image.size, self._model.lagrange
            encoder = BestEncoder(*source, receiver) if self._rate.best else Encoder(*source)
            self._begun[mask] = _Begun(mask, encoder, receiver)
        return self._begun[mask]

    def _encoded(self, begun: _Begun, coded: Coded) -> Encoded:
        header = self._transform_header(begun.mask, coded)
        return Encoded(header, coded.payloads, flatten(coded.integers))

    def _usual_error(self, begun: _Begun, coded: Coded) -> float:
        """Give the squared error of a drawn image; the network's part is estimated without best."""
        if self._rate.best:
            return begun.receiver.error(coded)
        error = begun.receiver.error(replace(coded, refined=False))
        return error * (_REFINED if coded.refined else 1)

    def _file_size(self, mask: bool, blocks: int, lengths: Sequence[int], refined: bool) -> int:
        """Count the bytes of a file; its step does not matter."""
        layout = TransformLayout(MAX_STEP, blocks, refined, mask)
        return packed_size(self._header(layout, len(lengths)), list(lengths))

    def _transform_header(self, mask: bool, coded: Coded) -> Header:
        layout = TransformLayout(coded.step, coded.blocks, coded.refined, mask)
        return self._header(layout, len(coded.payloads))

    def _header(self, layout: TransformLayout | IndexedLayout, layers: int) -> Header:
        size, alpha = self._image.size, self._image.alpha is not None
        return Header(self._model.fingerprint, *size, layout, self._image.grey, alpha, layers)


class _Receiver(NamedTuple):
    """Decodes files of an image as those who receive them will: the `Judge` of `BestEncoder`."""

    reconstruction: Reconstruction
    shown: Size  # of the image
    planes: Planes  # [C, H, W] that it is taken for
    header: Callable[[Coded], Header]

    def error(self, encoded: Coded) -> float:
        """Give the squared error of the decoded image, a pixel."""
        header, size = self.header(encoded), (self.planes.shape[2], self.planes.shape[1])
        decoded = self.reconstruction.image(header, encoded.integers, size, self.shown, passes=1)
        pixels = np.asarray(decoded).reshape(*size[::-1], -1)
        planes = to_planes(pixels, transform_layout(header).mask)
        return float(np.square(planes - self.planes).sum(axis=0).mean())

    def added(self, encoded: Coded) -> Planes:
        """Give what the decoder network adds to the planes [C, H, W] of the working image."""
        return self.reconstruction.added(self.header(encoded), encoded.integers)
