"""What Ctrl-C does: end the program with exit code 130, and no traceback."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_INTERRUPTED = 130  # as in exit_codes, which takes longer to import


def leave_at_once() -> None:
    """Have Ctrl-C end the process on the spot: nothing has begun that must be put in order."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)


@contextmanager
def orderly() -> Iterator[None]:
    """Have Ctrl-C raise KeyboardInterrupt meanwhile, so that work is put in order."""
    if signal.getsignal(signal.SIGINT) is not _leave:
        yield
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, _leave)


def _leave(*_: Any) -> None:
    try:
        os.write(2, b"interrupted\n")
    finally:
        os._exit(_INTERRUPTED)
