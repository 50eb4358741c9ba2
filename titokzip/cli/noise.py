"""What C libraries print by themselves of images that are damaged."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_NOWHERE = logging.NullHandler()


@contextmanager
def silenced() -> Iterator[None]:
    """Keep libraries from printing to standard error meanwhile; what Python prints goes there.

    libtiff writes lines of its own beside the error that becomes ours, and Pillow logs some.
    """
    logging.getLogger("PIL").addHandler(_NOWHERE)  # once, however often
    words = sys.stderr
    if words is None or not _is_standard(words):
        yield
        return
    words.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    with os.fdopen(kept, "w", 1, words.encoding, words.errors, closefd=False) as stream:
        sys.stderr = stream
        try:
            yield
        finally:
            sys.stderr = words
            stream.flush()
            os.dup2(kept, 2)
    os.close(kept)


def _is_standard(stream: object) -> bool:
    """Tell whether a stream is the process's own, and not a test's."""
    return stream is sys.__stderr__
