"""Images to files of other formats, row by row where they are large.

A decoded image is resampled to the size of its original, which may have many more pixels. PNG and
PPM are made in bands then, so that memory does not grow with the size; other formats need the whole
image, four bytes a pixel.
"""

import io
import math
import struct
import zlib
from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from titokzip.errors import ImageError
from titokzip.images.formats import WRITTEN
from titokzip.images.png import SIGNATURE, chunk

LARGE: Final = 2**24  # pixels of an image that is resampled while it is written, in bands
_BAND: Final = 2**20  # pixels of one
_COLOUR_TYPES: Final = {"L": 0, "RGB": 2, "LA": 4, "RGBA": 6}
_LEVEL: Final = 1  # of zlib; 6 takes four times as long, and saves up to 16 %
_OPTIONS: Final = {"PNG": {"compress_level": _LEVEL}}
_SUB, _UP = 1, 2  # filters of PNG


def encode(image: Image.Image, suffix: str, size: tuple[int, int] | None = None) -> Iterator[bytes]:
    """Give the parts of an image file of a format, by its suffix; `size` resamples to it.

    Raises:
        ImageError: no format that is written has the suffix, or it cannot hold the image.
    """
    name = WRITTEN.get(suffix.lower())
    if name is None:
        raise ImageError(f"cannot be written as {suffix or 'a file without a suffix'}")
    size = size or image.size
    if name in ("PNG", "PPM") and size[0] * size[1] > LARGE and image.mode in _COLOUR_TYPES:
        return _ppm(image, size) if name == "PPM" else _png(image, size)
    if size != image.size:
        image = image.resize(size, Image.Resampling.LANCZOS)
    return iter([_saved(image, name, suffix)])


def _saved(image: Image.Image, name: str, suffix: str) -> bytes:
    file = io.BytesIO()
    try:
        image.save(file, name, **_OPTIONS.get(name, {}))
    except MemoryError:
        raise
    except Exception as error:  # Pillow's encoders raise whatever they like
        raise ImageError(f"cannot be written as {suffix} ({error})") from error
    return file.getvalue()


def _bands(image: Image.Image, size: tuple[int, int]) -> Iterator[NDArray[np.uint8]]:
    """Resample in bands [rows, width * channels], as in one piece."""
    width, height = size
    rows, scale = max(1, _BAND // width), image.height / height
    margin = math.ceil(3 * max(scale, 1)) + 1  # rows that the filter reaches beyond a band
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        first = max(0, math.floor(top * scale) - margin)
        last = min(image.height, math.ceil(bottom * scale) + margin)
        strip = image.crop((0, first, image.width, last))
        strip = strip.resize((width, strip.height), Image.Resampling.LANCZOS)
        box = (0, top * scale - first, width, bottom * scale - first)
        band = strip.resize((width, bottom - top), Image.Resampling.LANCZOS, box)
        yield np.asarray(band).reshape(bottom - top, -1)


def _ppm(image: Image.Image, size: tuple[int, int]) -> Iterator[bytes]:
    kind = {"L": b"P5", "RGB": b"P6"}.get(image.mode)
    if kind is None:
        raise ImageError("cannot be written as .ppm (it has no transparency)")
    yield kind + b"\n%d %d\n255\n" % size
    for band in _bands(image, size):
        yield band.tobytes()


def _png(image: Image.Image, size: tuple[int, int]) -> Iterator[bytes]:
    colour = _COLOUR_TYPES[image.mode]
    yield SIGNATURE + chunk(b"IHDR", struct.pack(">IIBBBBB", *size, 8, colour, 0, 0, 0))
    deflate = zlib.compressobj(_LEVEL)
    channels = len(image.getbands())
    above = np.zeros(size[0] * channels, np.uint8)
    for band in _bands(image, size):
        data = deflate.compress(_filtered(band, above, channels).tobytes())
        if data:
            yield chunk(b"IDAT", data)
        above = band[-1]
    yield chunk(b"IDAT", deflate.flush())
    yield chunk(b"IEND", b"")


def _filtered(
    rows: NDArray[np.uint8], above: NDArray[np.uint8], channels: int
) -> NDArray[np.uint8]:
    """Filter rows [n, bytes], each by the better of two filters; [n, 1 + bytes]."""
    sub, up = rows.copy(), rows.copy()
    sub[:, channels:] -= rows[:, :-channels]
    up[1:] -= rows[:-1]
    up[0] -= above
    costs = [
        np.abs(one.view(np.int8), dtype=np.int16).sum(axis=1, dtype=np.int64) for one in (sub, up)
    ]
    better = costs[0] <= costs[1]
    kinds = np.where(better, _SUB, _UP).astype(np.uint8)
    return np.hstack([kinds[:, None], np.where(better[:, None], sub, up)])
