"""Image files to .ttk files, and back."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from typing import TYPE_CHECKING, Any, Final, Union

from PIL import Image

from titokzip import images
from titokzip.batch.delivery import deliver, opened, read_all
from titokzip.batch.jobs import Job, Options, Result
from titokzip.batch.pipeline import Stages, run, timed
from titokzip.batch.processes import Processes
from titokzip.bitstream import container
from titokzip.bitstream.container import Contents
from titokzip.errors import ImageError, TitokzipError
from titokzip.images import InputImage
from titokzip.rate_control import Rate

if TYPE_CHECKING:  # torch is imported when the first model is loaded
    from titokzip.codec import Codec
    from titokzip.layouts.cutting import Cut, Cutter, DecodedTiles
    from titokzip.layouts.protocol import Size

_Facts = dict[str, Any]
_Decoded = Union["Image.Image", "DecodedTiles", "_Done"]
_IMAGE_BYTES: Final = 2**31  # of an image that comes through a pipe, at the most
_FILES_PER_PROCESS: Final = 2  # at the least


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

    source = _Source(background, codec.layout.keeps_alpha, max_pixels or images.MAX_PIXELS)
    verify = verify or options.remove
    tiles, processes = codec.layout.tiles, _processes(options, jobs)

    def read(result: Result) -> "InputImage | Cut | _Done":
        if not processes.count:
            return source.read(result)
        if tiles is not None:
            facts, cut = processes(_read_and_cut, result, source, tiles.cutter, rate)
            vars(result).update(facts)
            return cut
        facts = processes(_compress, result, source, codec, rate, verify, options)
        vars(result).update(facts)
        return _Done()

    def work(good: "Iterator[Any]") -> "Iterator[bytes | _Done | TitokzipError]":
        whole = tiles is None and processes.count
        return good if whole else codec.compress_many(good, rate, verify)

    def write(result: Result, data: bytes | _Done) -> None:
        if isinstance(data, bytes):
            _deliver_ttk(result, data, options, max_pixels)

    yield from run(jobs, Stages(read, work, write, _bytes_of), options, processes)


class _Done:
    """In the place of what was read, or decoded: another process has written it."""

    kind = None


@dataclass(frozen=True)
class _Source:
    """How images are read."""

    background: str | None
    keep_alpha: bool
    max_pixels: int

    def read(self, result: Result) -> InputImage:
        with opened(result.job, _IMAGE_BYTES) as (file, result.in_bytes):
            image = images.read(
                file, self.background, keep_alpha=self.keep_alpha, max_pixels=self.max_pixels
            )
        notes = [f"first of {image.frames} frames"] if image.frames > 1 else []
        result.note = "; ".join([*notes, *filter(None, [image.note])])
        return image


def _read_and_cut(
    result: Result, source: _Source, cutter: "Cutter", rate: Rate
) -> "tuple[_Facts, Cut]":
    cut = cutter(source.read(result), rate)
    return _facts(result), cut


def _compress(
    result: Result, source: _Source, codec: "Codec", rate: Rate, verify: bool, options: Options
) -> _Facts:
    """Compress one file, all of it here."""
    with timed(result, "read"):
        image = source.read(result)
    with timed(result, "network"):
        data = next(codec.compress_many([image], rate, verify))
    if isinstance(data, TitokzipError):
        raise data
    with timed(result, "write"):
        _deliver_ttk(result, data, options, source.max_pixels)
    return _facts(result)


def _deliver_ttk(result: Result, data: bytes, options: Options, max_pixels: int | None) -> None:
    result.header = container.unpack(data, max_pixels).header
    result.out_bytes = result.ttk_bytes = deliver(result, [data], options)


@dataclass(frozen=True)
class _Coded:
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

    form = _Form(suffix, native, size, options)
    processes = _processes(options, jobs)

    def read(result: Result) -> _Coded | _Done:
        data = read_all(result.job, container.MAX_BYTES)
        result.in_bytes = result.ttk_bytes = len(data)
        contents = container.unpack(data, max_pixels, partial)
        result.header, result.note = contents.header, _missing(contents)
        form.check(result)
        codec = codec_for(contents.header.model)
        coded = _Coded(codec, codec.checked(contents))
        if not processes.count or codec.layout.tiles:
            return coded
        vars(result).update(processes(_decompress, result, coded, form))
        return _Done()

    def work(good: Iterator[Any]) -> "Iterator[_Decoded | TitokzipError]":
        for kind, group in groupby(good, key=lambda one: one.kind):
            if kind is None:
                yield from group
            else:
                yield from decoded(group)

    def decoded(alike: Iterator[_Coded]) -> "Iterator[_Decoded | TitokzipError]":
        first = next(alike)
        contents = (one.contents for one in chain([first], alike))
        codec = first.codec
        decode = codec.decompress_tiles if processes.count else codec.decompress_many
        return decode(contents, native or first.is_large, size)

    def write(result: Result, image: "_Decoded") -> None:
        if not isinstance(image, _Done):
            vars(result).update(processes(_deliver_image, result, image, form))

    yield from run(jobs, Stages(read, work, write), options, processes)


@dataclass(frozen=True)
class _Form:
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


def _decompress(result: Result, coded: _Coded, form: _Form) -> _Facts:
    """Decompress one file, all of it here."""
    with timed(result, "network"):
        native = form.native or coded.is_large
        image = next(coded.codec.decompress_many([coded.contents], native, form.size))
    if isinstance(image, TitokzipError):
        raise image
    with timed(result, "write"):
        _deliver_image(result, image, form)
    return _facts(result)


def _deliver_image(result: Result, decoded: "Image.Image | DecodedTiles", form: _Form) -> _Facts:
    image = decoded if isinstance(decoded, Image.Image) else decoded.image()
    header = result.header
    assert header is not None, "what was decoded was read"
    wanted = None if form.native else form.size or (header.width, header.height)
    parts = images.encode(image, form.kind(result.job), wanted)
    result.out_bytes = deliver(result, parts, form.options)
    return _facts(result)


def _processes(options: Options, jobs: Iterable[Job]) -> Processes:
    """Choose how many processes pay: one takes as long to start as a few small files."""
    count = options.processes
    if isinstance(jobs, Sequence):
        count = min(count, len(jobs) // _FILES_PER_PROCESS)
    return Processes(count if count > 1 else 0)


def _facts(result: Result) -> _Facts:
    """Take what was found out to another process; the job is there already."""
    return {name: value for name, value in vars(result).items() if name != "job"}


def _bytes_of(image: "InputImage | Cut | _Done") -> int:
    """Count the bytes of an image that waits for the network."""
    if isinstance(image, _Done):
        return 0
    if isinstance(image, InputImage):
        return 3 * image.image.width * image.image.height
    return image.tiles.nbytes


def _missing(contents: Contents) -> str:
    layers = contents.header.layers
    return "" if contents.whole else f"cut: {len(contents.payloads)} of {layers} layers"
