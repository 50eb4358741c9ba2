"""The .ttk file: a header of five to a dozen bytes or so, then layers, coarse to fine.

    bytes  field
    1      magic     97
    1      version   54 + version: 55 ("U") is version 1
    1      flags     bit 0 the tokens are range coded, else packed
                     bit 1 grey: the picture has one channel
                     bit 2 whole: the picture fills its grid of tiles, 256 pixels each way
                     bit 3 more: another byte of flags follows
                     bits 4-7 code: the number of a known model's code, or 0
    1      more      with flags bit 3: bits 0-2 layers, minus one
                     bit 3 counts: every tile has its own number of tokens
                     bit 4 sections follow the header; bits 5-7 are refused
    4      model     with code 0: the first bytes of the SHA-256 fingerprint of its weights
    1..3   width     without flags bit 2: of the picture in pixels, a varint
    1..3   height    the same
    1      grid      16 * (columns - 1) + rows - 1, both at most 16; or ff, and then
    1..3   columns   a varint
    1..3   rows      the same
    1      tokens    the most that any tile has, minus one
    N      counts    tokens of each tile, minus one, row by row
    ...    sections  a varint of their length in bytes, then each a tag byte, a varint of its
                     length and its data; a reader skips unknown tags below 128 and refuses the
                     file for others
    then for every layer but the last
    1..4   length    of its payload in bytes, a varint
    ...    payload
    3      check     of the file up to here, earlier checks left out: CRC-32, its low 24 bits,
                     little-endian
    and for the last
    ...    payload   up to the last three bytes of the file
    3      check     the same

A varint has seven bits a byte, the lowest first, the high bit set on all but the last byte, and no
byte more than it needs. Layer i of n, from 1, holds the tokens up to ceil(tokens / 4^(n - i)).
Every check covers the header and all layers up to it, so a layer can be trusted when its check
is right, and a file that is cut after its first layer still holds a softer picture. docs/format.md
says the same at length, and why.
"""

import zlib
from dataclasses import dataclass

from titokzip.bitstream.header import Header, pack_header, read_header
from titokzip.bitstream.varint import ByteReader, varint
from titokzip.errors import FormatError, Truncated

MAX_PIXELS = 2**26  # decoded without asking; more in a file that is long enough
PIXELS_PER_BYTE = 4096
_CHECK_BYTES = 3


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
    data = pack_header(header)
    check = zlib.crc32(data)
    parts = [data]
    # A byte of the first layer stands for at most eight tiles: what readers allocate is bounded.
    payloads = [payloads[0].ljust(_least_payload(header), b"\0"), *payloads[1:]]
    for i, payload in enumerate(payloads, 1):
        layer = (varint(len(payload)) if i < header.layers else b"") + payload
        check = zlib.crc32(layer, check)
        parts += [layer, _short(check)]
    return b"".join(parts)


def unpack(data: bytes, max_pixels: int | None = None, partial: bool = False) -> Contents:
    """Take a .ttk file apart; the inverse of `pack`. With `partial`, intact layers suffice.

    Raises:
        FormatError: not a .ttk file, newer than this version, damaged, or with more pixels than
            `max_pixels`, by default 67 million or 4,096 for every byte of the file.
        Truncated: cut or damaged after its first layer, and `partial` is not set.
    """
    reader = ByteReader(data)
    header = read_header(reader)
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


def _read_layers(reader: ByteReader, header: Header) -> list[bytes]:
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
            if reader.take(_CHECK_BYTES) != _short(check):
                break
            payloads.append(payload)
    except FormatError:
        pass  # the file ends here, or the length of a layer is no number
    return payloads


def _short(check: int) -> bytes:
    return check.to_bytes(4, "little")[:_CHECK_BYTES]


def _least_payload(header: Header) -> int:
    return -(-header.grid.tiles // 8)
