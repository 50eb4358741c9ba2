"""Work that is done ahead, in threads, while something else is computed."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Condition
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
) -> Generator[B, None, None]:
    """Map over `many` in order, with at most `window` results under way or waiting.

    No thread begins another while results that wait have more than `most` bytes by `size`, so that
    there are at most so many, and one more for each thread.
    """
    waiting: deque[Future[tuple[B, int]]] = deque()
    gate = _Gate(most)

    def attempt(number: int, one: A) -> tuple[B, int]:
        gate.enter(number)
        result = function(one)
        return result, gate.hold(size(result))

    def first() -> B:
        result, held = waiting.popleft().result()
        gate.release(held)
        return result

    try:
        for number, one in enumerate(many):
            waiting.append(pool.submit(attempt, number, one))
            while waiting and (len(waiting) >= window or gate.held > most):
                yield first()
        while waiting:
            yield first()
    finally:
        gate.open()


class _Gate:
    """Lets work begin while few bytes wait; that which is waited for always may."""

    def __init__(self, most: int) -> None:
        self._most, self._changed = most, Condition()
        self._taken, self._open = 0, False
        self.held = 0  # bytes of results that wait

    def enter(self, number: int) -> None:
        """Wait until the work of a number, in order, may begin."""
        with self._changed:
            self._changed.wait_for(
                lambda: self.held <= self._most or number <= self._taken or self._open
            )

    def hold(self, size: int) -> int:
        """Count a result, and give its size back."""
        with self._changed:
            self.held += size
        return size

    def release(self, size: int) -> None:
        """Have the next result taken: it waits no more."""
        with self._changed:
            self.held -= size
            self._taken += 1
            self._changed.notify_all()

    def open(self) -> None:
        """Keep nobody any longer."""
        with self._changed:
            self._open = True
            self._changed.notify_all()
