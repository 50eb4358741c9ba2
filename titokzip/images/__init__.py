"""Images of other formats: read to plain pixels, and written."""

from titokzip.images.formats import READ, SUFFIXES, WRITTEN
from titokzip.images.reading import ENOUGH, MAX_PIXELS, InputImage, plain, read
from titokzip.images.writing import encode

__all__ = [
    "ENOUGH",
    "MAX_PIXELS",
    "READ",
    "SUFFIXES",
    "WRITTEN",
    "InputImage",
    "encode",
    "plain",
    "read",
]
