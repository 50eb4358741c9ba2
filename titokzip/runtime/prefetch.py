"""Work that is done ahead, in threads, while something else is computed."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

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
    for one in many:
        waiting.append(pool.submit(function, one))
        while waiting and (len(waiting) >= window or _held(waiting, size) > most):
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _held(waiting: Iterable[Future[B]], size: Callable[[B], int]) -> int:
    """Count the bytes of results that are there."""
    done = (future for future in waiting if future.done() and not future.exception())
    return sum(size(future.result()) for future in done)
