"""A ramp of six levels in grey and in colour, saved and read again."""

import io

import numpy as np

RAMP = np.arange(6, dtype=np.uint8).reshape(2, 3) * 50  # [2, 3]
COLOURS = np.stack([RAMP, RAMP[::-1], 255 - RAMP], axis=2)  # [2, 3, 3]


def saved(image, kind="PNG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    file.seek(0)
    return file


def pixels(image):
    assert image.image.mode == "RGB"
    return np.asarray(image.image)
