"""The image formats that are read and written, and how a file of one of them is opened.

Pillow identifies a file by its contents, and among what it knows are formats that start another
program (Ghostscript for EPS) or hold no raster image. So only the formats listed here are tried,
whatever a file's name says.
"""

import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from typing import IO, Any, Final

from PIL import Image

from titokzip.errors import ImageError
from titokzip.images.png import SIGNATURE, Png

# Formats that are read, and the suffixes of their files. TGA files have no signature: it is last.
READ: Final[dict[str, tuple[str, ...]]] = {
    "PNG": (".png", ".apng"),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
    "WEBP": (".webp",),
    "AVIF": (".avif",),
    "HEIF": (".heic", ".heif", ".hif"),
    "GIF": (".gif",),
    "TIFF": (".tif", ".tiff"),
    "BMP": (".bmp",),
    "DIB": (".dib",),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
    "JPEG2000": (".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"),
    "PSD": (".psd",),
    "QOI": (".qoi",),
    "DDS": (".dds",),
    "SGI": (".sgi", ".rgb", ".rgba", ".bw"),
    "SUN": (".ras",),
    "PCX": (".pcx",),
    "ICO": (".ico",),
    "CUR": (".cur",),
    "ICNS": (".icns",),
    "TGA": (".tga", ".icb", ".vda", ".vst"),
}
SUFFIXES: Final = frozenset(suffix for suffixes in READ.values() for suffix in suffixes)

# Pillow's modules whose names are not those of the formats.
_PLUGINS: Final = {"WEBP": "WebP", "DIB": "Bmp", "JPEG2000": "Jpeg2K"}

_ANIMATED: Final = {"GIF", "PNG", "WEBP", "AVIF", "TIFF", "MPO"}

# Formats that are written: those that keep every size and every colour, losses aside.
WRITTEN: Final = {
    ".png": "PNG",
    ".webp": "WEBP",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".ppm": "PPM",
    ".bmp": "BMP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".avif": "AVIF",
    ".jp2": "JPEG2000",
    ".tga": "TGA",
}

# Formats of those that are written without transparency; Pillow drops it from some silently.
OPAQUE: Final = frozenset({"JPEG", "PPM", "BMP"})

# What else people try, by how it starts.
_FOREIGN: Final = {
    b"%!PS": "PostScript",
    b"\xc5\xd0\xd3\xc6": "PostScript",
    b"%PDF": "PDF",
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    b"<svg": "SVG",
    b"v/1\x01": "OpenEXR",
    b"#?RADIANCE": "Radiance HDR",
    b"\x97U": ".ttk",
}
_HEVC: Final = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_SUBFILE_TYPE, _DNG_VERSION = 254, 50706  # tags of TIFF files
_START: Final = 2**14  # bytes that tell formats apart


@dataclass(frozen=True)
class Opened:
    """An image file whose header was read."""

    image: Image.Image  # `info` has what says how its pixels are meant
    frames: int
    whole: Callable[[], Image.Image]  # decodes all pixels
    bands: Callable[[int], Iterator[Image.Image]] | None = None  # or so many rows at a time


def open_image(file: IO[bytes]) -> Opened:
    """Identify an image file, and read its header.

    Raises:
        ImageError: the file is of none of the formats in `READ`, or its header is damaged.
    """
    file.seek(0)
    start = file.read(_START)
    if start.startswith(SIGNATURE):
        png = Png(file)
        return Opened(png.image, png.frames, png.whole, None if png.interlaced else png.bands)
    image = _open_heic(file) if _is_heic(start) else _identified(file, start)
    if image.format == "TIFF" and _begins_with_preview(image, start):
        raise ImageError("a camera raw file, or another that begins with a preview")
    if image.format in ("AVIF", "HEIF") and (code_points := _cicp(start)):
        image.info.setdefault("cicp", code_points)

    def whole() -> Image.Image:
        image.load()
        return image

    return Opened(image, frames(image), whole)


def _begins_with_preview(image: Any, start: bytes) -> bool:
    """Tell whether the first image of a TIFF file stands for a larger one, as a camera's does."""
    tags = image.tag_v2
    reduced = tags.get(_SUBFILE_TYPE, 0)
    return (
        (isinstance(reduced, int) and bool(reduced & 1))
        or _DNG_VERSION in tags
        or start[8:10] == b"CR"
    )


def frames(image: Image.Image) -> int:
    """Count the images of a file, of a format where each is one and not a layer or a size."""
    return getattr(image, "n_frames", 1) if image.format in _ANIMATED else 1


def _identified(file: IO[bytes], start: bytes) -> Image.Image:
    """Try format after format, as Image.open does, and without its limit on pixels."""
    reason = ""
    for name in READ:
        if name not in Image.OPEN:
            _import_plugin(name)
        if name not in Image.OPEN:
            continue
        factory, accept = Image.OPEN[name]
        accepted = _accepts(accept, start[:16])
        if isinstance(accepted, str):
            reason = accepted  # the format is known, and this Pillow was built without it
        elif accepted:
            file.seek(0)
            try:
                return factory(file, "")
            except (SyntaxError, IndexError, TypeError, struct.error) as error:
                reason = reason or (f"{name}: {error}" if accept else "")
    for prefix, name in _FOREIGN.items():
        if start.startswith(prefix):
            raise ImageError(f"{name} files are not read")
    if reason:
        raise ImageError(f"damaged, or of a kind that is not read ({reason})")
    raise ImageError("not an image of a format that is read")


def _import_plugin(name: str) -> None:
    """Have Pillow know one more format: Image.init would import all of its plugins."""
    with suppress(ImportError):  # this Pillow is too old for it
        import_module(f"PIL.{_PLUGINS.get(name, name.capitalize())}ImagePlugin")


def _accepts(accept: Callable[[bytes], bool | str] | None, start: bytes) -> bool | str:
    """Ask a format whether a file starts as its files do; a format without an answer is tried."""
    try:
        return accept(start) if accept else True
    except struct.error:  # too short for it
        return False


def _is_heic(start: bytes) -> bool:
    return start[4:8] == b"ftyp" and not _HEVC.isdisjoint(_brands(start))


def _brands(start: bytes) -> set[bytes]:
    """List the brands of an ISO media file: the major one, and those it is compatible with."""
    end = min(int.from_bytes(start[:4], "big"), 512)
    return {start[at : at + 4] for at in (8, *range(16, end, 4))}


def _open_heic(file: IO[bytes]) -> Image.Image:
    try:
        import pillow_heif
    except ImportError:
        raise ImageError(
            "HEIC images are read by pillow-heif, which is not installed: pip install pillow-heif"
        ) from None
    file.seek(0)
    opener: Any = pillow_heif.HeifImageFile  # registers nothing with Pillow
    image: Image.Image = opener(file)
    return image


def _cicp(start: bytes) -> tuple[int, int, int, int] | None:
    """Find the colour space of an ISO media file that has no profile: its `colr` box."""
    at = start.find(b"colrnclx")
    if at < 0 or len(start) < at + 15:
        return None
    primaries, transfer, matrix, full = struct.unpack(">HHHB", start[at + 8 : at + 15])
    return primaries, transfer, matrix, full >> 7
