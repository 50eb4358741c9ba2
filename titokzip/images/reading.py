"""Image files to plain pixels: upright, 8 bits, sRGB; or one clear line why not.

What would be lost silently is refused: transparency needs a background to be flattened on, and
floats have no range that we could know. Of an animation the first frame is taken.

Memory is bounded. A large image is reduced while it is read, to pixels that are enough for the
codec: PNG row by row, JPEG by its decoder. What Pillow can only decode whole takes four bytes a
pixel, one large image at a time.
"""

import errno
import io
import math
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Final

from PIL import Image, ImageColor

from titokzip.errors import ImageError, PixelLimitError, Transparent
from titokzip.images import colours, formats, modes, orientation
from titokzip.images.quiet import quiet

MAX_PIXELS: Final = 300_000_000  # read without asking; four bytes each where decoded whole
ENOUGH: Final = 2**24  # pixels that are left of a larger image, at the least
_BAND: Final = 2**21  # pixels that are converted at once
_LARGE: Final = 2**25  # pixels of an image that is decoded alone
_alone: AbstractContextManager[Any] = threading.Lock()


def share_memory(alone: AbstractContextManager[Any]) -> None:
    """Have processes that share a lock decode large images one at a time, together."""
    global _alone
    _alone = alone


@dataclass(frozen=True)
class InputImage:
    """An image as the codec takes it: upright sRGB, and whether it was grey.

    `image` may have been reduced; `width` and `height` are those of the original, upright.
    """

    image: Image.Image  # mode RGB
    grey: bool
    frames: int = 1
    alpha: Image.Image | None = None  # mode L, of the size of `image`; none: it is opaque
    original: tuple[int, int] | None = None  # width and height, where `image` may be reduced
    note: str = ""  # what was passed over, for the report

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the original."""
        return self.original or self.image.size

    @property
    def width(self) -> int:
        """Pixels of the original, across."""
        return self.size[0]

    @property
    def height(self) -> int:
        """Pixels of the original, down."""
        return self.size[1]


def read(
    source: Path | bytes | IO[bytes],
    background: str | None = None,
    *,
    keep_alpha: bool = False,
    enough: int = ENOUGH,
    max_pixels: int = MAX_PIXELS,
) -> InputImage:
    """Open an image file and make it plain.

    An image of much more than `enough` pixels is reduced by a whole number, to at least as many.

    Raises:
        ImageError: it is no image, is damaged, has more than `max_pixels`, or `plain` refuses it.
        ValueError: `background` is no colour.
    """
    if background is not None:
        ImageColor.getrgb(background)
    if isinstance(source, Path):
        with source.open("rb") as stream:
            return read(
                stream, background, keep_alpha=keep_alpha, enough=enough, max_pixels=max_pixels
            )
    file = io.BytesIO(source) if isinstance(source, bytes) else source
    try:
        with quiet():
            decoded = _decoded(formats.open_image(file), enough, max_pixels)
        return _flattened(decoded, background, keep_alpha)
    except (ImageError, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise PixelLimitError("more pixels than PIL.Image.MAX_IMAGE_PIXELS allows") from error
    except Exception as error:  # Pillow's decoders raise whatever damage leads them to
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise  # it is the disk, and not a place before the start of the file
        reason = " ".join((str(error) or type(error).__name__).split())
        raise ImageError(f"damaged, or of a kind that is not read ({reason})") from error


def plain(
    image: Image.Image, background: str | None = None, *, keep_alpha: bool = False
) -> InputImage:
    """Make an image upright sRGB; `background` is a colour to lay transparent pixels on.

    With `keep_alpha`, and no background, transparency is kept as a plane of its own.

    Raises:
        Transparent: it is transparent, and neither is given.
        ImageError: its pixels are floats, or it has none.
    """
    if not image.width or not image.height:
        raise ImageError("it has no pixels")
    image.load()
    whole = replace(_assembled(image, _cut(image, 1), 1), frames=formats.frames(image))
    return _flattened(whole, background, keep_alpha)


def _decoded(opened: formats.Opened, enough: int, max_pixels: int) -> InputImage:
    """Decode an image, reduced where it has more pixels than are of use."""
    image = opened.image
    width, height = size = image.size
    if width * height > max_pixels:
        raise PixelLimitError(
            f"{width} x {height} pixels are more than the limit of {max_pixels:,}"
        )
    factor = max(1, math.isqrt(width * height // enough))
    with _alone if width * height > _LARGE else nullcontext():
        if factor > 1 and opened.bands:
            bands = opened.bands(_rows(size, factor))
        else:
            drafted = _draft(image, factor)
            image = opened.whole()
            size = size if drafted > 1 else image.size
            factor //= drafted
            bands = _cut(image, factor)
        done = _assembled(image, bands, factor)
    turned = orientation.turn(image) in orientation.ON_THEIR_SIDE
    original = (size[1], size[0]) if turned else size
    return replace(done, frames=opened.frames, original=original)


def _draft(image: Image.Image, factor: int) -> int:
    """Have JPEG's decoder do as much of a reduction as it can; by how much."""
    if factor == 1 or image.format not in ("JPEG", "MPO"):
        return 1
    width = image.width
    image.draft(image.mode, (max(1, width // factor), max(1, image.height // factor)))
    return round(width / image.width)


def _rows(size: tuple[int, int], factor: int) -> int:
    """Choose how many rows are converted at once; the factor divides it."""
    return factor * max(1, _BAND // (size[0] * factor))


def _cut(image: Image.Image, factor: int) -> Iterator[Image.Image]:
    """Cut an image into bands."""
    rows = _rows(image.size, factor)
    if rows >= image.height:
        yield image
        return
    for top in range(0, image.height, rows):
        yield image.crop((0, top, image.width, min(top + rows, image.height)))


def _assembled(image: Image.Image, bands: Iterator[Image.Image], factor: int) -> InputImage:
    """Convert bands of an image, reduce them by a factor, and join them, upright.

    `image` tells how its pixels are meant, and need not have any.
    """
    levels = modes.levels(image)
    canvas = _Canvas((-(-image.width // factor), -(-image.height // factor)))
    convert: colours.Convert | None = None
    grey, note = False, ""
    for band in bands:
        expanded = modes.expanded(band, levels)
        if factor > 1:
            expanded = expanded.reduce(factor)
        colour, alpha = modes.parted(expanded)
        if convert is None:
            grey = colour.mode == "L"
            convert, note = colours.conversion(image, colour.mode)
        canvas.add(convert(colour), alpha)
    assert canvas.colours is not None, "an image has at least one band"
    planes = [canvas.colours, canvas.alpha]
    turn = orientation.turn(image)
    if turn is not None:
        planes = [plane.transpose(turn) if plane else None for plane in planes]
    upright, alpha = planes
    assert upright is not None
    return InputImage(upright, grey, alpha=alpha, note=note)


@dataclass
class _Canvas:
    """What bands are joined on; a single one is taken as it is."""

    size: tuple[int, int]
    colours: Image.Image | None = None
    alpha: Image.Image | None = None
    top: int = 0

    def add(self, colour: Image.Image, alpha: Image.Image | None) -> None:
        """Put a band below those that are there."""
        if colour.size == self.size:
            self.colours, self.alpha = colour, alpha
            return
        if self.colours is None:
            self.colours = Image.new("RGB", self.size)
            self.alpha = Image.new("L", self.size) if alpha else None
        self.colours.paste(colour, (0, self.top))
        if self.alpha and alpha:
            self.alpha.paste(alpha, (0, self.top))
        self.top += colour.height


def _flattened(image: InputImage, background: str | None, keep_alpha: bool) -> InputImage:
    """Settle what becomes of transparency, if there is any."""
    alpha = image.alpha
    if alpha is None or alpha.getextrema() == (255, 255):
        return replace(image, alpha=None)
    if background is None:
        if keep_alpha:
            return image
        raise Transparent("it is transparent, and no background is given")
    paper = Image.new("RGB", alpha.size, background)
    grey = image.grey and len(set(ImageColor.getrgb(background)[:3])) == 1
    flat = Image.composite(image.image, paper, alpha)
    return replace(image, image=flat, grey=grey, alpha=None)
