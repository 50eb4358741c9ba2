"""Work in several processes, with results in order."""

import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")


def mapped(function: Callable[[A], B], many: Iterable[A], processes: int) -> Iterator[B]:
    """Map over `many` in order; with one process, in this one.

    `function` must be picklable if there are more.
    """
    if processes == 1:
        yield from map(function, many)
        return
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=spawn) as pool:
        yield from pool.map(function, many)
