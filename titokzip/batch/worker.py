"""One worker process: an executor of a single one.

It runs its libraries in one thread, leaves Ctrl-C to the process that started it, and ends when
that one does.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing.context import BaseContext
from multiprocessing.synchronize import Lock
from typing import Final

from PIL import Image

from titokzip.images import reading

_THREADS: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_PRELOADED: Final = [
    "titokzip.batch.worker", "titokzip.batch.coding", "titokzip.layouts.transform",
    "titokzip.images",
]  # fmt: skip
_starting = threading.Lock()


class Starter:
    """Starts workers that share the memory for large images."""

    def __init__(self) -> None:
        self._context = _context()
        self._large: Lock = self._context.Lock()

    def __call__(self) -> "Worker":
        """Start one more."""
        return Worker(self._context, self._large)


class Worker:
    """One process."""

    def __init__(self, context: BaseContext, large: Lock) -> None:
        arguments = (large, Image.MAX_IMAGE_PIXELS)
        self.executor = ProcessPoolExecutor(1, context, _prepare, arguments)
        with _starting, _single_threaded():
            pid = self.executor.submit(os.getpid)
        self.pid = pid.result()

    def end(self, at_once: bool = False) -> None:
        """End it, when it has done its work or in the middle of that."""
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
