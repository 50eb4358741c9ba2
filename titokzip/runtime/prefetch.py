"""Work that is done ahead, in threads, while something else is computed."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")


def ahead(
    pool: ThreadPoolExecutor, function: Callable[[A], B], many: Iterable[A], window: int
) -> Iterator[B]:
    """Map over `many` in order, with at most `window` results under way or waiting."""
    waiting: deque[Future[B]] = deque()
    for one in many:
        waiting.append(pool.submit(function, one))
        if len(waiting) >= window:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
