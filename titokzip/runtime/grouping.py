"""Things that are worked on together."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def in_groups(many: Iterable[T], size: Callable[[T], int], most: int) -> Iterator[list[T]]:
    """Take what follows each other in groups of a total size, or of one that is larger.

    Where `many` fails, the group before comes first.
    """
    group, total = list[T](), 0
    try:
        for one in many:
            more = size(one)
            if group and total + more > most:
                yield group
                group, total = [], 0
            group.append(one)
            total += more
            if total >= most:
                yield group
                group, total = [], 0
    except Exception:
        if group:
            yield group
        raise
    if group:
        yield group
