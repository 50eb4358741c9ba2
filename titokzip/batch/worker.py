"""One worker process, and the pipe to it.

It runs its libraries in one thread, leaves Ctrl-C to the process that started it, and ends when
that one does.
"""

import multiprocessing
import os
import pickle
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.synchronize import Lock
from typing import Any, Final, TypeVar

from PIL import Image

from titokzip.errors import WorkerDied
from titokzip.images import reading

T = TypeVar("T")
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
    """One process; it does one call at a time."""

    def __init__(self, context: ForkServerContext | SpawnContext, large: Lock) -> None:
        self._pipe, theirs = context.Pipe()
        arguments = (theirs, large, Image.MAX_IMAGE_PIXELS)
        self._process = context.Process(target=_serve, args=arguments)
        with _starting, _single_threaded(), theirs:
            self._process.start()

    def __call__(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call a function there, and wait for what it returns or raises.

        Raises:
            WorkerDied: the process ended before it was done.
        """
        call = pickle.dumps((function, arguments), pickle.HIGHEST_PROTOCOL)
        try:
            self._pipe.send_bytes(call)
            answer = self._pipe.recv_bytes()
        except (EOFError, OSError):
            raise WorkerDied("the process that worked on it died; out of memory?") from None
        except BaseException:  # Ctrl-C: nobody is to get the answer in the place of another
            self.end(at_once=True)
            raise
        value: T
        value, error = pickle.loads(answer)
        if error is not None:
            raise error
        return value

    def end(self, at_once: bool = False) -> None:
        """End it, when it has done its work or in the middle of that."""
        if at_once:  # whoever waits for it finds that the pipe has ended
            self._process.terminate()
            self._process.join()
        else:
            self._pipe.close()


def _context() -> ForkServerContext | SpawnContext:
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


def _serve(pipe: "Connection[bytes, bytes]", large: Lock, max_image_pixels: int | None) -> None:
    """Answer calls, in a new process, until the pipe ends."""
    _prepare(large, max_image_pixels)
    with suppress(EOFError, OSError):
        while True:
            pipe.send_bytes(_answer(pipe.recv_bytes()))
    os._exit(0)  # nothing is left to be tidied up


def _answer(call: bytes) -> bytes:
    """Give what a call returns and None, or None and what it raises."""
    try:
        function, arguments = pickle.loads(call)
        return pickle.dumps((function(*arguments), None), pickle.HIGHEST_PROTOCOL)
    except BaseException as error:
        error.add_note(f"in a worker process:\n{traceback.format_exc()}")
        try:
            return pickle.dumps((None, error))
        except Exception:
            return pickle.dumps((None, RuntimeError(repr(error))))


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
