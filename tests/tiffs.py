"""TIFF files, and EXIF data, made by hand: one directory of numbers."""

import struct


def directory(entries, order="<"):
    """Lay out a TIFF header and a directory of (tag, type, count, four bytes or a number)."""
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 8)
    body = struct.pack(f"{order}H", len(entries))
    for tag, kind, count, value in entries:
        if isinstance(value, int):
            value = struct.pack(f"{order}{'HI'[kind == 4]}", value)
        body += struct.pack(f"{order}HHI", tag, kind, count) + value.ljust(4, b"\0")
    return head + body + bytes(4)


def tiff(data, width, height, order="<", **tags):
    """Make a TIFF file of one strip; tags are named as in `tag_262=0`."""
    fields = {256: width, 257: height, 258: 8, 259: 1, 262: 1, 277: 1, 278: height}
    fields |= {int(name.removeprefix("tag_")): value for name, value in tags.items()}
    count = len(fields) + 2
    offset = 8 + 2 + 12 * count + 4
    entries = [(tag, 3, 1, value) for tag, value in fields.items()]
    entries += [(273, 4, 1, offset), (279, 4, 1, len(data))]
    return directory(sorted(entries), order) + data
