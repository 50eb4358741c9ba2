"""Pixels of every mode that Pillow has to 8 bits a channel, without a palette.

Integers of more bits are scaled by what their file says of them: how many bits there are, and
whether 0 is white. Floats, and integers whose range nobody knows, are refused.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from PIL import Image

from titokzip.errors import ImageError

_BITS, _WHITE_IS, _SAMPLE_FORMAT = 258, 262, 339  # tags of TIFF files
_SIGNED: Final = 2
_WORDS: Final = ("I;16", "I;16L", "I;16B", "I;16N")


@dataclass(frozen=True)
class Levels:
    """What the integers of an image mean."""

    top: int  # the level of white, or of black if it is inverted
    inverted: bool = False


def levels(image: Image.Image) -> Levels | None:
    """Tell what the integers of a loaded image mean; None if they have 8 bits.

    Raises:
        ImageError: its pixels have no known range.
    """
    tags = _tags(image)
    bits = max(_several(tags.get(_BITS)), default=16)
    if image.mode in _WORDS:
        return Levels(2**bits - 1, image.format == "TIFF" and not tags.get(_WHITE_IS, 0))
    if image.mode == "I" and (image.format == "PPM" or _fits_sixteen_bits(image)):
        signed = bits == 16 and _SIGNED in _several(tags.get(_SAMPLE_FORMAT))
        return Levels(2**15 - 1 if signed else 2**16 - 1)
    if image.mode in ("F", "I"):
        raise ImageError(f"pixels of mode {image.mode} have no known range; convert it first")
    return None


def expanded(image: Image.Image, levels: Levels | None) -> Image.Image:
    """Look colours up, and make transparency a channel: L, RGB, CMYK, LAB, LA or RGBA."""
    if levels is not None:
        image = _eight_bits(image, levels)
    if image.has_transparency_data:
        mode = "LA" if image.mode in ("1", "L", "LA", "La") else "RGBA"
        return image if image.mode == mode else image.convert(mode)
    if image.mode in ("L", "RGB", "CMYK", "LAB"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def parted(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Take an expanded image apart into colours or grey levels, and alpha."""
    if image.mode not in ("LA", "RGBA"):
        return image, None
    return image.convert(image.mode[:-1]), image.getchannel("A")


def _tags(image: Image.Image) -> dict[int, Any]:
    tags: dict[int, Any] = getattr(image, "tag_v2", {}) if image.format == "TIFF" else {}
    return tags


def _several(value: Any) -> tuple[int, ...]:
    """Read a tag of one number, or of one a channel, or none."""
    many = value if isinstance(value, tuple) else (value,)
    return tuple(one for one in many if isinstance(one, int))


def _fits_sixteen_bits(image: Image.Image) -> bool:
    """Tell whether 32-bit integers look like those of 16 bits."""
    low, high = image.getextrema()
    return isinstance(low, int | float) and low >= 0 and 255 < high < 2**16  # type: ignore[operator]


def _eight_bits(image: Image.Image, levels: Levels) -> Image.Image:
    numbers = np.asarray(image)
    shares = numbers / np.float32(levels.top / 255)
    if levels.inverted:
        shares = 255 - shares
    grey = Image.fromarray(np.rint(shares.clip(0, 255)).astype(np.uint8))
    clear = image.info.get("transparency")
    if clear is not None:
        grey.putalpha(Image.fromarray(np.where(numbers == clear, 0, 255).astype(np.uint8)))
    return grey
