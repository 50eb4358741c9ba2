"""Many files: find them, read ahead, batch across them, write each whole or not at all.

Reading and writing run in threads beside the network. A file that fails is reported, and the
others are done.
"""

import io
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from PIL import Image

from titokzip import images, zoo
from titokzip.bitstream import container
from titokzip.bitstream.container import Contents
from titokzip.bitstream.header import Header
from titokzip.errors import ImageError, TitokzipError
from titokzip.files import write_atomically
from titokzip.images import InputImage
from titokzip.rate_control import Rate
from titokzip.runtime.prefetch import ahead

if TYPE_CHECKING:  # torch is imported when the first model is loaded
    from titokzip.codec import Codec, Row, Size

_STREAM = 1 << 31  # bytes of standard input that are read at the most
A = TypeVar("A")
B = TypeVar("B")
Coded = tuple["Codec", tuple[Header, "list[Row]"]]


class Refused(TitokzipError):
    """The output exists, and overwriting was not asked for."""


@dataclass(frozen=True)
class Job:
    """One file to make of another; None stands for standard input and output."""

    source: Path | None
    target: Path | None

    @property
    def name(self) -> str:
        """What to call it in front of a person."""
        return "-" if self.source is None else str(self.source)


@dataclass(frozen=True)
class Options:
    """How files are read and written."""

    force: bool = False
    remove: bool = False  # the source, once its output is safe
    threads: int = 2  # that read ahead


@dataclass
class Result:
    """What became of one job."""

    job: Job
    error: Exception | None = None
    in_bytes: int = 0
    out_bytes: int = 0
    ttk_bytes: int = 0  # whichever of the two is the .ttk file
    header: Header | None = None
    note: str = ""
    seconds: dict[str, float] = field(default_factory=dict)  # by stage


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


def find(inputs: Iterable[str], suffixes: set[str], recursive: bool) -> Iterator[tuple[Path, Path]]:
    """Go through files, and with `recursive` through folders; each with where it is inside.

    Raises:
        IsADirectoryError: a folder is named, and `recursive` is not set.
    """
    for name in inputs:
        path = Path(name)
        if path.is_dir():
            if not recursive:
                raise IsADirectoryError(f"{path} is a folder; -r goes through it")
            for file in sorted(path.rglob("*")):
                if file.is_file() and file.suffix.lower() in suffixes:
                    yield file, file.relative_to(path)
        else:
            yield path, Path(path.name)


def compress_files(
    jobs: Iterable[Job],
    codec: "Codec",
    rate: Rate,
    options: Options,
    *,
    background: str | None = None,
    verify: bool = False,
) -> Iterator[Result]:
    """Compress files in order; `verify` proves each stream before it is written."""

    def read(result: Result) -> InputImage:
        data = _bytes_of(result.job)
        result.in_bytes = len(data)
        picture = images.read(io.BytesIO(data), background)
        if picture.frames > 1:
            result.note = f"first of {picture.frames} frames"
        return picture

    def work(good: Iterator[InputImage]) -> Iterator[bytes | TitokzipError]:
        return codec.compress_all(good, rate, verify)

    def write(result: Result, data: bytes) -> None:
        result.out_bytes = result.ttk_bytes = len(data)
        result.header = container.unpack(data, sys.maxsize).header
        _deliver(result.job, data, options)

    yield from _pipeline(jobs, read, work, write, options)


def decompress_files(
    jobs: Iterable[Job],
    codec_for: "Callable[[bytes], Codec]",
    options: Options,
    *,
    suffix: str | None = None,
    native: bool = False,
    size: "Size" = None,
    partial: bool = False,
    max_pixels: int | None = None,
) -> Iterator[Result]:
    """Decompress files in order; `codec_for` finds the model that a file was made with."""

    def read(result: Result) -> Coded:
        data = _bytes_of(result.job)
        result.in_bytes = result.ttk_bytes = len(data)
        contents = container.unpack(data, max_pixels, partial)
        result.header, result.note = contents.header, _missing(contents)
        codec = codec_for(contents.header.model)
        return codec, (contents.header, codec.read(contents))

    def work(good: Iterator[Coded]) -> Iterator[Image.Image]:
        for codec, run in groupby(good, key=lambda coded: coded[0]):
            yield from codec.paint_all((coded for _, coded in run), native, size)

    def write(result: Result, image: Image.Image) -> None:
        target = result.job.target
        data = _encoded(image, suffix or (target.suffix if target else "") or ".png")
        result.out_bytes = len(data)
        _deliver(result.job, data, options)

    yield from _pipeline(jobs, read, work, write, options)


