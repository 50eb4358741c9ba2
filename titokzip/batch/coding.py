"""Image files to .ttk files, and back."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, groupby
from math import ceil
from typing import TYPE_CHECKING, Any, Final, Union

from PIL import Image

from titokzip import images
from titokzip.batch import whole
from titokzip.batch.delivery import deliver, read_all
from titokzip.batch.ends import Coded, Form, Source, deliver_image
from titokzip.batch.jobs import MOST_FILES, Job, Options, Result, groups
from titokzip.batch.pipeline import Stages, each, run
from titokzip.batch.processes import Processes
from titokzip.batch.whole import Done
from titokzip.bitstream import container
from titokzip.bitstream.container import Contents
from titokzip.errors import TitokzipError
from titokzip.images import InputImage
from titokzip.rate_control import Rate

if TYPE_CHECKING:  # torch is imported when the first model is loaded
    from titokzip.codec import Codec
    from titokzip.layouts.cutting import Cut, DecodedTiles
    from titokzip.layouts.protocol import Size

_Decoded = Union[Image.Image, "DecodedTiles", Done]
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

    source = Source(background, codec.layout.keeps_alpha, max_pixels or images.MAX_PIXELS)
    verify = verify or options.remove
    tiles, processes = codec.layout.tiles, _processes(options, jobs)

    def work(good: "Iterator[InputImage | Cut]") -> Iterator[bytes | TitokzipError]:
        return codec.compress_many(good, rate, verify)

    def write(result: Result, data: bytes) -> None:
        result.header = container.unpack(data, max_pixels).header
        result.out_bytes = result.ttk_bytes = deliver(result, [data], options)

    batch = tiles.batch if tiles else 1
    stages = Stages[Any, bytes](each(source.read), work, write, _bytes_of, len, batch)
    if processes.count:
        stages.groups, stages.batch = groups(processes.count), ceil(batch / MOST_FILES)
        there: whole.Cutting | whole.Compressing = (
            whole.Cutting(source, tiles.cutter, rate)
            if tiles
            else whole.Compressing(source, codec, rate, verify)
        )
        stages.read = lambda results: whole.in_worker(processes, there, results)
        if not tiles:  # what is read is coded already
            stages.work, stages.size = iter, lambda _: 0
    yield from run(jobs, stages, options, processes)


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

    form = Form(suffix, native, size, options)
    processes = _processes(options, jobs)

    def read_one(result: Result) -> Coded:
        data = read_all(result.job, container.MAX_BYTES)
        result.in_bytes = result.ttk_bytes = len(data)
        contents = container.unpack(data, max_pixels, partial)
        result.header, result.note = contents.header, _missing(contents)
        form.check(result)
        codec = codec_for(contents.header.model)
        return Coded(codec, codec.checked(contents))

    def read(results: list[Result]) -> Sequence[Coded | Done | None]:
        coded = each(read_one)(results)
        return whole.decompressed(processes, form, results, coded) if processes.count else coded

    def work(good: Iterator[Any]) -> "Iterator[_Decoded | TitokzipError]":
        for kind, group in groupby(good, key=lambda one: one.kind):
            if kind is None:
                yield from group
            else:
                yield from decoded(group)

    def decoded(alike: Iterator[Coded]) -> "Iterator[_Decoded | TitokzipError]":
        first = next(alike)
        contents = (one.contents for one in chain([first], alike))
        codec = first.codec
        decode = codec.decompress_tiles if processes.count else codec.decompress_many
        return decode(contents, native or first.is_large, size)

    def write(result: Result, image: "_Decoded") -> None:
        if not isinstance(image, Done):
            vars(result).update(processes(deliver_image, result, image, form))

    stages = Stages[Coded | Done, _Decoded](read, work, write, made=_bytes_to_write)
    if processes.count and not options.remove:  # a source that is gone is not read again
        stages.groups = groups(processes.count)
    yield from run(jobs, stages, options, processes)


def _processes(options: Options, jobs: Iterable[Job]) -> Processes:
    """Choose how many processes pay: one takes as long to start as a few small files."""
    count = options.processes
    if isinstance(jobs, Sequence):
        count = min(count, len(jobs) // _FILES_PER_PROCESS)
    return Processes(count if count > 1 else 0)


def _bytes_of(image: "InputImage | Cut") -> int:
    """Count the bytes of an image that waits for the network."""
    if isinstance(image, InputImage):
        return 3 * image.image.width * image.image.height
    return image.tiles.nbytes


def _bytes_to_write(image: _Decoded) -> int:
    """Count the bytes of an image that waits to be written."""
    if isinstance(image, Done):
        return 0
    if isinstance(image, Image.Image):
        return len(image.getbands()) * image.width * image.height
    return image.tiles.nbytes


def _missing(contents: Contents) -> str:
    layers = contents.header.layers
    return "" if contents.whole else f"cut: {len(contents.payloads)} of {layers} layers"
