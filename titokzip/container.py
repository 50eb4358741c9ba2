"""The .ttk file: a header of about 16 bytes, then layers of coded tokens, coarse to fine.

    bytes  field
    2      magic     97 54 ("\\x97T")
    1      version   1
    1      flags     bits 0-1 coder: 0 packed, 1 range coder, 2 and 3 reserved
                     bit 2 grey: the picture has one channel
                     bit 3 counts: every tile has its own number of tokens
                     bits 4-6 layers, minus one
                     bit 7 sections follow the header
    4      model     the first bytes of the SHA-256 fingerprint of its weights
    1..3   width     of the picture in pixels, a varint
    1..3   height    the same
    1..3   columns   of the grid, a varint
    1..3   rows      the same
    1      tokens    the most that any tile has, minus one
    N      counts    with bit 3: tokens of each tile, minus one, row by row
    ...    sections  with bit 7: a varint of their length in bytes, then each a tag byte, a varint
                     of its length and its data; a reader skips unknown tags below 128 and
                     refuses the file for others
    then for every layer but the last
    1..4   length    of its payload in bytes, a varint
    ...    payload
    4      check     CRC-32 of the file up to here, earlier checks left out, little-endian
    and for the last
    ...    payload   up to the last four bytes of the file
    4      check     the same

A varint has seven bits a byte, the lowest first, the high bit set on all but the last byte, and no
byte more than it needs. Layer i of n, from 1, holds the tokens up to ceil(tokens / 4^(n - i)).
Every check covers the header and all layers up to it, so a layer can be trusted when its check
is right, and a file that is cut after its first layer still holds a softer picture. docs/format.md
says the same at length, and why.
"""

import zlib
from dataclasses import dataclass
from enum import IntEnum

from titokzip.errors import FormatError, Truncated
from titokzip.tiling import Grid

MAGIC = b"\x97T"
VERSION = 1
FINGERPRINT_BYTES = 4
MAX_LAYERS = 8
MAX_TOKENS = 256
MAX_SIDE = 2**21 - 1  # what a varint of three bytes holds
MAX_PIXELS = 2**26  # decoded without asking; more in a file that is long enough
PIXELS_PER_BYTE = 4096
_CHECK_BYTES = 4
_CRITICAL = 128


class Coder(IntEnum):
    """How the tokens became bytes."""

    PACKED = 0
    RANGE = 1


