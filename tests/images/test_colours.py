"""Colours become sRGB, as what comes with an image says which they are."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms
from pngs import chunk, png
from ramps import COLOURS, pixels, saved

from titokzip.images import plain, read


def first(*extra, pixel=(100, 180, 90), **how):
    """Read a PNG file of one colour, with chunks before it."""
    image = read(png(*extra, pixel=pixel, **how))
    assert len(np.unique(pixels(image).reshape(-1, 3), axis=0)) == 1
    return pixels(image)[0, 0].tolist()


def gama(value):
    return chunk(b"gAMA", struct.pack(">I", value))


def cicp(*values):
    return chunk(b"cICP", bytes(values))


def chrm(*values):
    return chunk(b"cHRM", struct.pack(">8I", *values))


SRGB_POINTS = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
P3_POINTS = (31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)
SRGB = chunk(b"sRGB", b"\0")
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def iccp():
    return chunk(b"iCCP", b"sRGB\0\0" + zlib.compress(PROFILE))


def test_linear_light_is_converted():
    assert first(gama(100000), pixel=(128, 128, 128)) == [188, 188, 188]
    grey = read(png(gama(100000), colour=0, pixel=(128,)))
    assert grey.grey
    assert pixels(grey)[0, 0].tolist() == [188, 188, 188]
    deep = png(gama(100000), depth=16, pixel=(128, 128) * 3)
    assert pixels(read(deep))[0, 0].tolist() == [188, 188, 188]
    palette = png(gama(100000), chunk(b"PLTE", bytes([128] * 3)), colour=3, pixel=(0,))
    assert pixels(read(palette))[0, 0].tolist() == [188, 188, 188]


@pytest.mark.parametrize(
    "extra",
    [
        [gama(45455)],
        [gama(45000)],
        [gama(45455), chrm(*SRGB_POINTS)],
        [gama(100000), SRGB],
        [gama(100000), chrm(*P3_POINTS), SRGB],
        [gama(100000), iccp()],
        [chrm(*P3_POINTS)],  # it counts beside gAMA only
        [gama(0)],
        [gama(2**31 - 1)],
        [gama(45455), chrm(*[0] * 8)],
        [gama(45455), chrm(*[30000] * 8)],
        [cicp(1, 13, 0, 1)],
        [cicp(2, 2, 0, 1)],
        [cicp(1, 13, 0, 1), gama(100000)],
    ],
)
def test_what_says_srgb_or_nothing_changes_nothing(extra):
    np.testing.assert_allclose(first(*extra), [100, 180, 90], atol=1)


@pytest.mark.parametrize(
    "extra", [[cicp(12, 13, 0, 1)], [cicp(12, 13, 0, 1), SRGB], [gama(45455), chrm(*P3_POINTS)]]
)
def test_display_p3_is_converted(extra):
    np.testing.assert_allclose(first(*extra), [65, 182, 77], atol=1)
    assert first(*extra, pixel=(255, 255, 255)) == [255, 255, 255]


def test_other_gamuts_are_converted():
    """White stays white, and a colour of a wide gamut is a stronger one of sRGB."""
    for primaries in (4, 5, 6, 9, 11, 12):
        assert first(cicp(primaries, 13, 0, 1), pixel=(255, 255, 255)) == [255, 255, 255]
    red, green, _ = first(cicp(9, 13, 0, 1))
    assert red < 65
    assert green > 180
    assert first(cicp(1, 8, 0, 1), pixel=(128, 128, 128)) == [188, 188, 188]


@pytest.mark.parametrize(
    ("code_points", "note"),
    [
        ((9, 16, 0, 1), "PQ"),
        ((9, 18, 0, 1), "HLG"),
        ((22, 13, 0, 1), "22/13"),
        ((1, 11, 0, 1), "11"),
    ],
)
def test_colours_that_are_passed_over_are_told(code_points, note):
    image = read(png(cicp(*code_points)))
    assert note in image.note
    assert "taken for sRGB" in image.note
    assert pixels(image)[0, 0].tolist() == [100, 180, 90]


def test_what_pillow_opened_is_converted_too():
    with Image.open(io.BytesIO(png(gama(45455), chrm(*P3_POINTS)))) as image:
        np.testing.assert_allclose(pixels(plain(image))[0, 0], [65, 182, 77], atol=1)


def test_code_points_of_avif_files_count():
    data = saved(Image.new("RGB", (16, 16), (100, 180, 90)), "AVIF", quality=100).getvalue()
    assert data.count(b"colrnclx\0\1\0\x0d") == 1
    np.testing.assert_allclose(pixels(read(data))[5, 5], [100, 180, 90], atol=2)
    wide = data.replace(b"colrnclx\0\1", b"colrnclx\0\x0c")
    np.testing.assert_allclose(pixels(read(wide))[5, 5], [65, 182, 77], atol=3)


def test_alpha_is_no_colour():
    image = read(png(gama(100000), colour=6, pixel=(128, 128, 128, 100)), keep_alpha=True)
    assert pixels(image)[0, 0].tolist() == [188] * 3
    assert np.asarray(image.alpha)[0, 0] == 100


def test_an_srgb_profile_changes_nothing():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = read(saved(Image.fromarray(COLOURS), icc_profile=profile))
    np.testing.assert_allclose(pixels(image).astype(int), COLOURS, atol=1)


def swapped_profile():
    """Make a profile whose red primary is sRGB's blue one, and the other way round."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert profile.count(b"rXYZ") == profile.count(b"bXYZ") == 1
    return profile.replace(b"rXYZ", b"????").replace(b"bXYZ", b"rXYZ").replace(b"????", b"bXYZ")


def test_a_profile_is_converted_to_srgb():
    image = read(saved(Image.fromarray(COLOURS), icc_profile=swapped_profile()))
    np.testing.assert_allclose(pixels(image).astype(int), COLOURS[..., ::-1], atol=2)


def test_a_background_is_srgb_whatever_the_profile():
    image = Image.new("RGBA", (2, 1), (255, 0, 0, 255))
    image.putpixel((1, 0), (0, 0, 0, 0))
    image = read(saved(image, icc_profile=swapped_profile()), "red")
    np.testing.assert_allclose(pixels(image)[0], [[0, 0, 255], [255, 0, 0]], atol=2)


def test_a_profile_that_does_not_fit_is_ignored():
    for profile in (b"garbage", ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()):
        assert np.array_equal(
            pixels(read(saved(Image.fromarray(COLOURS), icc_profile=profile))), COLOURS
        )
