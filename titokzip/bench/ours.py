"""Our codec as the bench sees it: the one module here that knows the codec's own interface."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from PIL import Image

from titokzip import zoo
from titokzip.bitstream import container
from titokzip.codec import Codec
from titokzip.errors import TitokzipError
from titokzip.images import InputImage
from titokzip.rate_control import Rate

DEFAULT_MODEL = zoo.DEFAULT
BATCHES = {"cpu": (1, 16), "mps": (1, 16, 64), "cuda": (1, 16, 64, 256)}  # tiles
_NETWORK = ("encode", "decode_features", "decode_pixels")  # methods of a tokenizer
# Networks whose features a model was trained against, where its manifest does not say.
_TRAINED_AGAINST = {"xs": (), "xs-perceptual": ("tiny-darknet",)}


class Ours:
    """One model of ours; images in, whole files out, and back."""

    def __init__(self, codec: Codec, model: str = "") -> None:
        """Wrap a codec, and name the model that it was loaded from."""
        self.codec, self.model = codec, model

    @classmethod
    def load(cls, model: str, device: str, truncate: bool = False) -> "Ours":
        """Load a model by name or path.

        Raises:
            ModelError: it is not here, or damaged.
        """
        return cls(replace(Codec.load(model, device), truncate=truncate), model)

    @property
    def device(self) -> str:
        """Where the networks run."""
        return self.codec.device

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the networks."""
        tokenizer = self.codec.model.tokenizer
        first = next(iter(getattr(tokenizer, "parameters", list)()), None)
        return torch.float32 if first is None else first.dtype

    def batched(self, batch: int) -> "Ours":
        """Make the same codec with another batch."""
        return Ours(replace(self.codec, batch=batch), self.model)

    def images_per_batch(self, image: InputImage, rate: Rate, batch: int) -> int:
        """Count the images that fill a batch."""
        tiles = max(1, self._tiles(self.encode_one(image, rate)))
        return max(1, -(-batch // tiles))

    def encode(self, images: Iterable[InputImage], rate: Rate) -> Iterator[bytes | TitokzipError]:
        """Compress images in order; one that fails gives its error."""
        yield from self.codec.compress_all(images, rate)

    def encode_one(self, image: InputImage, rate: Rate) -> bytes:
        """Compress an image.

        Raises:
            TitokzipError: it cannot be.
        """
        data = next(self.encode([image], rate))
        if isinstance(data, TitokzipError):
            raise data
        return data

    def decode(self, files: Iterable[bytes]) -> Iterator[Image.Image]:
        """Decode files in order, batched across files."""
        contents = (container.unpack(data) for data in files)
        yield from self.codec.paint_all([(c.header, self.codec.read(c)) for c in contents])

    def facts(self, data: bytes) -> dict[str, float]:
        """Say of a file what a row may tell besides its size."""
        contents = container.unpack(data)
        return {"header": len(data) - sum(map(len, contents.payloads))}

    @contextmanager
    def network_seconds(self, wait: Callable[[], None]) -> Iterator[list[float]]:
        """Gather the seconds of each call of the networks while the context lasts."""
        tokenizer, seconds = self.codec.model.tokenizer, list[float]()

        def timed(function: Callable[..., Any]) -> Callable[..., Any]:
            def call(*given: Any, **named: Any) -> Any:
                wait()
                begun = time.perf_counter()
                made = function(*given, **named)
                wait()
                seconds.append(time.perf_counter() - begun)
                return made

            return call

        for name in _NETWORK:
            object.__setattr__(tokenizer, name, timed(getattr(tokenizer, name)))
        try:
            yield seconds
        finally:
            for name in _NETWORK:
                object.__delattr__(tokenizer, name)

    def _tiles(self, data: bytes) -> int:
        return container.unpack(data).header.grid.tiles


def identity(model: str) -> dict[str, Any]:
    """Say which model a name or path is.

    Raises:
        ModelError: it is not here.
    """
    manifest = zoo.find(model)
    against = getattr(manifest, "trained_against", None)
    if against is None:
        against = _TRAINED_AGAINST.get(manifest.name)
    return {
        "name": manifest.name,
        "fingerprint": manifest.fingerprint.hex(),
        "digest": manifest.digest.hex(),
        "trained_against": None if against is None else list(against),
    }
