"""Image files to .ttk files, and back."""

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Final

from PIL import Image

from titokzip import images, zoo
from titokzip.batch.delivery import deliver, opened, read_all
from titokzip.batch.jobs import Job, Options, Result
from titokzip.batch.pipeline import Stages, run
from titokzip.bitstream import container
from titokzip.bitstream.container import Contents
from titokzip.errors import TitokzipError
from titokzip.images import InputImage
from titokzip.rate_control import Rate

if TYPE_CHECKING:  # torch is imported when the first model is loaded
    from titokzip.codec import Codec
    from titokzip.layouts.protocol import Size

_IMAGE_BYTES: Final = 2**31  # of an image that comes through a pipe, at the most
_TTK_BYTES: Final = 2**28  # of any .ttk file, at the most
_LARGE: Final = 2**24  # pixels of an image that is resampled while it is written


class Models:
    """Finds the codec that a file asks for by its fingerprint, and keeps those found."""

    def __init__(self, name: str | None, load: "Callable[[zoo.Manifest], Codec]") -> None:
        self.name, self.load = name, load
        self.codecs: dict[bytes, Codec] = {}
        self.lock = threading.Lock()

    def __call__(self, fingerprint: bytes) -> "Codec":
        """Load the model of a file, or the one that was named, once.

        Raises:
            ModelError: it is not here.
        """
        with self.lock:
            key = b"" if self.name else fingerprint
            if key not in self.codecs:
                manifest = zoo.find(self.name) if self.name else zoo.find_fingerprint(fingerprint)
                self.codecs[key] = self.load(manifest)
            return self.codecs[key]


def compress_files(
    jobs: Iterable[Job],
    codec: "Codec",
    rate: Rate,
    options: Options,
    *,
    background: str | None = None,
    verify: bool = False,
    max_pixels: int | None = None,
) -> Iterator[Result]:
    """Compress files in order; `verify` decodes the tokens of each before it is written.

    `max_pixels` is `images.MAX_PIXELS` by default. Nothing is written that `decompress_files` would
    not open, given the same.
    """

    def read(result: Result) -> InputImage:
        with opened(result.job, _IMAGE_BYTES) as (file, result.in_bytes):
            image = images.read(
                file,
                background,
                keep_alpha=codec.layout.keeps_alpha,
                max_pixels=max_pixels or images.MAX_PIXELS,
            )
        notes = [f"first of {image.frames} frames"] if image.frames > 1 else []
        result.note = "; ".join([*notes, *filter(None, [image.note])])
        return image

    def work(good: Iterator[InputImage]) -> Iterator[bytes | TitokzipError]:
        return codec.compress_many(good, rate, verify or options.remove)

    def write(result: Result, data: bytes) -> None:
        result.header = container.unpack(data, max_pixels).header
        result.out_bytes = result.ttk_bytes = deliver(result.job, [data], options)

    yield from run(jobs, Stages(read, work, write), options)


@dataclass(frozen=True)
class _Coded:
    """A .ttk file that was read, and the codec for it."""

    codec: "Codec"
    contents: Contents

    @property
    def kind(self) -> tuple[int, bool]:
        """Images of one kind are decoded together."""
        header = self.contents.header
        return id(self.codec), header.width * header.height > _LARGE


def decompress_files(
    jobs: Iterable[Job],
    codec_for: "Callable[[bytes], Codec]",
    options: Options,
    *,
    suffix: str | None = None,
    native: bool = False,
    size: "Size | None" = None,
    partial: bool = False,
    max_pixels: int | None = None,
) -> Iterator[Result]:
    """Decompress files in order; `codec_for` finds the model that a file was made with.

    `max_pixels` is by default what `compress_files` reads.
    """

    def read(result: Result) -> _Coded:
        data = read_all(result.job, _TTK_BYTES)
        result.in_bytes = result.ttk_bytes = len(data)
        contents = container.unpack(data, max_pixels, partial)
        result.header, result.note = contents.header, _missing(contents)
        codec = codec_for(contents.header.model)
        return _Coded(codec, codec.checked(contents))

    def work(good: Iterator[_Coded]) -> Iterator[Image.Image | TitokzipError]:
        for (_, large), group in groupby(good, key=lambda one: one.kind):
            first = next(group)
            contents = (one.contents for one in _chained(first, group))
            yield from first.codec.decompress_many(contents, native or large, size)

    def write(result: Result, image: Image.Image) -> None:
        target, header = result.job.target, result.header
        assert header is not None, "what was decoded was read"
        wanted = None if native else size or (header.width, header.height)
        kind = suffix or (target.suffix if target else "") or ".png"
        result.out_bytes = deliver(result.job, images.encode(image, kind, wanted), options)

    yield from run(jobs, Stages(read, work, write), options)


def _chained(first: _Coded, others: Iterator[_Coded]) -> Iterator[_Coded]:
    yield first
    yield from others


def _missing(contents: Contents) -> str:
    layers = contents.header.layers
    return "" if contents.whole else f"cut: {len(contents.payloads)} of {layers} layers"
