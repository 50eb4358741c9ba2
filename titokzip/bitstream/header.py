"""The header of a .ttk file: five bytes for a picture of one tile, ten for most photos.

titokzip/container.py has the layout of the whole file, docs/format.md says it at length, and why.
"""

from dataclasses import dataclass
from enum import IntEnum

from titokzip.bitstream.varint import ByteReader, varint
from titokzip.errors import FormatError
from titokzip.tiling import Grid

MAGIC = 0x97
VERSION = 1
FINGERPRINT_BYTES = 4
# Fingerprints that have a number, from 1, which never changes; the first was that of drafts.
CODES = (bytes.fromhex("33b21aec"), bytes.fromhex("1ee5173c"))
WHOLE_TILE = 256  # pixels each way of a tile of a picture whose size goes without saying
MAX_LAYERS = 8
MAX_TOKENS = 256
MAX_SIDE = 2**21 - 1  # what a varint of three bytes holds
_VERSIONS = range(0x54, 0x60)  # the second byte of version 0, which was a draft, and of others
START = bytes([MAGIC, _VERSIONS[VERSION]])  # of every file of this version
_GREY, _WHOLE, _MORE = 2, 4, 8  # flags
_COUNTS, _SECTIONS, _KNOWN = 8, 16, 31  # more flags, and all of them
_CRITICAL = 128
_SMALL = 16  # tiles each way of a grid that a byte can tell
_LARGE = 255  # in its place: the grid is larger


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


def pack_header(header: Header) -> bytes:
    """Write a header in the fewest bytes."""
    size, grid = (header.width, header.height), header.grid
    code = CODES.index(header.model) + 1 if header.model in CODES else 0
    more = header.layers - 1 | _COUNTS * (header.counts is not None)
    whole = size == _filled(grid)
    flags = header.coder | _GREY * header.grey | _WHOLE * whole | _MORE * bool(more) | code << 4
    return b"".join(
        [
            START,
            bytes([flags, more] if more else [flags]),
            b"" if code else header.model,
            b"" if whole else b"".join(map(varint, size)),
            _pack_grid(grid),
            bytes([header.tokens - 1]),
            bytes(count - 1 for count in header.counts or ()),
        ]
    )


def read_header(reader: ByteReader) -> Header:
    """Read a header off the front of a file.

    Raises:
        FormatError: it is another file's, newer than this version, or damaged.
    """
    _read_start(reader)
    flags = reader.take(1)[0]
    more = reader.take(1)[0] if flags & _MORE else 0
    if more & ~_KNOWN or (flags & _MORE and not more):
        raise FormatError("made by a newer titokzip, or damaged: unknown flags")
    model = _read_model(reader, flags >> 4)
    size = None if flags & _WHOLE else (reader.varint(), reader.varint())
    grid = _read_grid(reader)
    tokens = reader.take(1)[0] + 1
    counts = None
    if more & _COUNTS:
        counts = tuple(count + 1 for count in reader.take(grid.tiles))
    if more & _SECTIONS:
        _skip_sections(reader)
    width, height = size or _filled(grid)
    return Header(
        model,
        width,
        height,
        grid,
        tokens,
        counts,
        Coder(flags & 1),
        bool(flags & _GREY),
        (more & 7) + 1,
    )


def _read_start(reader: ByteReader) -> None:
    start = reader.data[:2]
    if len(start) < 2 or start[0] != MAGIC or start[1] not in _VERSIONS:
        raise FormatError("not a .ttk file")
    version = _VERSIONS.index(reader.take(2)[1])
    if version != VERSION:
        why = "a draft that is no longer read" if version < VERSION else "this titokzip is too old"
        raise FormatError(f"format version {version}, not {VERSION}: {why}")


def _read_model(reader: ByteReader, code: int) -> bytes:
    if not code:
        return reader.take(FINGERPRINT_BYTES)
    if code > len(CODES):
        raise FormatError(f"code {code} is newer than this titokzip, or the file is damaged")
    return CODES[code - 1]


def _pack_grid(grid: Grid) -> bytes:
    small = _SMALL * (grid.columns - 1) + grid.rows - 1
    if grid.columns <= _SMALL and grid.rows <= _SMALL and small != _LARGE:
        return bytes([small])
    return bytes([_LARGE]) + varint(grid.columns) + varint(grid.rows)


def _read_grid(reader: ByteReader) -> Grid:
    small = reader.take(1)[0]
    if small != _LARGE:
        return Grid(small % _SMALL + 1, small // _SMALL + 1)
    columns, rows = reader.varint(), reader.varint()
    if not columns or not rows:
        raise FormatError("damaged: the grid has no tiles")
    grid = Grid(rows, columns)
    if len(_pack_grid(grid)) == 1:
        raise FormatError("damaged: a byte more than the grid needs")
    return grid


def _filled(grid: Grid) -> tuple[int, int]:
    """Width and height of the picture that fills a grid."""
    return WHOLE_TILE * grid.columns, WHOLE_TILE * grid.rows


def _skip_sections(reader: ByteReader) -> None:
    sections = ByteReader(reader.take(reader.varint()))
    while sections.at < len(sections.data):
        tag = sections.take(1)[0]
        if tag >= _CRITICAL:
            raise FormatError(f"section {tag} is newer than this titokzip, or the file is damaged")
        sections.take(sections.varint())
