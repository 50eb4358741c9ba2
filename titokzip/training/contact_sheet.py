"""Contact sheets: images side by side, to look at."""

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

MOST = 8  # images in a row


def of_rows(rows: Sequence[Tensor]) -> Image.Image:
    """Lay out rows of images [B, 3, H, W] in 0..1 below each other, the first few of each."""
    strips = [torch.cat(list(row[:MOST].float().cpu()), dim=2) for row in rows]
    return to_image(torch.cat(strips, dim=1))


def of_images(images: Sequence[Image.Image], columns: int) -> Image.Image:
    """Lay out images of one size in so many columns."""
    width, height = images[0].size
    rows = -(-len(images) // columns)
    sheet = Image.new("RGB", (width * min(columns, len(images)), height * rows), "white")
    for i, image in enumerate(images):
        sheet.paste(image, (width * (i % columns), height * (i // columns)))
    return sheet


def to_image(pixels: Tensor) -> Image.Image:
    """Turn pixels [3, H, W] in 0..1 into an image."""
    levels = (pixels.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    return Image.fromarray(np.ascontiguousarray(levels))
