"""The header of a .ttk file; docs/format.md specifies it byte by byte."""

from dataclasses import dataclass
from typing import Final

from titokzip.bitstream.varint import ByteReader, varint
from titokzip.errors import FormatError
from titokzip.tiling import Grid

MAGIC: Final = 0x97
VERSION: Final = 2  # 0 and 1 were drafts
FINGERPRINT_BYTES: Final = 4
# Fingerprints with a codebook ID, from 1. An ID never changes its fingerprint.
CODEBOOKS: Final = (bytes.fromhex("c72f62a3"),)
DEFAULT_SIDE: Final = 256  # pixels, of an image or of a tile whose size is not stored
MAX_LAYERS: Final = 8
MAX_TOKENS: Final = 256  # per tile
MAX_SIDE: Final = 2**21 - 1  # the largest three-byte varint
MAX_STEP: Final = 255
MAX_COLOURS: Final = 256  # of a palette

_VERSIONS = range(0x54, 0x60)  # the second byte of versions 0, 1, ...
START: Final = bytes([MAGIC, _VERSIONS[VERSION]])  # of every file of this version
_TILES, _GREY, _DEFAULT_SIZE, _MORE = 1, 2, 4, 8  # flags
_ALPHA, _SECTIONS, _UNREFINED, _MASK, _INDEXED = 8, 16, 32, 64, 128  # more flags
_LAYERS = MAX_LAYERS - 1  # more flags that hold the number of layers, less one
_CRITICAL = 128  # the first tag of sections that a reader must know
_SMALL = 16  # columns and rows of a grid that one byte can hold
_LARGE = 255  # in its place: the grid is larger


