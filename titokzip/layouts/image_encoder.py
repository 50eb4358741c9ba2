"""One image on its way to a file of the embedded model: by its transform, or by a palette."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np
from PIL import Image

from titokzip.bitstream.container import packed_size
from titokzip.bitstream.header import MAX_STEP, Header, IndexedLayout, TransformLayout
from titokzip.entropy.context_model import ContextModel
from titokzip.errors import RateError
from titokzip.images import InputImage
from titokzip.layouts.indexed import IndexedEncoder, encoder_of
from titokzip.layouts.pixels import pixels_of
from titokzip.layouts.protocol import Encoded, Size
from titokzip.rate_control import Rate
from titokzip.tokenizers.embedded.rate_control import Encoder, slope_at
from titokzip.tokenizers.embedded.search import Encoded as Coded
from titokzip.transform.bands import flatten
from titokzip.transform.planes import Planes, to_planes
from titokzip.transform.pyramid import Integers
from titokzip.transform.transparency import is_mask, with_hidden_colours

# An image at a size, from its header and integers.
Decode = Callable[[Header, Integers, Size], Image.Image]

FINEST_MASK: Final = 120  # step index; at finer ones a mask's slope errs more than quantisation
_REFINED: Final = 0.75  # of the squared error of drawn images that the network usually leaves


class _Transformed(NamedTuple):
    planes: Planes  # [C, H, W] that the image was taken for
    mask: bool
    coded: Coded


class ImageEncoder:
    """Encodes one image at one rate."""

    def __init__(
        self, image: InputImage, rate: Rate, fingerprint: bytes, model: ContextModel, decode: Decode
    ) -> None:
        """Take the model by its fingerprint and context model; `decode` judges under `best`.

        Raises:
            RateError: the rate is one of tile tokenizers.
        """
        if rate.for_tiles:
            raise RateError("tokens and tile are for models of tiles; this one takes a quality")
        self._image, self._rate, self._pixels = image, rate, pixels_of(image)
        self._fingerprint, self._model, self._decode = fingerprint, model, decode
        self._limit = rate.limit(*image.size)

    def encode(self) -> Encoded:
        """Encode by a palette if the image is drawn and that is better, else by the transform.

        Raises:
            RateError: no file is as small as the rate asks for.
        """
        drawn = self._drawn()
        if drawn and self._limit is not None and (exact := drawn.exact(self._limit)):
            return exact
        found = self._transformed()
        header = self._transform_header(found.coded, found.mask)
        transformed = Encoded(header, found.coded.payloads, flatten(found.coded.integers))
        if not drawn:
            return transformed
        error = self._error(replace(found.coded, refined=False), found.planes, found.mask)
        error *= _REFINED if found.coded.refined else 1
        if self._limit is not None:
            return drawn.within(self._limit, error) or transformed
        slope = slope_at(self._rate.effective_quality)
        bits = 8 * packed_size(header, [len(payload) for payload in found.coded.payloads])
        return drawn.at_slope(slope, error + slope * bits) or transformed

    def _drawn(self) -> IndexedEncoder | None:
        if self._image.image.size != self._image.size:  # it was reduced
            return None
        pixels = self._pixels
        if self._image.alpha is not None:  # nobody sees the colours of what is hidden
            pixels = np.where(pixels[:, :, -1:] == 0, 0, pixels)
        return encoder_of(pixels, lambda layout: self._header(layout, 1))

    def _transformed(self) -> _Transformed:
        mask = self._image.alpha is not None and is_mask(self._image.alpha)
        found = self._transformed_as(mask)
        return self._transformed_as(False) if mask and found.coded.step < FINEST_MASK else found

    def _transformed_as(self, mask: bool) -> _Transformed:
        planes = to_planes(self._pixels, mask)
        if self._image.alpha is not None:
            planes = with_hidden_colours(planes, self._pixels[:, :, -1] == 0)
        judge = (lambda coded: self._error(coded, planes, mask)) if self._rate.best else None
        encoder = Encoder(planes, self._model, self._image.size, judge)
        if self._limit is None:
            coded = encoder.at_quality(self._rate.effective_quality)
        else:
            coded = encoder.within(self._limit, lambda *found: self._file_size(mask, *found))
        return _Transformed(planes, mask, coded)

    def _error(self, coded: Coded, planes: Planes, mask: bool) -> float:
        """Decode a file, and give its squared error, a pixel, to planes [C, H, W]."""
        header = self._transform_header(coded, mask)
        decoded = self._decode(header, coded.integers, (planes.shape[2], planes.shape[1]))
        pixels = np.asarray(decoded).reshape(*planes.shape[1:], -1)
        return float(np.square(to_planes(pixels, mask) - planes).sum(axis=0).mean())

    def _file_size(self, mask: bool, blocks: int, lengths: Sequence[int], refined: bool) -> int:
        """Count the bytes of a file; its step does not matter."""
        layout = TransformLayout(MAX_STEP, blocks, refined, mask)
        return packed_size(self._header(layout, len(lengths)), list(lengths))

    def _transform_header(self, coded: Coded, mask: bool) -> Header:
        layout = TransformLayout(coded.step, coded.blocks, coded.refined, mask)
        return self._header(layout, len(coded.payloads))

    def _header(self, layout: TransformLayout | IndexedLayout, layers: int) -> Header:
        size, alpha = self._image.size, self._image.alpha is not None
        return Header(self._fingerprint, *size, layout, self._image.grey, alpha, layers)
