"""Every kind of picture comes out right, or is refused in one line."""

import io

import numpy as np
import pytest
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngImageFile

from titokzip import images
from titokzip.errors import ImageError
from titokzip.images import plain, read

RAMP = np.arange(6, dtype=np.uint8).reshape(2, 3) * 50  # [2, 3]
COLOURS = np.stack([RAMP, RAMP[::-1], 255 - RAMP], axis=2)  # [2, 3, 3]


def saved(image, kind="PNG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    file.seek(0)
    return file


def pixels(picture):
    assert picture.image.mode == "RGB"
    return np.asarray(picture.image)


def refused(source, message, **options):
    """Expect one line that says what is wrong."""
    with pytest.raises(ImageError, match=message) as caught:
        read(source, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "WEBP", "PPM"])
def test_colours_come_through(kind):
    options = {"lossless": True} if kind == "WEBP" else {}
    picture = read(saved(Image.fromarray(COLOURS), kind, **options))
    assert np.array_equal(pixels(picture), COLOURS)
    assert (picture.grey, picture.frames) == (False, 1)


def test_grey_stays_grey():
    picture = read(saved(Image.fromarray(RAMP)))
    assert picture.grey
    assert np.array_equal(pixels(picture), np.stack([RAMP] * 3, axis=2))


def test_black_and_white_is_grey():
    picture = read(saved(Image.fromarray(RAMP > 100)))
    assert picture.grey
    assert np.array_equal(pixels(picture)[..., 0], (RAMP > 100) * 255)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_sixteen_bits_are_rounded_to_eight(kind):
    levels = np.array([[0, 128, 129, 257, 32896, 65406, 65407, 65535]], np.uint16)
    picture = read(saved(Image.fromarray(levels), kind))
    assert picture.grey
    assert pixels(picture)[0, :, 0].tolist() == [0, 0, 1, 1, 128, 254, 255, 255]


def test_a_transparent_level_of_sixteen_bits_is_seen():
    source = saved(Image.fromarray(np.array([[7, 65535]], np.uint16)), transparency=7)
    refused(source, "--background")
    assert pixels(read(source, "white")).min() == 255


def test_a_palette_is_looked_up():
    image = Image.fromarray(COLOURS).quantize(8)
    expected = np.asarray(image.convert("RGB"))
    assert np.array_equal(pixels(read(saved(image))), expected)


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_a_palette_with_transparency_needs_a_background(kind):
    image = Image.fromarray(np.array([[0, 1]], np.uint8)).convert("P")
    image.putpalette([10, 20, 30, 200, 100, 0])
    source = saved(image, kind, transparency=0)
    refused(source, "--background")
    assert pixels(read(source, "#0000ff")).tolist() == [[[0, 0, 255], [200, 100, 0]]]


def test_alpha_that_hides_nothing_is_dropped():
    picture = read(saved(Image.fromarray(np.dstack([COLOURS, np.full_like(RAMP, 255)]))))
    assert np.array_equal(pixels(picture), COLOURS)
    picture = read(saved(Image.fromarray(np.dstack([RAMP, np.full_like(RAMP, 255)]))))
    assert picture.grey
    assert np.array_equal(pixels(picture)[..., 0], RAMP)


def test_transparency_needs_a_background_and_gets_it():
    image = Image.new("RGBA", (2, 1), (200, 0, 0, 0))
    image.putpixel((1, 0), (200, 100, 0, 128))
    refused(saved(image), "--background")
    assert pixels(read(saved(image), "white")).tolist() == [[[255, 255, 255], [227, 177, 127]]]
    assert pixels(read(saved(image), "rgb(0, 0, 255)"))[0, 0].tolist() == [0, 0, 255]


@pytest.mark.parametrize(("background", "grey"), [("grey", True), ("#fff", True), ("red", False)])
def test_transparent_grey_is_grey_on_grey(background, grey):
    picture = read(saved(Image.new("LA", (2, 2), (100, 0))), background)
    assert picture.grey == grey
    colour = Image.new("RGB", (1, 1), background).getpixel((0, 0))
    assert (pixels(picture) == colour).all()


def test_a_background_that_is_no_colour_is_a_wrong_argument():
    with pytest.raises(ValueError, match="unknown color"):
        read(saved(Image.fromarray(RAMP)), "beautiful")


