"""Images under a lapped transform of the whole image: the embedded model.

    image -> planes at the working size -> coefficients -> integers (the tokens) -> layers
    layers -> integers -> coefficients -> planes -> decoder network -> image

Encoding is NumPy. The decoder network, and torch with it, is loaded when the first file that uses
it is decoded, or when an encoder is to find the best by decoding. Drawn images of few colours
become a palette and indexes instead (`indexed`), where that is better.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from titokzip import zoo
from titokzip.bitstream.container import Contents
from titokzip.bitstream.header import FINGERPRINT_BYTES, Header, IndexedLayout
from titokzip.entropy.context_model import ContextModel
from titokzip.errors import TitokzipError
from titokzip.images import LARGE, InputImage
from titokzip.layouts import indexed
from titokzip.layouts.image_encoder import ImageEncoder
from titokzip.layouts.pixels import at_size, to_image
from titokzip.layouts.protocol import Encoded, Size
from titokzip.layouts.stored import (
    LEAST_PIXELS,
    integers_of,
    pixels_of_header,
    transform_layout,
)
from titokzip.rate_control import Rate
from titokzip.runtime.blas import one_thread
from titokzip.runtime.grouping import in_groups
from titokzip.runtime.self_ensemble import averaged, passes_for, threads_for
from titokzip.tokenizers.embedded.quantizer import Quantising, dequantize
from titokzip.tokenizers.embedded.together import encode_together
from titokzip.transform import planes as channels
from titokzip.transform.bands import flatten
from titokzip.transform.lapped import SIDE
from titokzip.transform.pyramid import Integers, synthesise
from titokzip.transform.resample import enlarge

if TYPE_CHECKING:
    import torch

    from titokzip.runtime.numpy_refiner import NumpyRefiner
    from titokzip.runtime.windowed_decoding import Refiner

Planes = NDArray[np.float32]

_UNASKED = "auto", "auto", False  # device, precision, whether it is compiled
_TOGETHER = 2**20  # pixels of small images that are coded together


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
        load_small: "Callable[[], NumpyRefiner] | None" = None,
        passes: int | None = None,
    ) -> None:
        """Take what loads the decoder network when it is needed.

        `load_small` loads what refines small images instead, without torch. `passes` of the network
        are averaged; without it as many as the model and the size of an image are worth.
        """
        self.fingerprint, self.context_model = fingerprint, context_model
        self._load_refiner, self._load_small, self.truncate = load_refiner, load_small, truncate
        self.passes = passes
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

    @cached_property
    def _small_refiner(self) -> "NumpyRefiner | None":
        return self._load_small() if self._load_small else None

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
        """Encode images in order, small ones together."""
        begun = ((self._encoding(image, rate), _pixels(image)) for image in images)
        for group in in_groups(begun, lambda one: one[1], _TOGETHER):
            with one_thread():
                found = encode_together([work for work, _ in group], self.context_model)
            yield from found

    def decode(
        self, files: Iterable[tuple[Contents, Size | None]]
    ) -> Iterator[Image.Image | TitokzipError]:
        """Decode files in order, the integers of small ones together."""
        for group in in_groups(files, lambda file: pixels_of_header(file[0].header), _TOGETHER):
            with one_thread():
                found = integers_of([contents for contents, _ in group], self.context_model)
            for (contents, size), integers in zip(group, found, strict=True):
                yield self._decoded(contents, integers, size)

    def tokens(self, contents: Contents) -> NDArray[np.int32]:
        """Decode the integers [L] of an image in coding order, 0 in missing layers.

        Those of an indexed image are its colours, then its indexes.
        """
        if isinstance(layout := contents.header.layout, IndexedLayout):
            return indexed.tokens(contents, layout)
        with one_thread():
            (integers,) = integers_of([contents], self.context_model)
        if isinstance(integers, TitokzipError):
            raise integers
        return flatten(integers)

    def _encoding(self, image: InputImage, rate: Rate) -> Quantising[Encoded]:
        def decode(header: Header, integers: Integers, size: Size) -> Image.Image:
            return self._image(header, integers, size, image.size, passes=1)

        model = self.context_model
        return ImageEncoder(image, rate, self.fingerprint, model, decode).encode()

    def _decoded(
        self, contents: Contents, integers: Integers | TitokzipError, size: Size | None
    ) -> Image.Image | TitokzipError:
        with one_thread():
            try:
                if isinstance(layout := contents.header.layout, IndexedLayout):
                    return indexed.image(contents, layout, size)
                if isinstance(integers, TitokzipError):
                    return integers
                return self._image(contents.header, integers, size)
            except TitokzipError as error:
                return error

    def _image(
        self,
        header: Header,
        integers: Integers,
        size: Size | None,
        shown: Size | None = None,
        passes: int | None = None,
    ) -> Image.Image:
        """Make the image at a size; the network doubles it as one of the size `shown` asks for."""
        layout = transform_layout(header)
        planes = synthesise(dequantize(integers, layout.step))
        decoded = channels.to_channels(planes, layout.mask)
        colours, alpha = np.split(decoded, [len(decoded) - header.alpha])
        if layout.refined:
            rows, columns = colours.shape[1:]
            width, height = shown or size or (header.width, header.height)
            double = 2 * columns <= width and 2 * rows <= height
            colours = self._refined(colours, layout.step, double, passes or self.passes)
        parts = colours
        if header.alpha:
            parts = np.concatenate([colours, enlarge(alpha, *colours.shape[1:])])
        if not layout.blocks:
            parts = parts[:, : header.height, : header.width]
        if size is not None and size[0] * size[1] <= LARGE:  # larger ones in 8 bits
            parts = enlarge(parts, size[1], size[0])
        return at_size(_to_image(parts, self.truncate), size)

    def _refined(self, colours: Planes, step: int, double: bool, passes: int | None) -> Planes:
        """Improve channels [1 or 3, H, W] by the decoder network."""
        three, small = np.broadcast_to(colours, (3, *colours.shape[1:])), self._small_refiner
        pixels = three[0].size
        refiner = small if small and pixels <= small.most_pixels else self.refiner
        if passes is None:
            passes = passes_for(pixels) if refiner.config.self_ensemble else 1
        threads = threads_for(passes, pixels) if refiner is small else 1  # torch has its own
        refined = averaged(lambda image: refiner(image, step, double), three, passes, threads)
        return refined.mean(axis=0, keepdims=True) if len(colours) == 1 else refined


def load_transform(
    manifest: zoo.Manifest,
    device: str = "auto",
    precision: str = "auto",
    compiled: bool = False,
    truncate: bool = False,
    lone: bool = False,
    passes: int | None = None,
) -> Transformed:
    """Load the embedded model, all but its network; see `titokzip.loading.load`."""

    def load_refiner() -> "Refiner":
        from titokzip.runtime import windowed_decoding

        network = zoo.load_decoder(manifest)
        return windowed_decoding.load_refiner(network, device, precision, compiled)

    def load_small() -> "NumpyRefiner":
        from titokzip.runtime.numpy_refiner import NumpyRefiner

        return NumpyRefiner(*zoo.load_decoder_weights(manifest))

    context_model = zoo.load_context_model(manifest)
    fingerprint = manifest.fingerprint[:FINGERPRINT_BYTES]
    settings = manifest.path, device, precision, compiled, truncate, False, passes
    small = load_small if lone and (device, precision, compiled) == _UNASKED else None
    return Transformed(fingerprint, context_model, load_refiner, truncate, settings, small, passes)


@cache
def _loaded_once(path: Path, *settings: Any) -> Transformed:
    return load_transform(zoo.read_manifest(path), *settings)


def _pixels(image: InputImage) -> int:
    """Count the pixels of an image in whole blocks."""
    width, height = image.image.size
    return max(-(-width // SIDE) * -(-height // SIDE) * SIDE**2, LEAST_PIXELS)


def _to_image(channels: Planes, truncate: bool) -> Image.Image:
    """Convert channels [C, H, W] of 0..255 to an image of mode L, LA, RGB or RGBA."""
    levels = channels.clip(0, 255)
    return to_image((levels if truncate else np.rint(levels)).astype(np.uint8).transpose(1, 2, 0))
