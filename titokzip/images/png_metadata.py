"""What chunks of PNG files say of colours and orientation, compressed or as text."""

import zlib
from collections.abc import Collection
from typing import Any, Final

LARGEST: Final = 2**26  # bytes of a chunk that is read, and of what is compressed in it


def inflate(data: bytes) -> bytes:
    """Decompress what a chunk holds; nothing if it is damaged, or has no end."""
    try:
        return zlib.decompressobj().decompress(data, LARGEST)
    except zlib.error:
        return b""


def metadata(name: bytes, data: bytes, known: Collection[str]) -> dict[str, Any]:
    """Take EXIF or XMP data out of a chunk of text; once, or a small file inflates without end."""
    keyword, _, rest = data.partition(b"\0")
    profiles = (b"Raw profile type exif", b"Raw profile type APP1")
    if name == b"iTXt" and keyword == b"XML:com.adobe.xmp" and len(rest) > 2 and "xmp" not in known:
        compressed = rest[0] == 1
        text = rest[2:].split(b"\0", 2)[-1]
        return {"xmp": inflate(text) if compressed else text}
    if name != b"iTXt" and keyword in profiles and "exif" not in known:
        text = inflate(rest[1:]) if name == b"zTXt" else rest
        return {"exif": _unhexed(text)}
    return {}


def _unhexed(text: bytes) -> bytes:
    """Read what ImageMagick writes: a name, a length, then digits, on lines of their own."""
    try:
        return bytes.fromhex("".join(text.decode("latin-1").split()[2:]))
    except ValueError:
        return b""
