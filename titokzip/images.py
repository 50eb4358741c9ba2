"""Any picture that Pillow opens to plain RGB, or one clear line why not.

What would be lost silently is refused: transparency needs a background to be flattened on, and
floats have no range that we could know. Orientation is applied, colour profiles are converted to
sRGB, and of an animation the first frame is taken.
"""

import io
import struct
import threading
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageCms, ImageColor, ImageOps, UnidentifiedImageError

from titokzip.errors import ImageError

_MAX_PIXELS = 2**30  # a picture of four gigabytes: beyond it, a header is taken for a bomb


@dataclass(frozen=True)
class InputImage:
    """A picture as the codec takes it: upright sRGB, and whether it was grey."""

    image: Image.Image  # mode RGB
    grey: bool
    frames: int = 1
    alpha: Image.Image | None = None  # mode L; None: opaque


def read(source: Path | BinaryIO, background: str | None = None) -> InputImage:
    """Open a picture file and make it plain.

    Raises:
        ImageError: it is no picture, is damaged, or `plain` refuses it.
        ValueError: `background` is no colour.
    """
    if background is not None:
        ImageColor.getrgb(background)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of large and odd files that we accept
        try:
            with _opened(source) as image:
                if image.width * image.height > _MAX_PIXELS:
                    raise ImageError(f"{image.width} x {image.height} pixels are too many")
                image.load()
                return plain(image, background)
        except ImageError:
            raise
        except UnidentifiedImageError as error:
            raise ImageError("not a picture that Pillow can read") from error
        except Exception as error:  # its decoders raise whatever damage leads them to
            if isinstance(error, OSError) and error.filename:
                raise
            reason = str(error) or type(error).__name__
            raise ImageError(f"damaged, or of an unknown kind ({reason})") from error


def plain(image: Image.Image, background: str | None = None) -> InputImage:
    """Make a picture upright sRGB without transparency; `background` is a colour to lay it on.

    Raises:
        ImageError: it is transparent and there is no background, its pixels are floats, or it has
            none.
    """
    frames = getattr(image, "n_frames", 1)
    if not image.width or not image.height:
        raise ImageError("it has no pixels")
    image = _upright(image)
    if image.mode in ("F", "I") and not _is_sixteen_bit(image):
        raise ImageError(f"pixels of mode {image.mode} have no known range; convert it first")
    if image.mode.startswith("I"):
        image = _eight_bits(image)
    if not image.has_transparency_data:
        return InputImage(_to_srgb(image), image.mode in ("1", "L"), frames)
    colours, alpha = _parted(image)
    grey, colours = colours.mode == "L", _to_srgb(colours)
    if alpha.getextrema() != (255, 255):
        if background is None:
            raise ImageError("it is transparent; --background white (or any colour) flattens it")
        paper = Image.new("RGB", colours.size, background)
        grey = grey and len(set(ImageColor.getrgb(background)[:3])) == 1
        colours = Image.composite(colours, paper, alpha)
    return InputImage(colours, grey, frames)


_lock = threading.Lock()


def _opened(source: Path | BinaryIO) -> Image.Image:
    """Open a picture of up to our own number of pixels: Pillow's limit, a global, is lower."""
    with _lock:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(source)
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except (SyntaxError, ValueError, TypeError, KeyError, struct.error):
        return image  # EXIF data that nobody can read turns nothing


def _is_sixteen_bit(image: Image.Image) -> bool:
    """Tell whether 32-bit integers are a 16-bit file's, such as a PGM's."""
    if image.mode != "I":
        return False
    low, high = image.getextrema()
    return isinstance(low, int | float) and low >= 0 and 255 < high < 2**16  # type: ignore[operator]


def _eight_bits(image: Image.Image) -> Image.Image:
    levels = np.asarray(image)
    grey = Image.fromarray(np.rint(levels / np.float32(257)).astype(np.uint8))
    grey.info = image.info.copy()
    clear = grey.info.pop("transparency", None)
    if clear is not None:
        grey.putalpha(Image.fromarray(np.where(levels == clear, 0, 255).astype(np.uint8)))
    return grey


def _parted(image: Image.Image) -> tuple[Image.Image, Image.Image]:
    """Take a picture with transparency apart into colours or grey levels, and alpha."""
    whole = image.convert("LA" if image.mode in ("1", "L", "LA", "La") else "RGBA")
    colours = whole.convert(whole.mode[:-1])
    return colours, whole.getchannel("A")


def _to_srgb(image: Image.Image) -> Image.Image:
    profile = image.info.get("icc_profile")
    if image.mode == "P":
        image = image.convert("RGB")
    if profile and image.mode in ("RGB", "CMYK", "L"):
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            target = ImageCms.createProfile("sRGB")
            converted = ImageCms.profileToProfile(image, source, target, outputMode="RGB")
        except (ImageCms.PyCMSError, OSError):
            converted = None  # a profile that does not fit its picture: viewers ignore it too
        if converted is not None:
            return converted
    return image.convert("RGB")
