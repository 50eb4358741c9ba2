"""NumPy's BLAS in one thread while images are coded.

Products are small, and the threads of a BLAS would wait for each other: on two cores, one of them
busy, a photo took five times as long. torch has threads of its own.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from threadpoolctl import threadpool_limits

_lock = Lock()
_limits: list[threadpool_limits] = []  # one for each that is inside, the first in force


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit the BLAS of this process; the last of all threads to leave lifts the limit.

    The limit is the process's: each thread by itself would lift what another needs, or restore what
    another had set.
    """
    with _lock:
        _limits.append(_limits[0] if _limits else threadpool_limits(1, "blas"))
    try:
        yield
    finally:
        with _lock:
            last = _limits.pop()
            if not _limits:
                last.restore_original_limits()
