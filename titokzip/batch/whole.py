"""Files that a worker codes whole, in groups: small ones are quicker side by side.

A group that a worker dies of is done again file by file, so that it costs one file and no other.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, TypeVar

from PIL import Image

from titokzip.batch.ends import Coded, Facts, Form, Source, deliver_image, encoded, facts
from titokzip.batch.jobs import Result
from titokzip.batch.pipeline import reported
from titokzip.batch.processes import Processes
from titokzip.errors import OutputExists, TitokzipError, WorkerDied, is_out_of_memory
from titokzip.images import InputImage
from titokzip.rate_control import Rate
from titokzip.runtime.grouping import in_groups

if TYPE_CHECKING:  # torch is imported when the first model is loaded
    from titokzip.codec import Codec
    from titokzip.layouts.cutting import Cut, Cutter

T = TypeVar("T")
_MOST_PIXELS: Final = 2**20  # of images that one worker decompresses together
_MOST_TILES: Final = 2**24  # bytes of tiles after which no more files of a group are cut


@dataclass(frozen=True)
class Compressing:
    """Compresses groups of files; what they become is written by another process."""

    source: Source
    codec: "Codec"
    rate: Rate
    verify: bool

    def __call__(self, results: Sequence[Result]) -> list[bytes | None]:
        """Give the bytes of files; None where a result has got an error."""
        good: list[Result] = []

        def read() -> Iterator[InputImage]:
            for result in results:
                image = None
                with reported(result, "read"):
                    image = self.source.read(result)
                if image is not None:
                    good.append(result)
                    yield image

        begun, made = time.perf_counter(), dict[int, bytes]()
        for number, data in enumerate(self.codec.compress_many(read(), self.rate, self.verify)):
            if isinstance(data, TitokzipError):
                good[number].error = data
            else:
                made[id(good[number])] = data
        spent = time.perf_counter() - begun - sum(one.seconds["read"] for one in results)
        for result in good:
            result.seconds["network"] = spent / len(good)
        return [made.get(id(result)) for result in results]

    def again(self) -> "Compressing":
        """Make one for files whose worker died: the same."""
        return self


@dataclass(frozen=True)
class Cutting:
    """Reads groups of files, and cuts them into tiles: the first, if all are too much."""

    source: Source
    cutter: "Cutter"
    rate: Rate

    def __call__(self, results: Sequence[Result]) -> list["Cut | None"]:
        """Give None where a result has got an error."""
        found: list[Cut | None] = []
        held = 0
        for result in results:
            cut = None
            with reported(result, "read"):
                cut = self.cutter(self.source.read(result), self.rate)
                held += cut.tiles.nbytes
            found.append(cut)
            if held > _MOST_TILES:
                break
        return found

    def again(self) -> "Cutting":
        """Make one for files whose worker died: the same."""
        return self


@dataclass(frozen=True)
class Decompressing:
    """Decompresses groups of files of one kind, and writes them."""

    form: Form
    retries: bool = False  # after a worker died, which may have written some of them

    def __call__(self, results: Sequence[Result], files: Sequence[Coded]) -> list["Done | None"]:
        """Give None where a result has got an error."""
        codec, native = files[0].codec, self.form.native or files[0].is_large
        contents = [one.contents for one in files]
        decoded = codec.decompress_many(contents, native, self.form.size)
        spent = 0.0
        for result in results:
            begun = time.perf_counter()
            image = next(decoded)
            spent += time.perf_counter() - begun
            with reported(result, "write"):
                if isinstance(image, TitokzipError):
                    raise image
                self._deliver(result, image)
        for result in results:
            result.seconds["network"] = spent / len(results)
        return [None if result.error else DONE for result in results]

    def _deliver(self, result: Result, image: Image.Image) -> None:
        try:
            deliver_image(result, image, self.form)
        except OutputExists:
            target = result.job.target
            if not self.retries or target is None:
                raise
            data = b"".join(encoded(result, image, self.form))
            if target.read_bytes() != data:
                raise
            result.out_bytes = len(data)

    def again(self) -> "Decompressing":
        """Make one that takes an output for its own if it is there and the same."""
        return replace(self, retries=True)


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
        for group in in_groups(alike, lambda pair: pair[1].pixels, _MOST_PIXELS):
            numbers, some = zip(*group, strict=True)
            own = [results[i] for i in numbers]
            items = in_worker(processes, Decompressing(form), own, [*some])
            for i, item in zip(numbers, items, strict=True):
                found[i] = item
    return found


def in_worker(
    processes: Processes,
    work: Compressing | Cutting | Decompressing,
    results: list[Result],
    *more: list[Any],
) -> list[Any]:
    """Have a worker do a group, or each of its files alone if that is too much."""
    try:
        found, items = processes(_done, work, results, *more)
    except Exception as error:
        if not (isinstance(error, WorkerDied | OSError) or is_out_of_memory(error)):
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