@dataclass(frozen=True)
class TileLayout:
    """The tokens of square tiles: as many for every tile."""

    grid: Grid
    tokens: int  # per tile

    def __post_init__(self) -> None:
        if not 1 <= self.tokens <= MAX_TOKENS:
            raise FormatError(f"{self.tokens} tokens per tile cannot be stored")

    def boundaries(self, layers: int) -> list[int]:
        """List where each layer ends, in tokens per tile."""
        return [-(-self.tokens // 4 ** (layers - i)) for i in range(1, layers + 1)]


@dataclass(frozen=True)
class TransformLayout:
    """The coefficients of a lapped transform of the whole image."""

    step: int  # index of the quantisation step, 0 to MAX_STEP; a larger one is coarser
    blocks: int  # along the shorter side of the working image; 0: the image at its own size
    refined: bool = True  # the decoder network improves the image
    mask: bool = False  # alpha is all or nothing, but for hard edges

    def __post_init__(self) -> None:
        if not 0 <= self.step <= MAX_STEP or not 0 <= self.blocks <= MAX_SIDE:
            raise FormatError(f"step {self.step} and {self.blocks} blocks cannot be stored")


@dataclass(frozen=True)
class IndexedLayout:
    """A palette, and an index of each pixel; without loss for as many colours."""

    colours: int

    def __post_init__(self) -> None:
        if not 1 <= self.colours <= MAX_COLOURS:
            raise FormatError(f"a palette of {self.colours} colours cannot be stored")


Layout = TileLayout | TransformLayout | IndexedLayout


@dataclass(frozen=True)
class Header:
    """What a decoder must know before it reads the tokens."""

    model: bytes  # the first bytes of its fingerprint
    width: int  # of the image, in pixels
    height: int
    layout: Layout
    grey: bool = False
    alpha: bool = False
    layers: int = 1

    def __post_init__(self) -> None:
        if len(self.model) != FINGERPRINT_BYTES:
            raise ValueError(
                f"a model is named by {FINGERPRINT_BYTES} bytes, not {len(self.model)}"
            )
        sides = [self.width, self.height]
        if isinstance(self.layout, TileLayout):
            sides += [self.layout.grid.columns, self.layout.grid.rows]
        if not all(1 <= side <= MAX_SIDE for side in sides):
            raise FormatError(f"an image of {self.width} x {self.height} pixels cannot be stored")
        if isinstance(self.layout, TransformLayout) and self.layout.mask and not self.alpha:
            raise FormatError("an image without alpha has no mask")
        if isinstance(self.layout, IndexedLayout) and self.layers != 1:
            raise FormatError("an indexed image has one layer")
        if not 1 <= self.layers <= MAX_LAYERS:
            raise FormatError(f"{self.layers} layers cannot be stored")

    @property
    def channels(self) -> int:
        """Channels of the image: grey or three colours, and alpha if it has any."""
        return (1 if self.grey else 3) + self.alpha


def pack_header(header: Header) -> bytes:
    """Write a header in the fewest bytes."""
    layout = header.layout
    tiles = isinstance(layout, TileLayout)
    codebook = CODEBOOKS.index(header.model) + 1 if header.model in CODEBOOKS else 0
    size = header.width, header.height
    default_size = size == _default_size(layout)
    more = header.layers - 1 | _ALPHA * header.alpha | _special(layout)
    flags = _TILES * tiles | _GREY * header.grey | _DEFAULT_SIZE * default_size
    flags |= _MORE * bool(more) | codebook << 4
    return b"".join(
        [
            START,
            bytes([flags, more] if more else [flags]),
            b"" if codebook else header.model,
            _pack_layout(layout),
            b"" if default_size else b"".join(map(varint, size)),
        ]
    )


def read_header(reader: ByteReader) -> Header:
    """Read a header off the front of a file; the inverse of `pack_header`.

    Raises:
        FormatError: it is not a .ttk file, is newer than this version, or is damaged.
    """
    _read_start(reader)
    flags = reader.take(1)[0]
    more = reader.take(1)[0] if flags & _MORE else 0
    if flags & _MORE and not more:
        raise FormatError("made by a newer titokzip, or damaged: unknown flags")
    model = _read_model(reader, flags >> 4)
    layout = _read_layout(reader, bool(flags & _TILES), more)
    if more & _foreign(layout) or (more & _MASK and not more & _ALPHA):
        raise FormatError("made by a newer titokzip, or damaged: unknown flags")
    size = _default_size(layout)
    if not flags & _DEFAULT_SIZE:
        size = reader.varint(), reader.varint()
    if more & _SECTIONS:
        _skip_sections(reader)
    grey, alpha = bool(flags & _GREY), bool(more & _ALPHA)
    return Header(model, *size, layout, grey, alpha, (more & _LAYERS) + 1)


def _read_start(reader: ByteReader) -> None:
    start = reader.data[:2]
    if len(start) < 2 or start[0] != MAGIC or start[1] not in _VERSIONS:
        raise FormatError("not a .ttk file")
    version = _VERSIONS.index(reader.take(2)[1])
    if version != VERSION:
        why = "a draft that is no longer read" if version < VERSION else "this titokzip is too old"
        raise FormatError(f"format version {version}, not {VERSION}: {why}")


def _read_model(reader: ByteReader, codebook: int) -> bytes:
    if not codebook:
        return reader.take(FINGERPRINT_BYTES)
    if codebook > len(CODEBOOKS):
        raise FormatError(f"codebook {codebook} is newer than this titokzip, or damaged")
    return CODEBOOKS[codebook - 1]


def _foreign(layout: Layout) -> int:
    """Give the flags that no file of a layout has."""
    if isinstance(layout, TileLayout):
        return _ALPHA | _UNREFINED | _MASK | _INDEXED
    return _UNREFINED | _MASK | _LAYERS if isinstance(layout, IndexedLayout) else 0


def _pack_layout(layout: Layout) -> bytes:
    if isinstance(layout, TransformLayout):
        return bytes([layout.step]) + varint(layout.blocks)
    if isinstance(layout, IndexedLayout):
        return bytes([layout.colours - 1])
    return _pack_grid(layout.grid) + bytes([layout.tokens - 1])


def _special(layout: Layout) -> int:
    """Give the flags that tell how a layout differs from what is usual."""
    if isinstance(layout, TileLayout):
        return 0
    if isinstance(layout, IndexedLayout):
        return _INDEXED
    return _UNREFINED * (not layout.refined) | _MASK * layout.mask


def _read_layout(reader: ByteReader, tiles: bool, more: int) -> Layout:
    if not tiles and more & _INDEXED:
        return IndexedLayout(reader.take(1)[0] + 1)
    if not tiles:
        special = not more & _UNREFINED, bool(more & _MASK)
        return TransformLayout(reader.take(1)[0], reader.varint(), *special)
    grid = _read_grid(reader)
    return TileLayout(grid, reader.take(1)[0] + 1)


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
        raise FormatError("damaged: the grid is not in its shortest form")
    return grid


def _default_size(layout: Layout) -> tuple[int, int]:
    """Width and height of an image whose size is not stored."""
    if not isinstance(layout, TileLayout):
        return DEFAULT_SIDE, DEFAULT_SIDE
    return DEFAULT_SIDE * layout.grid.columns, DEFAULT_SIDE * layout.grid.rows


def _skip_sections(reader: ByteReader) -> None:
    sections = ByteReader(reader.take(reader.varint()))
    while sections.at < len(sections.data):
        tag = sections.take(1)[0]
        if tag >= _CRITICAL:
            raise FormatError(f"section {tag} is newer than this titokzip, or damaged")
        sections.take(sections.varint())
