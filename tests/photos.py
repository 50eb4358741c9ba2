"""Images that look a little like photos, made here and always the same."""

import io

import numpy as np
from PIL import Image


def photo(width, height, seed=0, mode="RGB"):
    """Make an image of slopes, discs, an edge and a little noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0 : max(height, 1), 0 : max(width, 1)].astype(np.float32)
    y, x = (y + 0.5) / height, (x + 0.5) / width
    pixels = rng.uniform(40, 160, 3) + x[..., None] * rng.uniform(-60, 60, 3)
    pixels = pixels + y[..., None] * rng.uniform(-60, 60, 3)
    for _ in range(4):
        centre, radius = rng.uniform(0, 1, 2), rng.uniform(0.08, 0.3)
        inside = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 < radius**2
        pixels[inside] = rng.uniform(0, 255, 3)
    pixels[(x + rng.uniform(0.2, 0.8) * y) > 1.2] += rng.uniform(-50, 50, 3)
    pixels += rng.normal(0, 3, pixels.shape)
    return Image.fromarray(np.rint(pixels.clip(0, 255)).astype(np.uint8)).convert(mode)


def psnr(one, other):
    """Compare two images, in dB, at most 100."""
    difference = np.asarray(one, np.float64) - np.asarray(other, np.float64)
    error = np.square(difference).mean()
    return 10 * np.log10(255**2 / error) if error else 100.0


def png(image):
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
