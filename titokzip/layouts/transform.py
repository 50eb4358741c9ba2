"""Images under a lapped transform of the whole image: the embedded model.

    image -> planes at the working size -> coefficients -> integers (the tokens) -> layers
    layers -> integers -> coefficients -> planes -> decoder network -> image

Encoding is NumPy. The decoder network, and torch with it, is loaded when the first file that uses
it is decoded, or when an encoder is to find the best by decoding. Drawn images of few colours
become a palette and indexes instead (`indexed`), where that is better.
"""

from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from titokzip import zoo
from titokzip.bitstream.container import Contents
from titokzip.bitstream.header import FINGERPRINT_BYTES, IndexedLayout
from titokzip.entropy.context_model import ContextModel
from titokzip.errors import TitokzipError
from titokzip.images import InputImage
from titokzip.layouts import indexed
from titokzip.layouts.image_encoder import ImageEncoder, Model
from titokzip.layouts.protocol import Encoded, Size
from titokzip.layouts.reconstruction import Reconstruction
from titokzip.layouts.refinement import Refinement
from titokzip.layouts.stored import (
    LEAST_PIXELS,
    integers_of,
    pixels_of_header,
)
from titokzip.rate_control import Rate
from titokzip.runtime.blas import one_thread
from titokzip.runtime.grouping import in_groups
from titokzip.tokenizers.embedded.quantizer import Quantising
from titokzip.tokenizers.embedded.together import encode_together
from titokzip.transform.bands import flatten
from titokzip.transform.lapped import SIDE
from titokzip.transform.pyramid import Integers

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
        reconstruction: Reconstruction,
        lagrange: float = 1.0,
        settings: tuple[Any, ...] | None = None,
    ) -> None:
        """Take the context model, and the way back to pixels, which loads its network when needed.

        `lagrange` multiplies what a bit is worth when coefficients are quantised.
        """
        self.fingerprint, self.context_model = fingerprint, context_model
        self.reconstruction, self.lagrange = reconstruction, lagrange
        self.takes_best = lagrange == 1  # the best is that of least squared error
        self._settings = settings  # with which another process loads it

    def __reduce__(self) -> tuple[Any, ...]:
        """Have another process load the same model, once."""
        if self._settings is None:
            raise TypeError("only a layout that was loaded can go to another process")
        return _loaded_once, self._settings

    @property
    def refiner(self) -> "Refiner":
        """The decoder network in torch, loaded on first use."""
        return self.reconstruction.refinement.refiner

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
        model = Model(self.fingerprint, self.context_model, self.lagrange, self.reconstruction)
        return ImageEncoder(image, rate, model).encode()

    def _decoded(
        self, contents: Contents, integers: Integers | TitokzipError, size: Size | None
    ) -> Image.Image | TitokzipError:
        with one_thread():
            try:
                if isinstance(layout := contents.header.layout, IndexedLayout):
                    return indexed.image(contents, layout, size)
                if isinstance(integers, TitokzipError):
                    return integers
                return self.reconstruction.image(contents.header, integers, size)
            except TitokzipError as error:
                return error


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
    reconstruction = Reconstruction(Refinement(load_refiner, small, passes), truncate)
    lagrange = zoo.lagrange(manifest)
    return Transformed(fingerprint, context_model, reconstruction, lagrange, settings)


@cache
def _loaded_once(path: Path, *settings: Any) -> Transformed:
    return load_transform(zoo.read_manifest(path), *settings)


def _pixels(image: InputImage) -> int:
    """Count the pixels of an image in whole blocks."""
    width, height = image.image.size
    return max(-(-width // SIDE) * -(-height // SIDE) * SIDE**2, LEAST_PIXELS)