@dataclass(frozen=True)
class Header:
    """What a decoder must know before it reads the tokens."""

    model: bytes
    width: int
    height: int
    grid: Grid
    tokens: int  # the most that any tile has
    counts: tuple[int, ...] | None = None  # tokens of each tile, if they differ
    coder: Coder = Coder.PACKED
    grey: bool = False
    layers: int = 1

    def __post_init__(self) -> None:
        if len(self.model) != FINGERPRINT_BYTES:
            raise ValueError(
                f"a model is named by {FINGERPRINT_BYTES} bytes, not {len(self.model)}"
            )
        sides = (self.width, self.height, self.grid.columns, self.grid.rows)
        if not all(1 <= side <= MAX_SIDE for side in sides):
            raise FormatError(f"a picture of {self.width} x {self.height} pixels cannot be stored")
        if not 1 <= self.tokens <= MAX_TOKENS or not 1 <= self.layers <= MAX_LAYERS:
            raise FormatError(f"{self.tokens} tokens in {self.layers} layers cannot be stored")
        if self.counts is not None and (
            len(self.counts) != self.grid.tiles
            or max(self.counts) != self.tokens
            or min(self.counts) < 1
        ):
            raise FormatError("the numbers of tokens do not fit the grid")

    @property
    def stops(self) -> list[int]:
        """Where each layer ends, in tokens."""
        return [-(-self.tokens // 4 ** (self.layers - i)) for i in range(1, self.layers + 1)]


@dataclass(frozen=True)
class Contents:
    """A .ttk file taken apart."""

    header: Header
    payloads: list[bytes]  # of the intact layers
    header_bytes: int
    total_bytes: int
    max_pixels: int  # that painting it may make, its grid included

    @property
    def whole(self) -> bool:
        """Whether every layer is there and right."""
        return len(self.payloads) == self.header.layers


def pack(header: Header, payloads: list[bytes]) -> bytes:
    """Write a .ttk file."""
    if len(payloads) != header.layers:
        raise ValueError(f"{len(payloads)} payloads for {header.layers} layers")
    data = _pack_header(header)
    check = zlib.crc32(data)
    parts = [data]
    # A byte of the first layer stands for at most eight tiles: what readers allocate is bounded.
    payloads = [payloads[0].ljust(_least_payload(header), b"\0"), *payloads[1:]]
    for i, payload in enumerate(payloads, 1):
        layer = (_varint(len(payload)) if i < header.layers else b"") + payload
        check = zlib.crc32(layer, check)
        parts += [layer, check.to_bytes(_CHECK_BYTES, "little")]
    return b"".join(parts)


def unpack(data: bytes, max_pixels: int | None = None, partial: bool = False) -> Contents:
    """Take a .ttk file apart; the inverse of `pack`. With `partial`, intact layers suffice.

    Raises:
        FormatError: not a .ttk file, newer than this version, damaged, or with more pixels than
            `max_pixels`, by default 67 million or 4,096 for every byte of the file.
        Truncated: cut or damaged after its first layer, and `partial` is not set.
    """
    reader = _Reader(data)
    header = _read_header(reader)
    header_bytes = reader.at
    payloads = _read_layers(reader, header)
    if not payloads:
        raise FormatError("damaged or cut short: the checksum does not match")
    if len(payloads[0]) < _least_payload(header):
        raise FormatError("damaged: fewer bytes than its grid has tiles for")
    if len(payloads) < header.layers and not partial:
        raise Truncated(
            f"damaged or cut short: {len(payloads)} of {header.layers} layers are intact;"
            " --allow-partial decodes them"
        )
    limit = max(MAX_PIXELS, PIXELS_PER_BYTE * len(data)) if max_pixels is None else max_pixels
    if header.width * header.height > limit:
        raise FormatError(
            f"{header.width} x {header.height} pixels are more than the limit of {limit:,};"
            " --max-pixels raises it"
        )
    return Contents(header, payloads, header_bytes, len(data), limit)


def _pack_header(header: Header) -> bytes:
    flags = header.coder | header.grey << 2 | (header.counts is not None) << 3
    flags |= (header.layers - 1) << 4
    sizes = (header.width, header.height, header.grid.columns, header.grid.rows)
    counts = bytes(count - 1 for count in header.counts or ())
    return b"".join(
        [
            MAGIC,
            bytes([VERSION, flags]),
            header.model,
            *map(_varint, sizes),
            bytes([header.tokens - 1]),
            counts,
        ]
    )


def _read_header(reader: "_Reader") -> Header:
    if reader.data[: len(MAGIC)] != MAGIC:
        raise FormatError("not a .ttk file")
    reader.take(len(MAGIC))
    version, flags = reader.take(2)
    if version != VERSION:
        raise FormatError(f"format version {version}; this titokzip reads version {VERSION}")
    if flags & 3 not in list(Coder):
        raise FormatError(f"coder {flags & 3} is newer than this titokzip, or the file is damaged")
    model = reader.take(FINGERPRINT_BYTES)
    width, height, columns, rows = (reader.varint() for _ in range(4))
    tokens = reader.take(1)[0] + 1
    if not columns or not rows:
        raise FormatError("damaged: the grid has no tiles")
    counts = None
    if flags & 8:
        counts = tuple(count + 1 for count in reader.take(columns * rows))
    if flags & 128:
        _skip_sections(reader)
    return Header(
        model,
        width,
        height,
        Grid(rows, columns),
        tokens,
        counts,
        Coder(flags & 3),
        bool(flags & 4),
        (flags >> 4 & 7) + 1,
    )


def _skip_sections(reader: "_Reader") -> None:
    sections = _Reader(reader.take(reader.varint()))
    while sections.at < len(sections.data):
        tag = sections.take(1)[0]
        if tag >= _CRITICAL:
            raise FormatError(f"section {tag} is newer than this titokzip, or the file is damaged")
        sections.take(sections.varint())


def _read_layers(reader: "_Reader", header: Header) -> list[bytes]:
    """Read layers up to the first whose check is wrong or missing."""
    payloads: list[bytes] = []
    check = zlib.crc32(reader.data[: reader.at])
    try:
        while len(payloads) < header.layers:
            start = reader.at
            last = len(payloads) == header.layers - 1
            length = reader.left - _CHECK_BYTES if last else reader.varint()
            payload = reader.take(length)
            check = zlib.crc32(reader.data[start : reader.at], check)
            if reader.take(_CHECK_BYTES) != check.to_bytes(_CHECK_BYTES, "little"):
                break
            payloads.append(payload)
    except FormatError:
        pass  # the file ends here, or the length of a layer is no number
    return payloads


def _least_payload(header: Header) -> int:
    return -(-header.grid.tiles // 8)


def _varint(value: int) -> bytes:
    data = bytearray()
    while value > 127:
        data.append(value & 127 | 128)
        value >>= 7
    data.append(value)
    return bytes(data)


class _Reader:
    """Reads fields off the front of bytes."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    @property
    def left(self) -> int:
        return len(self.data) - self.at

    def take(self, count: int) -> bytes:
        if not 0 <= count <= self.left:
            raise FormatError("damaged or cut short: the file ends inside its header")
        self.at += count
        return self.data[self.at - count : self.at]

    def varint(self) -> int:
        value = 0
        for shift in range(0, 28, 7):
            byte = self.take(1)[0]
            value |= (byte & 127) << shift
            if byte < 128:
                if not byte and shift:
                    break  # a byte more than it needs
                return value
        raise FormatError("damaged: a number in the header is too long")
