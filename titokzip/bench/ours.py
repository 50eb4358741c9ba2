"""Our codec as the bench sees it: the one module here that knows the codec's own interface."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from titokzip import loading, zoo
from titokzip.bitstream import container
from titokzip.bitstream.header import TileLayout
from titokzip.codec import Codec
from titokzip.errors import TitokzipError
from titokzip.images import InputImage
from titokzip.rate_control import Rate

DEFAULT_MODEL = zoo.DEFAULT
BEST = " --best"  # after a model, as on the command line
BATCHES = {"cpu": (1, 16), "mps": (1, 16, 64), "cuda": (1, 16, 64, 256)}  # tiles or images


class Ours:
    """One model of ours; images in, whole files out, and back."""

    def __init__(self, codec: Codec, model: str = "", reload: dict[str, Any] | None = None) -> None:
        """Wrap a codec; `model` and `reload` are what it was loaded by."""
        self.codec, self.model, self.reload = codec, model, reload or {}
        self._best = model.endswith(BEST)

    @classmethod
    def load(cls, model: str, device: str, truncate: bool = False) -> "Ours":
        """Load a model by name or path; with --best behind it, its encoder tries more.

        Raises:
            ModelError: it is not here, or damaged.
        """
        how: dict[str, Any] = {"device": device, "truncate": truncate}
        return cls(loading.load(model.removesuffix(BEST), **how), model, how)

    @property
    def device(self) -> str:
        """Where the networks run."""
        return self.codec.layout.device

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the decoder network."""
        return self.codec.layout.dtype

    def batched(self, batch: int) -> "Ours":
        """Make the same codec with another batch."""
        return Ours(self.codec.with_batch(batch), self.model, self.reload)

    def images_per_batch(self, image: InputImage, rate: Rate, batch: int) -> int:
        """Count the images that fill a batch."""
        layout = container.unpack(self.encode_one(image, rate)).header.layout
        tiles = layout.grid.tiles if isinstance(layout, TileLayout) else 1
        return max(1, -(-batch // tiles))

    def encode(self, images: Iterable[InputImage], rate: Rate) -> Iterator[bytes | TitokzipError]:
        """Compress images in order; one that fails gives its error."""
        yield from self.codec.compress_many(images, replace(rate, best=self._best))

    def encode_one(self, image: InputImage, rate: Rate) -> bytes:
        """Compress an image.

        Raises:
            TitokzipError: it cannot be compressed.
        """
        return self.codec.compress(image, replace(rate, best=self._best))

    def decode(self, files: Iterable[bytes]) -> Iterator[Image.Image]:
        """Decode files in order, batched across files.

        Raises:
            TitokzipError: one cannot be decoded.
        """
        for result in self.codec.decompress_many(container.unpack(data) for data in files):
            if isinstance(result, TitokzipError):
                raise result
            yield result

    def facts(self, data: bytes) -> dict[str, float]:
        """Say of a file what a row may tell besides its size."""
        contents = container.unpack(data)
        return {"header": len(data) - sum(map(len, contents.payloads))}

    @contextmanager
    def network_seconds(self, wait: Callable[[], None]) -> Iterator[list[float]]:
        """Gather the seconds of each call of the networks while the context lasts."""
        seconds = list[float]()

        def timed(function: Callable[..., Any]) -> Callable[..., Any]:
            def call(*given: Any, **named: Any) -> Any:
                wait()
                begun = time.perf_counter()
                made = function(*given, **named)
                wait()
                seconds.append(time.perf_counter() - begun)
                return made

            return call

        calls = self.codec.layout.network_calls()
        for owner, name in calls:
            object.__setattr__(owner, name, timed(getattr(owner, name)))
        try:
            yield seconds
        finally:
            for owner, name in calls:
                object.__delattr__(owner, name)


def name_of(model: str) -> str:
    """Name what is measured of a model, given by name or path, perhaps with --best behind it."""
    name = Path(model.removesuffix(BEST)).name.removesuffix(".safetensors")
    return name + BEST * model.endswith(BEST)


def identity(model: str) -> dict[str, Any]:
    """Say which model a name or path is, and whether its encoder tries more.

    Raises:
        ModelError: it is not here.
    """
    manifest = zoo.find(model.removesuffix(BEST))
    against = manifest.trained_against
    return {
        "name": manifest.name,
        "fingerprint": manifest.fingerprint.hex(),
        "digest": manifest.digest.hex(),
        "trained_against": None if against is None else list(against),
        "best": model.endswith(BEST),
    }
