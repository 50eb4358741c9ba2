"""Worker processes: one call at a time each, so that one that dies takes its own call along only.

Each worker is an executor of a single process. It runs its libraries in one thread, leaves Ctrl-C
to the process that started it, and ends when that one does.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from multiprocessing.context import BaseContext
from multiprocessing.synchronize import Lock
from queue import LifoQueue
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from PIL import Image

from titokzip.errors import WorkerDied
from titokzip.images import reading

T = TypeVar("T")
_THREADS: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_PRELOADED: Final = ["titokzip.batch.coding", "titokzip.layouts.transform", "titokzip.images"]
_starting = threading.Lock()


class Processes:
    """Up to `count` worker processes, started when they are needed; none runs calls right here."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._context = _context()
        self._large: Lock = self._context.Lock()
        self._ended = False
        self._all: list[_Worker] = []
        self._idle: LifoQueue[_Worker | None] = LifoQueue()  # the one that worked last comes first
        for _ in range(count):
            self._idle.put(None)

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
            return worker.executor.submit(function, *arguments).result()
        except BrokenProcessPool:
            if worker:
                worker.end()
            worker = None
            raise WorkerDied("the process that worked on it died; out of memory?") from None
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

    def _started(self) -> "_Worker":
        if self._ended:
            raise BrokenProcessPool
        worker = _Worker(self._context, self._large)
        self._all.append(worker)
        if self._ended:  # meanwhile
            worker.end(at_once=True)
        return worker


class _Worker:
    """One process."""

    def __init__(self, context: BaseContext, large: Lock) -> None:
        arguments = (large, Image.MAX_IMAGE_PIXELS)
        self.executor = ProcessPoolExecutor(1, context, _prepare, arguments)
        with _starting, _single_threaded():
            pid = self.executor.submit(os.getpid)
        self.pid = pid.result()

    def end(self, at_once: bool = False) -> None:
        if at_once:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)
        self.executor.shutdown(wait=at_once)  # or its thread may be at work when Python ends


def _context() -> BaseContext:
    """Choose how processes start: from a small server where the system can, else afresh.

    A fork of this process would inherit the locks of threads that it does not have.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    return context


@contextmanager
def _single_threaded() -> Iterator[None]:
    """Have processes that start meanwhile run their libraries in one thread."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _prepare(large: Lock, max_image_pixels: int | None) -> None:
    """Make a new process a worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    reading.share_memory(large)
    Image.MAX_IMAGE_PIXELS = max_image_pixels


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None, "a worker was started by a process"
    parent.join()
    os._exit(1)
