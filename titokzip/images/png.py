"""PNG files: the chunks that matter, and rows of pixels without the whole image.

Only the chunks that make pixels and colours reach Pillow. Texts of any length, and chunks that
nobody needs whatever their checksum, are passed by, as libpng and browsers do. Specification: W3C,
Portable Network Graphics (Third Edition).
"""

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any, Final

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from titokzip.errors import ImageError
from titokzip.images.png_metadata import LARGEST, inflate, metadata

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_PIXELS: Final = (b"IHDR", b"PLTE", b"tRNS", b"IDAT")
_COLOURS: Final = {b"gAMA": 4, b"cHRM": 32, b"sRGB": 1}  # with the bytes that each has
_READ: Final = (*_COLOURS, b"cICP", b"iCCP", b"eXIf", b"iTXt", b"zTXt", b"tEXt", b"acTL")
_MOST_CHUNKS: Final = 2**20
_PIECE: Final = 2**16  # bytes that are inflated at once
_MODES: Final = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}  # by bytes a pixel


@dataclass(frozen=True)
class Span:
    """Where the data of a chunk is."""

    name: bytes
    start: int
    length: int


class Png:
    """A PNG file whose pixels can be read whole, or in bands from the top."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.spans = list(_spans(file))
        self.frames = 1
        header = self._stream([chunk(b"IDAT", b"")])
        self.image = PngImageFile(header)  # without pixels
        self.image.info.update(self._info())
        self._scale_clear()
        self.interlaced = bool(self.image.info.get("interlace"))

    def whole(self) -> Image.Image:
        """Read all pixels at once."""
        pixels = (chunk(span.name, self._read(span)) for span in self._data())  # cut: shorter
        image = PngImageFile(self._stream(pixels))
        image.load()
        image.info = self.image.info
        return image

    def bands(self, rows: int) -> Iterator[Image.Image]:
        """Read `rows` rows at a time, of an image that is not interlaced."""
        width, height = self.image.size
        depth, colour = self._header()
        bits = depth * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
        stride = -(-width * bits // 8)
        data = _take(self._inflated())
        next(data)
        above = bytes(stride)
        for top in range(0, height, rows):
            count = min(rows, height - top)
            filtered = np.frombuffer(data.send(count * (stride + 1)), np.uint8)
            lines = _unfilter(above, filtered.reshape(count, -1), max(1, bits // 8))
            above = lines[-stride:]
            yield self._unpacked(lines, width, count)

    def _unpacked(self, lines: bytes, width: int, count: int) -> Image.Image:
        """Make an image of rows of bytes, as Pillow would."""
        band = Image.frombytes(
            self.image.mode, (width, count), lines, "raw", self.image.tile[0].args
        )
        if self.image.palette:
            band.putpalette(self.image.palette.palette)
        band.info = dict(self.image.info)
        return band

    def _scale_clear(self) -> None:
        """Bring a transparent level or colour to the 8 bits of pixels, as Pillow does not.

        Of 16-bit colours the upper bytes are read, so all that share them are transparent.
        """
        clear = self.image.info.get("transparency")
        if clear is None:
            return
        depth, colour = self._header()
        if colour == 0 and depth in (2, 4):
            self.image.info["transparency"] = clear * (255 // (2**depth - 1))
        elif colour == 2 and depth == 16:
            self.image.info["transparency"] = tuple(level >> 8 for level in clear)

    def _header(self) -> tuple[int, int]:
        """Give bits a channel, and the type of colour."""
        data = self._read(next(span for span in self.spans if span.name == b"IHDR"))
        return data[8], data[9]

    def _stream(self, pixels: Any) -> io.BytesIO:
        """Lay the chunks out that Pillow is to see."""
        stream = io.BytesIO()
        stream.write(SIGNATURE)
        for span in self.spans:
            if (span.name in _PIXELS and span.name != b"IDAT") or (
                _COLOURS.get(span.name) == span.length and self._is_sound(span)
            ):
                stream.write(self._copy(span))
        for part in pixels:
            stream.write(part)
        stream.write(chunk(b"IEND", b""))
        stream.seek(0)
        return stream

    def _data(self) -> Iterator[Span]:
        """Go through the chunks of compressed pixels, up to as many bytes as pixels can take."""
        width, height = self.image.size
        left = 16 * width * height + 2**20
        for span in self.spans:
            if span.name == b"IDAT":
                left -= span.length
                if left < 0:
                    raise ImageError("damaged: it has more data than its pixels take")
                yield span

    def _inflated(self) -> Iterator[bytes]:
        """Decompress the pixels, a little at a time."""
        inflate = zlib.decompressobj()
        for span in self._data():
            self.file.seek(span.start)
            left = span.length
            while left:
                piece = self.file.read(min(left, _PIECE))
                if not piece:
                    break
                left -= len(piece)
                while piece:
                    yield inflate.decompress(piece, _PIECE)
                    piece = inflate.unconsumed_tail
        yield inflate.flush()

    def _info(self) -> dict[str, Any]:
        """Read what chunks that Pillow does not see say of pixels and colours."""
        info: dict[str, Any] = {}
        for span in self.spans:
            if span.name not in _READ or span.length > LARGEST or not self._is_sound(span):
                continue
            data = self._read(span)
            if span.name == b"cICP" and span.length == 4:
                info["cicp"] = tuple(data)
            elif span.name == b"acTL" and span.length == 8:
                self.frames = max(1, struct.unpack(">I", data[:4])[0])
            elif span.name == b"iCCP" and "icc_profile" not in info:
                info["icc_profile"] = inflate(data.partition(b"\0")[2][1:])
            elif span.name == b"eXIf":
                info["exif"] = data
            elif span.name in (b"iTXt", b"zTXt", b"tEXt"):
                info |= metadata(span.name, data, info)
        return info

    def _is_sound(self, span: Span) -> bool:
        data = self._read(span)
        check = self.file.read(4)
        return zlib.crc32(span.name + data).to_bytes(4, "big") == check

    def _read(self, span: Span) -> bytes:
        self.file.seek(span.start)
        return self.file.read(span.length)

    def _copy(self, span: Span) -> bytes:
        """Copy a chunk as it is, its checksum included."""
        self.file.seek(span.start - 8)
        return self.file.read(span.length + 12)


def _spans(file: IO[bytes]) -> Iterator[Span]:
    """Find the chunks of a file, up to the last or the first that is none."""
    at = len(SIGNATURE)
    for _ in range(_MOST_CHUNKS):
        file.seek(at)
        head = file.read(8)
        if len(head) < 8 or not head[4:].isalpha():
            return
        span = Span(head[4:], at + 8, int.from_bytes(head[:4], "big"))
        yield span
        if span.name == b"IEND":
            return
        at = span.start + span.length + 4
    raise ImageError("damaged: it has too many chunks")


def chunk(name: bytes, data: bytes) -> bytes:
    """Lay a chunk out: its length, name, data and checksum."""
    check = zlib.crc32(name + data)
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", check)


def _take(parts: Iterator[bytes]) -> Any:
    """Cut a stream into pieces of the lengths that are sent; a generator."""
    held = bytearray()
    length = yield b""
    while True:
        while len(held) < length:
            part = next(parts, None)
            if part is None:
                raise ImageError("damaged: it ends before its last row")
            held += part
        piece = bytes(held[:length])
        del held[:length]
        length = yield piece


def _unfilter(above: bytes, filtered: Any, width: int) -> bytes:
    """Undo the filters of rows [n, 1 + bytes] of `width` bytes a pixel, under the row `above`.

    Pillow's decoder does it, told that the row above comes first, unfiltered. Of pixels of six and
    eight bytes, for which it has no mode that keeps them all, it does first the one half and then
    the other: a filter never mixes bytes of different places in a pixel.
    """
    count = len(filtered)
    if width > 4:
        kinds, rows = filtered[:, :1], filtered[:, 1:]
        halves = [
            _unfilter(above[i::2], np.hstack([kinds, rows[:, i::2]]), width // 2) for i in (0, 1)
        ]
        return np.stack([np.frombuffer(half, np.uint8) for half in halves], axis=-1).tobytes()
    mode = _MODES[width]
    data = zlib.compress(b"\0" + above + filtered.tobytes(), 0)
    size = len(above) // width, count + 1
    return Image.frombytes(mode, size, data, "zip", mode).tobytes()[len(above) :]
