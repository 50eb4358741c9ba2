"""Work that is done ahead, in threads, while something else is computed."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Generic, TypeVar

A = TypeVar("A")
B = TypeVar("B")


def ahead(
    pool: ThreadPoolExecutor,
    function: Callable[[A], B],
    many: Iterable[A],
    window: int,
    size: Callable[[B], int] = lambda _: 0,
    most: int = 0,
) -> Iterator[B]:
    """Map over `many` in order, with at most `window` results under way or waiting.

    No new one is begun while those that wait have more than `most` bytes by `size`.
    """
    waiting: deque[Future[B]] = deque()
    held = _Held(size)
    for one in many:
        waiting.append(pool.submit(function, one))
        waiting[-1].add_done_callback(held.add)
        while waiting and (len(waiting) >= window or held.bytes > most):
            yield held.taken(waiting.popleft())
    while waiting:
        yield held.taken(waiting.popleft())


class _Held(Generic[B]):
    """The bytes of results that are there, counted when they come and when they go."""

    def __init__(self, size: Callable[[B], int]) -> None:
        self.bytes = 0
        self._size, self._lock = size, Lock()

    def add(self, future: Future[B], sign: int = 1) -> None:
        """Count a result, if it is one."""
        if not future.cancelled() and not future.exception():
            size = self._size(future.result())
            with self._lock:
                self.bytes += sign * size

    def taken(self, future: Future[B]) -> B:
        """Wait for a result; it counts no more."""
        result = future.result()
        self.add(future, -1)
        return result
