"""Contact sheets of tensors."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from PIL import Image
from torch import Tensor

from titokzip.contact_sheet import of_images

MOST: Final = 8  # images in a row


def of_rows(rows: Sequence[Tensor]) -> Image.Image:
    """Lay out rows of images [B, 3, H, W] in 0..1 below each other, the first few of each."""
    columns = min(MOST, len(rows[0]))
    return of_images([to_image(pixels) for row in rows for pixels in row[:columns]], columns)


def to_image(pixels: Tensor) -> Image.Image:
    """Turn pixels [3, H, W] in 0..1 into an image."""
    levels = (pixels.float().cpu().clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
    return Image.fromarray(np.ascontiguousarray(levels))
