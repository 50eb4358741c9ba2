"""Images of other formats: read to plain pixels, and written."""

from titokzip.images.formats import OPAQUE, READ, SUFFIXES, WRITTEN
from titokzip.images.reading import ENOUGH, MAX_PIXELS, InputImage, plain, read
from titokzip.images.writing import LARGE, encode

__all__ = [
    "ENOUGH",
    "LARGE",
    "MAX_PIXELS",
    "OPAQUE",
    "READ",
    "SUFFIXES",
    "WRITTEN",
    "InputImage",
    "encode",
    "plain",
    "read",
]
