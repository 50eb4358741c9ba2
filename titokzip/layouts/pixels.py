"""Pixels [H, W, C] of images, and back: grey (1 channel), red, green and blue (3), alpha last."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from titokzip.images import InputImage
from titokzip.layouts.protocol import Size

Pixels = NDArray[np.uint8]


def pixels_of(image: InputImage) -> Pixels:
    """Give the pixels of an image: grey or colour, and alpha if there is any."""
    colours = np.asarray(image.image.convert("L") if image.grey else image.image)
    parts = [colours.reshape(*colours.shape[:2], -1)]
    if image.alpha is not None:
        parts.append(np.asarray(image.alpha)[:, :, None])
    return np.concatenate(parts, axis=2)


def to_image(pixels: Pixels) -> Image.Image:
    """Make an image of mode L, LA, RGB or RGBA."""
    if pixels.shape[2] == 1:
        return Image.fromarray(np.ascontiguousarray(pixels[:, :, 0]))
    return Image.fromarray(np.ascontiguousarray(pixels))


def at_size(image: Image.Image, size: Size | None) -> Image.Image:
    """Resample an image; None leaves its own size."""
    if size in (None, image.size):
        return image
    return image.resize(size, Image.Resampling.LANCZOS)
