"""Files that a worker codes whole, in groups: small ones are quicker side by side.

A group that a worker dies of is done again file by file, so that it costs one file and no other.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, TypeVar

from PIL import Image

from titokzip import images
from titokzip.batch.delivery import deliver, opened
from titokzip.batch.jobs import Job, Options, Result
from titokzip.batch.pipeline import reported
from titokzip.batch.processes import Processes
from titokzip.bitstream.container import Contents
from titokzip.errors import ImageError, TitokzipError, WorkerDied, is_out_of_memory
from titokzip.images import InputImage
from titokzip.rate_control import Rate

if TYPE_CHECKING:  # torch is imported when the first model is loaded
    from titokzip.codec import Codec
    from titokzip.layouts.cutting import DecodedTiles
    from titokzip.layouts.protocol import Size

T = TypeVar("T")
Facts = dict[str, Any]
_IMAGE_BYTES: Final = 2**31  # of an image that comes through a pipe, at the most


@dataclass(frozen=True)
class Source:
    """How images are read."""

    background: str | None
    keep_alpha: bool
    max_pixels: int

    def read(self, result: Result) -> InputImage:
        """Read the image of a job.

        Raises:
            ImageError: it cannot be read, or has too many pixels.
        """
        with opened(result.job, _IMAGE_BYTES) as (file, result.in_bytes):
            image = images.read(
                file, self.background, keep_alpha=self.keep_alpha, max_pixels=self.max_pixels
            )
        notes = [f"first of {image.frames} frames"] if image.frames > 1 else []
        result.note = "; ".join([*notes, *filter(None, [image.note])])
        return image


@dataclass(frozen=True)
class Coded:
    """A .ttk file that was read, and the codec for it."""

    codec: "Codec"
    contents: Contents

    @property
    def kind(self) -> tuple[int, bool]:
        """Images of one kind are decoded together."""
        return id(self.codec), self.is_large

    @property
    def is_large(self) -> bool:
        """Whether it is resampled while it is written."""
        header = self.contents.header
        return header.width * header.height > images.LARGE


@dataclass(frozen=True)
class Form:
    """What images are written as."""

    suffix: str | None
    native: bool
    size: "Size | None"
    options: Options

    def kind(self, job: Job) -> str:
        """Name the suffix of the format that an image is written in."""
        return self.suffix or (job.target.suffix if job.target else "") or ".png"

    def check(self, result: Result) -> None:
        """Refuse a transparent image in a format without transparency, before it is decoded."""
        kind = self.kind(result.job)
        opaque = images.WRITTEN.get(kind.lower()) in images.OPAQUE
        if opaque and result.header and result.header.alpha:
            raise ImageError(
                f"it is transparent, which {kind} cannot hold; .png, .webp, .avif and .tif can"
            )


@dataclass(frozen=True)
class Compressing:
    """Compresses groups of files; what they become is written by another process."""

    source: Source
    codec: "Codec"
    rate: Rate
    verify: bool

    def __call__(self, results: Sequence[Result]) -> list[bytes | None]:
        """Give the bytes of files; None where a result has got an error."""
        waiting: deque[Result] = deque()
        made: dict[int, bytes] = {}

        def read() -> Iterator[InputImage]:
            for result in results:
                image = None
                with reported(result, "read"):
                    image = self.source.read(result)
                if image is not None:
                    waiting.append(result)
                    yield image

        begun = time.perf_counter()
        for data in self.codec.compress_many(read(), self.rate, self.verify):
            result = waiting.popleft()
            if isinstance(data, TitokzipError):
                result.error = data
            else:
                made[id(result)] = data
        spent = time.perf_counter() - begun - sum(one.seconds["read"] for one in results)
        for result in results:
            result.seconds["network"] = spent / len(results)
        return [made.get(id(result)) for result in results]

    def again(self) -> "Compressing":
        """Make one for files whose worker died: the same."""
        return self


@dataclass(frozen=True)
class Decompressing:
    """Decompresses groups of files of one kind, and writes them."""

    form: Form

    def __call__(self, results: Sequence[Result], files: Sequence[Coded]) -> list["Done | None"]:
        """Give None where a result has got an error."""
        codec, native = files[0].codec, self.form.native or files[0].is_large
        contents = [one.contents for one in files]
        decoded = codec.decompress_many(contents, native, self.form.size)
        for result in results:
            begun = time.perf_counter()
            image = next(decoded)
            result.seconds["network"] = time.perf_counter() - begun
            with reported(result, "write"):
                if isinstance(image, TitokzipError):
                    raise image
                deliver_image(result, image, self.form)
        return [None if result.error else DONE for result in results]

    def again(self) -> "Decompressing":
        """Make one for files of which some may be there, written by a worker that died."""
        return Decompressing(replace(self.form, options=replace(self.form.options, force=True)))


class Done:
    """In the place of what was decoded: another process has written it."""

    kind = None


DONE: Final = Done()


def decompressed(
    processes: Processes, form: Form, results: list[Result], files: Sequence[Coded | None]
) -> list[Coded | Done | None]:
    """Have workers decompress those files of a group whose images share no batch of a network."""
    found: list[Coded | Done | None] = [*files]
    ready = [(i, one) for i, one in enumerate(files) if one and not one.codec.layout.tiles]
    for _, alike in groupby(ready, key=lambda pair: pair[1].kind):
        numbers, some = zip(*alike, strict=True)
        own = [results[i] for i in numbers]
        items = in_worker(processes, Decompressing(form), own, [*some])
        for i, item in zip(numbers, items, strict=True):
            found[i] = item
    return found


def deliver_image(result: Result, decoded: "Image.Image | DecodedTiles", form: Form) -> Facts:
    """Write an image, resampled to the size asked for, and give what was found out."""
    image = decoded if isinstance(decoded, Image.Image) else decoded.image()
    header = result.header
    assert header is not None, "what was decoded was read"
    wanted = None if form.native else form.size or (header.width, header.height)
    parts = images.encode(image, form.kind(result.job), wanted)
    result.out_bytes = deliver(result, parts, form.options)
    return facts(result)


def facts(result: Result) -> Facts:
    """Take what was found out to another process; the job is there already."""
    return {name: value for name, value in vars(result).items() if name != "job"}


def in_worker(
    processes: Processes, work: Compressing | Decompressing, results: list[Result], *more: list[Any]
) -> list[Any]:
    """Have a worker do a group, or each of its files alone if that is too much."""
    try:
        found, items = processes(_done, work, results, *more)
    except Exception as error:
        if not (isinstance(error, WorkerDied) or is_out_of_memory(error)):
            raise
        if len(results) > 1:
            alone = (
                [column[i : i + 1] for column in (results, *more)] for i in range(len(results))
            )
            return [item for one in alone for item in in_worker(processes, work.again(), *one)]
        with reported(results[0], "network"):
            raise
        return [None]
    for result, own in zip(results, found, strict=True):
        vars(result).update(own)
    return items


def _done(
    work: Callable[..., list[T]], results: list[Result], *more: list[Any]
) -> tuple[list[Facts], list[T]]:
    """Do a group here, in a worker."""
    items = work(results, *more)
    return [facts(result) for result in results], items
