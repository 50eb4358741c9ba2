"""A .ttk file: a header, then layers, coarse to fine, each with a CRC.

docs/format.md specifies the bytes. Every CRC covers the header and all layers up to it, so a layer
whose CRC is right can be trusted, and a file that is truncated after its first layer still decodes
to a coarser image.
"""

import zlib
from dataclasses import dataclass

from titokzip.bitstream.header import Header, TileLayout, pack_header, read_header
from titokzip.bitstream.varint import ByteReader, varint
from titokzip.errors import FormatError, PixelLimitError, Truncated

MAX_PIXELS = 300_000_000  # of an image that decodes without asking, as many as are read
MAX_BYTES = 2**28  # of a file that is read
_CRC_BYTES = 3


@dataclass(frozen=True)
class Contents:
    """A .ttk file taken apart."""

    header: Header
    payloads: list[bytes]  # of the intact layers
    header_bytes: int
    total_bytes: int
    max_pixels: int = MAX_PIXELS

    @property
    def whole(self) -> bool:
        """Whether every layer is intact."""
        return len(self.payloads) == self.header.layers


def pack(header: Header, payloads: list[bytes]) -> bytes:
    """Write a .ttk file."""
    if len(payloads) != header.layers:
        raise ValueError(f"{len(payloads)} payloads for {header.layers} layers")
    data = pack_header(header)
    crc = zlib.crc32(data)
    parts = [data]
    payloads = [payloads[0].ljust(_least_payload(header), b"\0"), *payloads[1:]]
    for i, payload in enumerate(payloads, 1):
        layer = (varint(len(payload)) if i < header.layers else b"") + payload
        crc = zlib.crc32(layer, crc)
        parts += [layer, _crc_bytes(crc)]
    return b"".join(parts)


def packed_size(header: Header, lengths: list[int]) -> int:
    """Count the bytes of a file whose payloads have these lengths."""
    least = [max(lengths[0], _least_payload(header)), *lengths[1:]]
    sizes = sum(len(varint(length)) for length in least[:-1])
    return len(pack_header(header)) + sum(least) + sizes + _CRC_BYTES * len(least)


def unpack(data: bytes, max_pixels: int | None = None, partial: bool = False) -> Contents:
    """Take a .ttk file apart; the inverse of `pack`. With `partial`, intact layers suffice.

    Raises:
        FormatError: not a .ttk file, newer than this version, or damaged.
        PixelLimitError: it has more pixels than `max_pixels`, by default 300 million.
        Truncated: truncated or damaged after its first layer, and `partial` is not set.
    """
    reader = ByteReader(data)
    header = read_header(reader)
    header_bytes = reader.at
    payloads = _read_layers(reader, header)
    if not payloads:
        raise FormatError("the first layer is damaged or truncated")
    if len(payloads[0]) < _least_payload(header):
        raise FormatError("damaged: the payload is too short for its tiles")
    if len(payloads) < header.layers and not partial:
        raise Truncated(
            f"damaged or truncated: {len(payloads)} of {header.layers} layers are intact"
        )
    limit = MAX_PIXELS if max_pixels is None else max_pixels
    if header.width * header.height > limit:
        raise PixelLimitError(
            f"{header.width} x {header.height} pixels are more than the limit of {limit:,}"
        )
    return Contents(header, payloads, header_bytes, len(data), limit)


def _read_layers(reader: ByteReader, header: Header) -> list[bytes]:
    """Read layers up to the first whose CRC is wrong or missing."""
    payloads: list[bytes] = []
    crc = zlib.crc32(reader.data[: reader.at])
    try:
        while len(payloads) < header.layers:
            start = reader.at
            last = len(payloads) == header.layers - 1
            length = reader.left - _CRC_BYTES if last else reader.varint()
            payload = reader.take(length)
            crc = zlib.crc32(reader.data[start : reader.at], crc)
            if reader.take(_CRC_BYTES) != _crc_bytes(crc):
                break
            payloads.append(payload)
    except FormatError:
        pass  # the file ends here, or the length of a layer is damaged
    return payloads


def _crc_bytes(crc: int) -> bytes:
    return crc.to_bytes(4, "little")[:_CRC_BYTES]


def _least_payload(header: Header) -> int:
    """Bytes of the first layer, at the least: they bound what a reader allocates for tiles."""
    return -(-header.layout.grid.tiles // 8) if isinstance(header.layout, TileLayout) else 0