def _encoded(image: Image.Image, suffix: str) -> bytes:
    file = io.BytesIO()
    try:
        image.save(file, Image.registered_extensions()[suffix.lower()])
    except Exception as error:  # Pillow's encoders raise whatever they like
        raise ImageError(f"cannot be written as {suffix} ({error})") from error
    return file.getvalue()


def _missing(contents: Contents) -> str:
    layers = contents.header.layers
    return "" if contents.whole else f"cut: {len(contents.payloads)} of {layers} layers"


def _pipeline(
    jobs: Iterable[Job],
    read: Callable[[Result], A],
    work: Callable[[Iterator[A]], Iterator[B | TitokzipError]],
    write: Callable[[Result, B], None],
    options: Options,
) -> Iterator[Result]:
    """Read ahead in threads, work here, write behind in a thread; results in order."""
    todo = list(jobs)
    pending: deque[Result] = deque()  # read, or failed to be, and not yet worked on

    def attempt(job: Job) -> tuple[Result, A | None]:
        result = Result(job)
        with _reported(result, "read"):
            _refuse_overwriting(job, options)
            return result, read(result)
        return result, None

    def good(reads: Iterator[tuple[Result, A | None]]) -> Iterator[A]:
        for result, item in reads:
            pending.append(result)
            if item is not None:
                yield item

    def finish(result: Result, output: B) -> Result:
        with _reported(result, "write"):
            write(result, output)
        return result

    with ThreadPoolExecutor(options.threads) as readers, ThreadPoolExecutor(1) as writer:
        writing: deque[Future[Result]] = deque()
        # A job alone is read here: Ctrl-C would not end a thread that waits for standard input.
        alone = len(todo) == 1
        reads = map(attempt, todo) if alone else ahead(readers, attempt, todo, options.threads)
        begun = time.perf_counter()
        for output in work(good(reads)):
            while pending[0].error:
                yield from _drained(writing)
                yield pending.popleft()
            result = pending.popleft()
            result.seconds["network"] = time.perf_counter() - begun
            if isinstance(output, TitokzipError):
                result.error = output
                yield from _drained(writing)
                yield result
            else:
                writing.append(writer.submit(finish, result, output))
                if len(writing) > 2:
                    yield writing.popleft().result()
            begun = time.perf_counter()
        yield from _drained(writing)
    yield from pending


def _drained(writing: "deque[Future[Result]]") -> Iterator[Result]:
    while writing:
        yield writing.popleft().result()


@contextmanager
def _reported(result: Result, stage: str) -> Iterator[None]:
    """Time a stage of a job, and keep what it raises for the report."""
    begun = time.perf_counter()
    try:
        yield
    except (TitokzipError, OSError, MemoryError) as error:
        result.error = error
    result.seconds[stage] = time.perf_counter() - begun


def _bytes_of(job: Job) -> bytes:
    if job.source is None:
        return sys.stdin.buffer.read(_STREAM)
    return job.source.read_bytes()


def _refuse_overwriting(job: Job, options: Options) -> None:
    if job.target is None:
        return
    if job.source and job.target.exists() and job.target.samefile(job.source):
        raise Refused(f"{job.target} is the input itself; -o names another output")
    if job.target.exists() and not options.force and not _is_device(job.target):
        raise Refused(f"{job.target} exists; -f overwrites it")


def _deliver(job: Job, data: bytes, options: Options) -> None:
    """Write a whole output or none, with the time of its source, then let the source go."""
    if job.target is None:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    if _is_device(job.target):
        job.target.write_bytes(data)
    else:
        write_atomically(job.target, data)
    if job.source and not _is_device(job.target):
        times = job.source.stat()
        os.utime(job.target, ns=(times.st_atime_ns, times.st_mtime_ns))
        if options.remove:
            job.source.unlink()


def _is_device(path: Path) -> bool:
    """Tell whether a path is a pipe, /dev/null or the like: written into, never replaced."""
    return path.exists() and not (path.is_file() or path.is_dir())