def test_cmyk_becomes_rgb():
    image = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    colour = pixels(read(saved(image, "JPEG", quality=95))).mean(axis=(0, 1))
    np.testing.assert_allclose(colour, [254, 0, 0], atol=6)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_upright(orientation):
    turns = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Image.Transpose that was done to it
    upright = Image.fromarray(COLOURS)
    turned = upright
    if orientation in turns:
        turned = upright.transpose(Image.Transpose(turns[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert np.array_equal(pixels(read(saved(turned, exif=exif))), COLOURS)


def test_exif_data_that_is_damaged_turns_nothing():
    for exif in (b"Exif\0\0MM\0*\0\0", b"Exif\0\0II garbage", b"garbage"):
        picture = read(saved(Image.fromarray(COLOURS), exif=exif))
        assert np.array_equal(pixels(picture), COLOURS)


def test_an_srgb_profile_changes_nothing():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture = read(saved(Image.fromarray(COLOURS), icc_profile=profile))
    np.testing.assert_allclose(pixels(picture).astype(int), COLOURS, atol=1)


def swapped_profile():
    """Make a profile whose red primary is sRGB's blue one, and the other way round."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert profile.count(b"rXYZ") == profile.count(b"bXYZ") == 1
    return profile.replace(b"rXYZ", b"????").replace(b"bXYZ", b"rXYZ").replace(b"????", b"bXYZ")


def test_a_profile_is_converted_to_srgb():
    picture = read(saved(Image.fromarray(COLOURS), icc_profile=swapped_profile()))
    np.testing.assert_allclose(pixels(picture).astype(int), COLOURS[..., ::-1], atol=2)


def test_a_background_is_srgb_whatever_the_profile():
    image = Image.new("RGBA", (2, 1), (255, 0, 0, 255))
    image.putpixel((1, 0), (0, 0, 0, 0))
    picture = read(saved(image, icc_profile=swapped_profile()), "red")
    np.testing.assert_allclose(pixels(picture)[0], [[0, 0, 255], [255, 0, 0]], atol=2)


def test_a_profile_that_does_not_fit_is_ignored():
    for profile in (b"garbage", ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()):
        assert np.array_equal(
            pixels(read(saved(Image.fromarray(COLOURS), icc_profile=profile))), COLOURS
        )


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_of_an_animation_the_first_frame_is_taken(kind):
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "lime", "blue")]
    options = {"lossless": True} if kind == "WEBP" else {}
    source = saved(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    picture = read(source)
    assert picture.frames == 3
    assert (pixels(picture) == (255, 0, 0)).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1)])
def test_thin_pictures_are_pictures(size):
    picture = read(saved(Image.new("RGB", size, "teal")))
    assert picture.image.size == size
    assert (pixels(picture) == (0, 128, 128)).all()


def test_pixels_without_a_range_are_refused():
    refused(saved(Image.fromarray(RAMP.astype(np.float32)), "TIFF"), "mode F")
    refused(saved(Image.fromarray(RAMP.astype(np.int32) * 10**6), "TIFF"), "mode I ")
    refused(saved(Image.fromarray(RAMP.astype(np.int32) - 5), "TIFF"), "mode I ")


def test_a_picture_without_pixels_is_refused():
    with pytest.raises(ImageError, match="no pixels"):
        plain(Image.new("RGB", (0, 5)))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"])
def test_cut_pictures_are_refused(kind):
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    data = saved(Image.fromarray(noise), kind).getvalue()
    for share in (0.02, 0.5, 0.9):
        refused(io.BytesIO(data[: int(share * len(data))]), "damaged|not a picture")


@pytest.mark.parametrize("error", [IndexError, RuntimeError, TypeError, MemoryError])
def test_whatever_a_decoder_raises_is_a_picture_error(monkeypatch, error):
    def load(self):
        raise error

    source = saved(Image.fromarray(COLOURS))
    monkeypatch.setattr(PngImageFile, "load", load)
    refused(source, error.__name__)


def test_damaged_bytes_give_pictures_or_picture_errors():
    data = saved(Image.fromarray(COLOURS).quantize(4), "GIF").getvalue()
    rng = np.random.default_rng(0)
    errors = 0
    for _ in range(500):
        damaged = bytearray(data)
        damaged[rng.integers(len(data))] = rng.integers(256)
        try:
            pixels(read(io.BytesIO(damaged), "white"))
        except ImageError:
            errors += 1
    assert 0 < errors < 500


@pytest.mark.parametrize("data", [b"", b"Dear diary,\n", b"\x97U", bytes(1000)])
def test_what_is_no_picture_is_refused(data):
    refused(io.BytesIO(data), "not a picture")


def test_files_that_cannot_be_opened_say_so_themselves(tmp_path):
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "missing.png")
    with pytest.raises(IsADirectoryError):
        read(tmp_path)


def test_our_own_limit_on_pixels_counts_and_not_the_one_of_pillow(monkeypatch):
    source = saved(Image.fromarray(COLOURS))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2)
    assert np.array_equal(pixels(read(source)), COLOURS)
    assert Image.MAX_IMAGE_PIXELS == 2
    monkeypatch.setattr(images, "_MAX_PIXELS", 5)
    refused(source, "3 x 2 pixels are too many")
