"""What other libraries do by themselves: print of damaged images, limit the pixels of others."""

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


@contextmanager
def limited(pixels: int) -> Iterator[None]:
    """Set Pillow's limit on pixels, which some of its decoders check, to ours meanwhile.

    It is a setting of the whole process, so the library leaves it alone; the program may not.
    """
    from PIL import Image

    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = -(-pixels // 2)  # an error is twice as many
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _is_standard(stream: object) -> bool:
    """Tell whether a stream is the process's own, and not a test's."""
    return stream is sys.__stderr__
