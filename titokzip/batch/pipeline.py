"""Files through three stages: read ahead in threads, work here, write behind in a thread."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from titokzip.batch.delivery import refuse_overwriting
from titokzip.batch.jobs import Job, Options, Result
from titokzip.errors import TitokzipError, is_out_of_memory
from titokzip.runtime.prefetch import ahead

A = TypeVar("A")
B = TypeVar("B")
_WRITING = 2  # outputs that wait to be written


@dataclass
class Stages(Generic[A, B]):
    """What is done with every file: `work` sees what was read of many, in order."""

    read: Callable[[Result], A]
    work: Callable[[Iterator[A]], Iterator[B | TitokzipError]]
    write: Callable[[Result, B], None]


def run(jobs: Iterable[Job], stages: Stages[A, B], options: Options) -> Iterator[Result]:
    """Do jobs, and give their results in order."""
    todo = list(jobs)

    def attempt(job: Job) -> tuple[Result, A | None]:
        result = Result(job)
        with _reported(result, "read"):
            if job.error:
                raise job.error
            refuse_overwriting(job, options)
            return result, stages.read(result)
        return result, None

    def finish(result: Result, output: B) -> Result:
        with _reported(result, "write"):
            stages.write(result, output)
        return result

    with ThreadPoolExecutor(options.threads) as readers, ThreadPoolExecutor(1) as writer:
        writing: deque[Future[Result]] = deque()
        # A job alone is read here: Ctrl-C would not end a thread that waits for standard input.
        alone = len(todo) == 1
        reads = map(attempt, todo) if alone else ahead(readers, attempt, todo, options.threads)
        for result, output in _Worked(stages.work, reads).results():
            if output is None:
                yield from _drained(writing)
                yield result
            else:
                writing.append(writer.submit(finish, result, output))
                if len(writing) > _WRITING:
                    yield writing.popleft().result()
        yield from _drained(writing)


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
        with _reported(result, "network"):
            return _settled(result, next(self.work(iter([item]))), begun)
        return result, None


def _settled(result: Result, output: B | TitokzipError, begun: float) -> tuple[Result, B | None]:
    result.seconds["network"] = time.perf_counter() - begun
    if isinstance(output, TitokzipError):
        result.error = output
        return result, None
    return result, output


def _drained(writing: deque[Future[Result]]) -> Iterator[Result]:
    while writing:
        yield writing.popleft().result()


@contextmanager
def _reported(result: Result, stage: str) -> Iterator[None]:
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
    result.seconds[stage] = time.perf_counter() - begun
