"""Worker processes: one call at a time each, so that one that dies takes its own call along only.

They are imported where there are some: one image needs none.
"""

from collections.abc import Callable
from queue import LifoQueue
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from titokzip.errors import WorkerDied

if TYPE_CHECKING:
    from titokzip.batch.worker import Worker

T = TypeVar("T")


class Processes:
    """Up to `count` worker processes, started when they are needed; none runs calls right here."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._ended = False
        self._all: list[Worker] = []
        self._idle: LifoQueue[Worker | None] = LifoQueue()  # the one that worked last comes first
        for _ in range(count):
            self._idle.put(None)
        if count:
            from titokzip.batch.worker import Starter

            self._start = Starter()

    def __call__(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call a function in a worker, and wait for what it returns or raises.

        It may be called from as many threads as there are workers.

        Raises:
            WorkerDied: the worker ended before it was done.
        """
        if not self.count:
            return function(*arguments)
        worker = self._idle.get()
        try:
            worker = worker or self._started()
            return worker(function, *arguments)
        except WorkerDied:
            if worker:
                worker.end()
            worker = None
            raise
        finally:
            self._idle.put(worker)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: Any, trace: TracebackType | None
    ) -> None:
        """End all workers; after an error at once, in the middle of what they do."""
        self._ended = True
        for worker in self._all:
            worker.end(at_once=kind is not None)

    def _started(self) -> "Worker":
        if self._ended:
            raise WorkerDied("it was not begun")
        worker = self._start()
        self._all.append(worker)
        if self._ended:  # meanwhile
            worker.end(at_once=True)
        return worker
