"""Pillow's warnings of odd files, silenced in threads."""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


class _Silence:
    """What is in force while any thread reads.

    `warnings.catch_warnings` alone would not do: of two threads that overlap, the second to end
    puts back the filters of the first.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.readers = 0
        self.caught = warnings.catch_warnings()

    def begin(self) -> None:
        with self.lock:
            self.readers += 1
            if self.readers == 1:
                self.caught = warnings.catch_warnings()
                self.caught.__enter__()
                warnings.simplefilter("ignore")

    def end(self) -> None:
        with self.lock:
            self.readers -= 1
            if not self.readers:
                self.caught.__exit__(None, None, None)


_silence = _Silence()


@contextmanager
def quiet() -> Iterator[None]:
    """Silence warnings meanwhile: odd files are accepted, or refused in one line of ours."""
    _silence.begin()
    try:
        yield
    finally:
        _silence.end()
