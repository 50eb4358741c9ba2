"""Files through three stages: read ahead in threads, work here, write behind in threads.

Files are read in groups, of one where `Stages` does not say otherwise.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Final, Generic, TypeVar

from titokzip.batch.delivery import refuse_overwriting
from titokzip.batch.jobs import Job, Options, Result
from titokzip.batch.processes import Processes
from titokzip.errors import TitokzipError, is_out_of_memory
from titokzip.runtime.prefetch import ahead

A = TypeVar("A")
B = TypeVar("B")
_READ_AHEAD: Final = 2**28  # bytes that were read and wait, beyond what is being read
_WRITE_BEHIND: Final = 2**26  # bytes that wait to be written
_FILES_BEHIND: Final = 256  # that wait to be written
_AHEAD: Final = 2  # groups that are begun for every process, so that a slow one holds up none


@dataclass
class Stages(Generic[A, B]):
    """What is done with every file: `work` sees what was read of many, in order.

    Reading and writing are called from several threads. `read` takes a group, and gives None for
    files whose results have got errors. The last of a group, which would be too much with those
    before, may be left out: they are read when it is their turn.
    """

    read: Callable[[list[Result]], Sequence[A | None]]
    work: Callable[[Iterator[A]], Iterator[B | TitokzipError]]
    write: Callable[[Result, B], None]
    size: Callable[[A], int] = lambda _: 0  # bytes of what was read
    made: Callable[[B], int] = lambda _: 0  # bytes of what is to be written
    batch: int = 1  # groups that the work takes at once: twice as many are read ahead
    groups: Callable[[Iterable[Job]], Iterable[list[Job]]] = lambda jobs: ([job] for job in jobs)


def each(read: Callable[[Result], A]) -> Callable[[list[Result]], list[A | None]]:
    """Make what reads files one by one of what reads a file."""

    def alone(result: Result) -> A | None:
        with reported(result, "read"):
            return read(result)
        return None

    return lambda results: [alone(result) for result in results]


def run(
    jobs: Iterable[Job], stages: Stages[A, B], options: Options, processes: Processes
) -> Iterator[Result]:
    """Do jobs, and give their results in order."""
    threads = max(options.threads, processes.count)
    window = max(_AHEAD * processes.count or options.threads, _AHEAD * stages.batch)

    def begin(group: list[Job]) -> _Read[A]:
        return attempt([_begun(job, options) for job in group])

    def attempt(results: list[Result]) -> _Read[A]:
        good = [result for result in results if not result.error]
        read = stages.read(good) if good else []
        assert bool(read) == bool(good), "one file at least is read"
        items = dict(zip(map(id, good), read, strict=False))
        there = list(takewhile(lambda one: one.error or id(one) in items, results))
        return _Read([(one, items.get(id(one))) for one in there], results[len(there) :])

    def in_order(reads: Iterable[_Read[A]]) -> Iterator[tuple[Result, A | None]]:
        for read in reads:
            yield from read.items
            while read.left_out:
                read = attempt(read.left_out)
                yield from read.items

    def finish(result: Result, output: B) -> Result:
        with reported(result, "write"):
            stages.write(result, output)
        return result

    def size(read: _Read[A]) -> int:
        held = sum(result.job.held + len(result.output or b"") for result, _ in read.items)
        return held + sum(stages.size(item) for _, item in read.items if item is not None)

    with _pool(threads) as readers, _pool(threads) as writers, processes:
        writing = _Writing(threads)
        # A job alone is read here: Ctrl-C would not end a thread that waits for standard input.
        reads = (
            (begin([*group]) for group in [jobs])
            if isinstance(jobs, Sequence) and len(jobs) == 1
            else ahead(readers, begin, stages.groups(jobs), window, size, _READ_AHEAD)
        )
        with closing(reads):
            for result, output in _Worked(stages.work, in_order(reads)).results():
                if output is None:
                    writing.add(_failed(result), 0)
                else:
                    held = result.job.held + stages.made(output)
                    writing.add(writers.submit(finish, result, output), held)
                yield from writing.done()
            yield from writing.rest()


@dataclass(frozen=True)
class _Read(Generic[A]):
    """A group that was read, as far as it was."""

    items: list[tuple[Result, A | None]]
    left_out: list[Result]


class _Writing:
    """Files that are being written, in order: as many as threads, or more if they are small."""

    def __init__(self, least: int) -> None:
        self._least = least
        self._files: deque[tuple[Future[Result], int]] = deque()
        self._bytes = 0

    def add(self, file: Future[Result], size: int) -> None:
        """Have one more, of so many bytes."""
        self._files.append((file, size))
        self._bytes += size

    def done(self) -> Iterator[Result]:
        """Give what is written, and wait for some if too many are not."""
        while self._files and (self._files[0][0].done() or self._are_too_many()):
            file, size = self._files.popleft()
            self._bytes -= size
            yield file.result()

    def rest(self) -> Iterator[Result]:
        """Wait for all."""
        while self._files:
            yield self._files.popleft()[0].result()

    def _are_too_many(self) -> bool:
        count = len(self._files)
        return count > self._least and (self._bytes > _WRITE_BEHIND or count > _FILES_BEHIND)


def _failed(result: Result) -> Future[Result]:
    """Have a result wait for its turn among files that are being written."""
    future = Future[Result]()
    future.set_result(result)
    return future


def _begun(job: Job, options: Options) -> Result:
    result = Result(job)
    with reported(result, "read"):
        if job.error:
            raise job.error
        refuse_overwriting(job, options)
    return result


@contextmanager
def _pool(threads: int) -> Iterator[ThreadPoolExecutor]:
    """Run threads; after an error, what has not begun is left undone."""
    pool = ThreadPoolExecutor(threads)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


@dataclass
class _Worked(Generic[A, B]):
    """The stage in the middle; it survives that memory runs out."""

    work: Callable[[Iterator[A]], Iterator[B | TitokzipError]]
    reads: Iterator[tuple[Result, A | None]]
    pending: deque[tuple[Result, A | None]] = field(default_factory=deque)  # not yet worked on

    def results(self) -> Iterator[tuple[Result, B | None]]:
        """Give each result with its output, or with its error and none."""
        while True:
            try:
                yield from self._together()
                return
            except Exception as error:
                if not is_out_of_memory(error) or not self.pending:
                    raise
            yield from self._one_by_one()

    def _together(self) -> Iterator[tuple[Result, B | None]]:
        begun = time.perf_counter()
        for output in self.work(self._good()):
            yield from self._failed()
            yield _settled(self.pending.popleft()[0], output, begun)
            begun = time.perf_counter()
        yield from self._failed()

    def _good(self) -> Iterator[A]:
        """Give what was read to the work, and keep those that failed for their turn."""
        for result, item in self.reads:
            self.pending.append((result, item))
            if item is not None:
                yield item

    def _failed(self) -> Iterator[tuple[Result, None]]:
        while self.pending and self.pending[0][1] is None:
            yield self.pending.popleft()[0], None

    def _one_by_one(self) -> Iterator[tuple[Result, B | None]]:
        """Work on each file at hand alone, so that only those fail that are too much."""
        while self.pending:
            result, item = self.pending.popleft()
            yield (result, None) if item is None else self._alone(result, item)

    def _alone(self, result: Result, item: A) -> tuple[Result, B | None]:
        begun = time.perf_counter()
        output: B | TitokzipError | None = None
        with reported(result, "network"):
            output = next(self.work(iter([item])))
        return (result, None) if output is None else _settled(result, output, begun)


def _settled(result: Result, output: B | TitokzipError, begun: float) -> tuple[Result, B | None]:
    result.seconds.setdefault("network", time.perf_counter() - begun)  # unless a worker timed it
    if isinstance(output, TitokzipError):
        result.error = output
        return result, None
    return result, output


@contextmanager
def reported(result: Result, stage: str) -> Iterator[None]:
    """Time a stage of a job, and keep what it raises for the report."""
    begun = time.perf_counter()
    try:
        yield
    except (TitokzipError, OSError) as error:
        result.error = error
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        result.error = MemoryError(
            "out of memory" if isinstance(error, MemoryError) else "out of memory on the device"
        )
    result.seconds[stage] = result.seconds.get(stage, 0.0) + time.perf_counter() - begun
