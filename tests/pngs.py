"""PNG files made by hand, chunk by chunk."""

import struct
import zlib

import numpy as np

SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


def chunk(name, data, damage=0):
    """Lay a chunk out, with a checksum that is off by `damage`."""
    check = zlib.crc32(name + data) ^ damage
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", check)


def header(width, height, depth=8, colour=2, interlaced=0):
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced))


def png(*extra, width=3, height=2, depth=8, colour=2, rows=None, pixel=None, interlaced=0):
    """Make a PNG file of one `pixel` throughout, or of rows of bytes behind their filter."""
    stride = -(-width * depth * CHANNELS[colour] // 8)
    if rows is None:
        rows = (b"\0" + bytes(pixel or (100, 180, 90)) * width) * height
        assert len(rows) == height * (1 + stride)
    data = chunk(b"IDAT", zlib.compress(rows))
    head = header(width, height, depth, colour, interlaced)
    return SIGNATURE + head + b"".join(extra) + data + chunk(b"IEND", b"")


def noise(width, height, depth, colour, seed=0):
    """Make rows of noise, with every filter."""
    rng = np.random.default_rng(seed)
    stride = -(-width * depth * CHANNELS[colour] // 8)
    rows = rng.integers(0, 256, (height, 1 + stride), dtype=np.uint8)
    rows[:, 0] = np.arange(height) % 5
    return rows.tobytes()
