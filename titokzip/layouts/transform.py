"""Images under a lapped transform of the whole image: the embedded model.

    image -> planes at the working size -> coefficients -> integers (the tokens) -> layers
    layers -> integers -> coefficients -> planes -> decoder network -> image

Encoding is NumPy. The decoder network, and torch with it, is loaded when the first file that uses
it is decoded, or when an encoder is to find the best by decoding.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache, cached_property
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from titokzip import zoo
from titokzip.bitstream.container import Contents, packed_size
from titokzip.bitstream.header import (
    FINGERPRINT_BYTES,
    MAX_STEP,
    Header,
    IndexedLayout,
    TransformLayout,
)
from titokzip.entropy import coder
from titokzip.entropy.context_model import ContextModel
from titokzip.errors import FormatError, RateError, TitokzipError
from titokzip.images import LARGE, InputImage
from titokzip.layouts import indexed
from titokzip.layouts.indexed import IndexedEncoder
from titokzip.layouts.pixels import Pixels, pixels_of, to_image
from titokzip.layouts.protocol import Encoded, Size
from titokzip.rate_control import Rate
from titokzip.tokenizers.embedded.quantizer import dequantize
from titokzip.tokenizers.embedded.rate_control import Encoder, Judge, slope_at
from titokzip.tokenizers.embedded.search import Encoded as Coded
from titokzip.transform import planes as channels
from titokzip.transform.bands import flatten
from titokzip.transform.pyramid import Integers, synthesise
from titokzip.transform.resample import enlarge
from titokzip.transform.transparency import is_mask, with_hidden_colours
from titokzip.transform.working_size import working_blocks

if TYPE_CHECKING:
    import torch

    from titokzip.runtime.windowed_decoding import Refiner

Planes = NDArray[np.float32]

_REFINED = 0.75  # of the squared error of drawn images that the network usually leaves
FINEST_MASK = 120  # step index; at finer ones a mask's steepness is worse than its quantisation
_LANCZOS = Image.Resampling.LANCZOS


class Transformed:
    """The `Layout` of the embedded model."""

    keeps_alpha = True
    tiles = None

    def __init__(
        self,
        fingerprint: bytes,
        context_model: ContextModel,
        load_refiner: "Callable[[], Refiner]",
        truncate: bool = False,
        settings: tuple[Any, ...] | None = None,
    ) -> None:
        self.fingerprint, self.context_model = fingerprint, context_model
        self._load_refiner, self.truncate = load_refiner, truncate
        self._settings = settings  # with which another process loads it

    def __reduce__(self) -> tuple[Any, ...]:
        """Have another process load the same model, once."""
        if self._settings is None:
            raise TypeError("only a layout that was loaded can go to another process")
        return _loaded_once, self._settings

    @cached_property
    def refiner(self) -> "Refiner":
        """The decoder network, loaded on first use."""
        return self._load_refiner()

    @property
    def device(self) -> str:
        """Where the decoder network runs."""
        return self.refiner.device

    @property
    def dtype(self) -> "torch.dtype":
        """Precision of the decoder network."""
        return self.refiner.dtype

    def with_batch(self, batch: int) -> "Transformed":
        """Return the same layout: images go through the network one by one."""
        return self

    def network_calls(self) -> list[tuple[object, str]]:
        """List the methods that run networks."""
        return [(self.refiner, "__call__")]

    def encode(self, images: Iterable[InputImage], rate: Rate) -> Iterator[Encoded | TitokzipError]:
        """Encode images in order."""
        for image in images:
            try:
                yield self._encoded(image, rate)
            except TitokzipError as error:
                yield error

    def decode(
        self, files: Iterable[tuple[Contents, Size | None]]
    ) -> Iterator[Image.Image | TitokzipError]:
        """Decode files in order."""
        for contents, size in files:
            try:
                if isinstance(layout := contents.header.layout, IndexedLayout):
                    yield indexed.image(contents, layout, size)
                else:
                    yield self._image(contents.header, self._integers(contents), size)
            except TitokzipError as error:
                yield error

    def tokens(self, contents: Contents) -> NDArray[np.int32]:
        """Decode the integers [L] of an image in coding order, 0 in missing layers.

        Those of an indexed image are its colours, then its indexes.
        """
        if isinstance(layout := contents.header.layout, IndexedLayout):
            return indexed.tokens(contents, layout)
        return flatten(self._integers(contents))

    def _encoded(self, image: InputImage, rate: Rate) -> Encoded:
        if rate.for_tiles:
            raise RateError("tokens and tile are for models of tiles; this one takes a quality")
        pixels, limit = pixels_of(image), rate.limit(*image.size)
        drawn = self._drawn(image, pixels)
        if limit is not None and (exact := drawn.exact(limit)):
            return exact
        mask = image.alpha is not None and is_mask(image.alpha)
        planes = _planes_of(image, pixels, mask)
        coded = self._coded(image, planes, rate, mask)
        if mask and coded.step < FINEST_MASK:
            mask, planes = False, _planes_of(image, pixels, False)
            coded = self._coded(image, planes, rate, mask)
        header = self._header(image, coded, mask)
        transformed = Encoded(header, coded.payloads, flatten(coded.integers))
        if not drawn.sizes:
            return transformed
        error = self._judge(image, planes, mask)(replace(coded, refined=False))
        error *= _REFINED if coded.refined else 1
        slope = slope_at(rate.effective_quality) if limit is None else 0
        size = packed_size(header, list(map(len, coded.payloads)))
        return drawn.better(error + slope * 8 * size, slope, limit or inf) or transformed

    def _coded(self, image: InputImage, planes: Planes, rate: Rate, mask: bool) -> Coded:
        judge = self._judge(image, planes, mask) if rate.best else None
        encoder = Encoder(planes, self.context_model, image.size, judge)
        limit = rate.limit(*image.size)
        if limit is None:
            return encoder.at_quality(rate.effective_quality)
        return encoder.within(limit, lambda *found: self._file_size(image, mask, *found))

    def _drawn(self, image: InputImage, pixels: Pixels) -> IndexedEncoder:
        if image.alpha is not None:  # nobody sees the colours of what is hidden
            pixels = np.where(pixels[:, :, -1:] == 0, 0, pixels)
        own = image.original is None
        return IndexedEncoder(pixels if own else None, lambda layout: self._with(image, layout, 1))

    def _judge(self, image: InputImage, planes: Planes, mask: bool) -> Judge:
        """Compare files of an image with its planes [C, H, W]."""
        size = planes.shape[2], planes.shape[1]

        def error(coded: Coded) -> float:
            header = self._header(image, coded, mask)
            decoded = self._image(header, coded.integers, size, image.size)
            pixels = np.asarray(decoded).reshape(*planes.shape[1:], -1)
            return float(np.square(channels.to_planes(pixels, mask) - planes).sum(axis=0).mean())

        return error

    def _header(self, image: InputImage, coded: Coded, mask: bool) -> Header:
        layout = TransformLayout(coded.step, coded.blocks, coded.refined, mask)
        return self._with(image, layout, len(coded.payloads))

    def _with(
        self, image: InputImage, layout: TransformLayout | IndexedLayout, layers: int
    ) -> Header:
        alpha = image.alpha is not None
        return Header(self.fingerprint, *image.size, layout, image.grey, alpha, layers)

    def _file_size(
        self, image: InputImage, mask: bool, blocks: int, lengths: Sequence[int], refined: bool
    ) -> int:
        """Count the bytes of a file; its step does not matter."""
        layout = TransformLayout(MAX_STEP, blocks, refined, mask)
        header = self._with(image, layout, len(lengths))
        return packed_size(header, list(lengths))

    def _integers(self, contents: Contents) -> Integers:
        header, layout = contents.header, _layout(contents.header)
        rows, columns = working_blocks(header.width, header.height, layout.blocks)
        return coder.decode(
            contents.payloads,
            _planes(header),
            rows,
            columns,
            layout.step,
            self.context_model,
            header.layers,
        )

    def _image(
        self, header: Header, integers: Integers, size: Size | None, shown: Size | None = None
    ) -> Image.Image:
        """Make the image at a size; the network doubles it as one of the size `shown` asks for."""
        layout = _layout(header)
        planes = synthesise(dequantize(integers, layout.step))
        decoded = channels.to_channels(planes, layout.mask)
        colours, alpha = np.split(decoded, [len(decoded) - header.alpha])
        if layout.refined:
            rows, columns = colours.shape[1:]
            width, height = shown or size or (header.width, header.height)
            double = 2 * columns <= width and 2 * rows <= height
            colours = self._refined(colours, layout.step, double)
        parts = colours
        if header.alpha:
            parts = np.concatenate([colours, enlarge(alpha, *colours.shape[1:])])
        if not layout.blocks:
            parts = parts[:, : header.height, : header.width]
        if size is not None and size[0] * size[1] <= LARGE:  # larger ones in 8 bits
            parts = enlarge(parts, size[1], size[0])
        image = _to_image(parts, self.truncate)
        return image if size in (None, image.size) else image.resize(size, _LANCZOS)

    def _refined(self, colours: Planes, step: int, double: bool) -> Planes:
        """Improve channels [1 or 3, H, W] by the decoder network."""
        refined = self.refiner(np.broadcast_to(colours, (3, *colours.shape[1:])), step, double)
        return refined.mean(axis=0, keepdims=True) if len(colours) == 1 else refined


def load_transform(
    manifest: zoo.Manifest,
    device: str = "auto",
    precision: str = "auto",
    compiled: bool = False,
    truncate: bool = False,
) -> Transformed:
    """Load the embedded model, all but its network; see `titokzip.loading.load`."""

    def load_refiner() -> "Refiner":
        from titokzip.runtime import windowed_decoding

        network = zoo.load_decoder(manifest)
        return windowed_decoding.load_refiner(network, device, precision, compiled)

    context_model = zoo.load_context_model(manifest)
    fingerprint = manifest.fingerprint[:FINGERPRINT_BYTES]
    settings = manifest.path, device, precision, compiled, truncate
    return Transformed(fingerprint, context_model, load_refiner, truncate, settings)


@cache
def _loaded_once(path: Path, *settings: Any) -> Transformed:
    return load_transform(zoo.read_manifest(path), *settings)


def _planes_of(image: InputImage, pixels: Pixels, mask: bool) -> Planes:
    planes = channels.to_planes(pixels, mask)
    if image.alpha is None:
        return planes
    return with_hidden_colours(planes, np.asarray(image.alpha) == 0)


def _layout(header: Header) -> TransformLayout:
    if not isinstance(header.layout, TransformLayout):
        raise FormatError("damaged: this model's files hold no tiles")
    return header.layout


def _planes(header: Header) -> int:
    return (1 if header.grey else 3) + header.alpha


def _to_image(channels: Planes, truncate: bool) -> Image.Image:
    """Convert channels [C, H, W] of 0..255 to an image of mode L, LA, RGB or RGBA."""
    levels = channels.clip(0, 255)
    return to_image((levels if truncate else np.rint(levels)).astype(np.uint8).transpose(1, 2, 0))
