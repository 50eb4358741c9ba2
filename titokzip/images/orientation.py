"""How an image is turned, as its EXIF or XMP data say.

Only the one tag is read, so that nothing else in the data can hide it: a resolution that is no
number, a maker's notes, an end that is missing.
"""

import re
import struct
from typing import Any, Final

from PIL import Image

_TAG: Final = 0x0112
_INTEGERS: Final = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i"}  # EXIF's types of numbers
_XMP: Final = re.compile(rb"tiff:Orientation(?:\s*=\s*[\"']|>)\s*([0-9])")
_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
ON_THEIR_SIDE: Final = {_TURNS[number] for number in (5, 6, 7, 8)}  # width and height change places


def turn(image: Image.Image) -> Image.Transpose | None:
    """Tell what makes an image upright, if anything must be done.

    As in Pillow, XMP data count where EXIF data have no such tag, and the pixels of a loaded TIFF
    file are upright already.
    """
    if image.format == "TIFF":
        return None
    found = _in_exif(_bytes(image.info.get("exif")))
    if found is None:
        texts = (image.info.get("XML:com.adobe.xmp"), image.info.get("xmp"))
        match = _XMP.search(next((_bytes(text) for text in texts if text), b""))
        found = int(match[1]) if match else None
    return _TURNS.get(found) if found is not None else None


def _bytes(data: Any) -> bytes:
    if isinstance(data, str):
        return data.encode("utf-8", "surrogateescape")
    return bytes(data or b"")


def _in_exif(data: bytes) -> int | None:
    """Find the orientation in the first directory of EXIF data."""
    while data.startswith(b"Exif\0\0"):
        data = data[6:]
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None or len(data) < 10:
        return None
    (start,) = struct.unpack_from(f"{order}I", data, 4)
    if start + 2 > len(data):
        return None
    (count,) = struct.unpack_from(f"{order}H", data, start)
    for at in range(start + 2, min(start + 2 + 12 * count, len(data) - 11), 12):
        tag, kind, length = struct.unpack_from(f"{order}HHI", data, at)
        if tag == _TAG and kind in _INTEGERS and length:
            value: int = struct.unpack_from(order + _INTEGERS[kind], data, at + 8)[0]
            return value
    return None
