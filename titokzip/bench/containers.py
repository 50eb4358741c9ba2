"""How many bytes of an image file are the codestream, and how many are the container around it.

A container costs from 20 bytes (WebP) to 300 (AVIF), which decides at a few hundred bytes. So
baselines are compared by their codestreams, as if their container were free; ours is always counted
whole.
"""

from collections.abc import Iterator

_JXL_CONTAINER = b"\0\0\0\x0cJXL \r\n\x87\n"
_JP2 = b"\0\0\0\x0cjP  \r\n\x87\n"
_HEVC_CONFIGURATION = 23  # bytes of an hvcC box before its arrays of parameter sets


def codestream_bytes(data: bytes) -> int:
    """Count the bytes of a file without its container; all of them where it has none.

    Known containers are RIFF (WebP), ISO base media (AVIF, HEIC), JP2 and that of JPEG XL. The
    parameter sets of HEVC count as codestream, as its decoder needs them.
    """
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return sum(size for name, size in _riff(data) if name in (b"VP8 ", b"VP8L", b"ALPH"))
    if data[4:8] == b"ftyp" or data.startswith((_JXL_CONTAINER, _JP2)):
        boxes = list(_boxes(data, 0, len(data)))
        found = [end - start for name, start, end in boxes if name in (b"mdat", b"jp2c", b"jxlc")]
        found += [end - start - 4 for name, start, end in boxes if name == b"jxlp"]
        return sum(found) + _parameter_sets(data) if found else len(data)
    return len(data)


def _riff(data: bytes) -> Iterator[tuple[bytes, int]]:
    at = 12
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        yield data[at : at + 4], size
        at += 8 + size + size % 2


def _boxes(data: bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """List the boxes of ISO 14496-12 between two places: name, start and end of the contents."""
    while at + 8 <= end:
        size, head = int.from_bytes(data[at : at + 4]), 8
        if size == 1:
            size, head = int.from_bytes(data[at + 8 : at + 16]), 16
        stop = end if size == 0 else min(at + size, end)
        yield data[at + 4 : at + 8], at + head, stop
        if size and size < head:
            return
        at = stop


def _parameter_sets(data: bytes) -> int:
    """Count the bytes of HEVC's parameter sets, which HEIC keeps outside of its stream."""
    at = data.find(b"hvcC")
    if at < 0:
        return 0
    size = int.from_bytes(data[at - 4 : at])
    return max(size - 8 - _HEVC_CONFIGURATION, 0)
