"""Levels of more than 8 bits are scaled by what their file says of them."""

import io

import numpy as np
import pytest
from PIL import Image
from ramps import RAMP, pixels
from tiffs import tiff

from titokzip.errors import ImageError
from titokzip.images import read


def saved(image, kind="PNG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def refused(data, message):
    with pytest.raises(ImageError, match=message):
        read(data)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_sixteen_bits_are_rounded_to_eight(kind):
    levels = np.array([[0, 128, 129, 257, 32896, 65406, 65407, 65535]], np.uint16)
    image = read(saved(Image.fromarray(levels), kind))
    assert image.grey
    assert pixels(image)[0, :, 0].tolist() == [0, 0, 1, 1, 128, 254, 255, 255]


def test_a_transparent_level_of_sixteen_bits_is_seen():
    source = saved(Image.fromarray(np.array([[7, 65535]], np.uint16)), transparency=7)
    refused(source, "no background")
    assert pixels(read(source, "white")).min() == 255


def test_pixels_without_a_range_are_refused():
    refused(saved(Image.fromarray(RAMP.astype(np.float32)), "TIFF"), "mode F")
    refused(saved(Image.fromarray(RAMP.astype(np.int32) * 10**6), "TIFF"), "mode I ")
    refused(saved(Image.fromarray(RAMP.astype(np.int32) - 5), "TIFF"), "mode I ")


@pytest.mark.parametrize("bits", [8, 16])
def test_white_may_be_zero(bits):
    levels = RAMP if bits == 8 else RAMP.astype("<u2") * 257
    image = read(tiff(levels.tobytes(), 3, 2, tag_258=bits, tag_262=0))
    assert np.array_equal(pixels(image)[..., 0], 255 - RAMP)
    assert image.grey


def test_twelve_bits_of_a_tiff_file_are_scaled():
    levels = bytes([0x80, 0x0F, 0xFF])  # 2048 and 4095
    assert pixels(read(tiff(levels, 2, 1, tag_258=12)))[0, :, 0].tolist() == [128, 255]


def test_signed_levels_have_the_white_of_their_type():
    levels = np.array([0, 16384, 32767], "<i2").tobytes()
    assert pixels(read(tiff(levels, 3, 1, tag_258=16, tag_339=2)))[0, :, 0].tolist() == [
        0,
        128,
        255,
    ]
    below = np.array([-1, 0, 32767], "<i2").tobytes()
    refused(tiff(below, 3, 1, tag_258=16, tag_339=2), "no known range")
    assert pixels(read(tiff(bytes([0, 7, 255]), 3, 1, tag_339=2)))[0, :, 0].tolist() == [0, 7, 255]


def test_grey_maps_of_any_depth_are_scaled():
    source = b"P5 3 1 1023\n" + np.array([0, 512, 1023], ">u2").tobytes()
    assert pixels(read(source))[0, :, 0].tolist() == [0, 128, 255]
    dark = b"P5 2 1 65535\n" + np.array([0, 255], ">u2").tobytes()
    assert pixels(read(dark))[0, :, 0].tolist() == [0, 1]


def test_lab_becomes_srgb():
    """Lightness 100 is white; a positive and b none is a red."""
    image = Image.frombytes("LAB", (2, 1), bytes([255, 0, 0, 128, 48, 0]))
    white, red = pixels(read(saved(image, "TIFF")))[0].tolist()
    assert min(white) > 250
    assert red[0] > red[1] + 60
