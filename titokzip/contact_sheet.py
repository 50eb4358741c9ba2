"""Contact sheets: images side by side, to look at; no torch."""

from collections.abc import Sequence

from PIL import Image


def of_images(images: Sequence[Image.Image], columns: int) -> Image.Image:
    """Lay out images of one size in so many columns, row by row, on white."""
    width, height = images[0].size
    rows = -(-len(images) // columns)
    sheet = Image.new("RGB", (width * min(columns, len(images)), height * rows), "white")
    for i, image in enumerate(images):
        sheet.paste(image, (width * (i % columns), height * (i // columns)))
    return sheet
