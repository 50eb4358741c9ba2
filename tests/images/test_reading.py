"""Every kind of image is read right, or refused in one line."""

import errno
import io
import struct

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngImageFile
from ramps import COLOURS, RAMP, pixels, saved

from titokzip.errors import ImageError, PixelLimitError, Transparent
from titokzip.images import plain, read


def refused(source, message, kind=ImageError, **options):
    """Expect one line that says what is wrong."""
    with pytest.raises(kind, match=message) as caught:
        read(source, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "WEBP", "PPM"])
def test_colours_come_through(kind):
    options = {"lossless": True} if kind == "WEBP" else {}
    image = read(saved(Image.fromarray(COLOURS), kind, **options))
    assert np.array_equal(pixels(image), COLOURS)
    assert (image.grey, image.frames) == (False, 1)


def test_grey_stays_grey():
    image = read(saved(Image.fromarray(RAMP)))
    assert image.grey
    assert np.array_equal(pixels(image), np.stack([RAMP] * 3, axis=2))


def test_black_and_white_is_grey():
    image = read(saved(Image.fromarray(RAMP > 100)))
    assert image.grey
    assert np.array_equal(pixels(image)[..., 0], (RAMP > 100) * 255)


def test_a_palette_is_looked_up():
    image = Image.fromarray(COLOURS).quantize(8)
    expected = np.asarray(image.convert("RGB"))
    assert np.array_equal(pixels(read(saved(image))), expected)


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_a_palette_with_transparency_needs_a_background(kind):
    image = Image.fromarray(np.array([[0, 1]], np.uint8)).convert("P")
    image.putpalette([10, 20, 30, 200, 100, 0])
    source = saved(image, kind, transparency=0)
    refused(source, "no background")
    assert pixels(read(source, "#0000ff")).tolist() == [[[0, 0, 255], [200, 100, 0]]]


def test_alpha_that_hides_nothing_is_dropped():
    image = read(saved(Image.fromarray(np.dstack([COLOURS, np.full_like(RAMP, 255)]))))
    assert np.array_equal(pixels(image), COLOURS)
    image = read(saved(Image.fromarray(np.dstack([RAMP, np.full_like(RAMP, 255)]))))
    assert image.grey
    assert np.array_equal(pixels(image)[..., 0], RAMP)


def test_transparency_needs_a_background():
    image = Image.new("RGBA", (2, 1), (200, 0, 0, 0))
    image.putpixel((1, 0), (200, 100, 0, 128))
    refused(saved(image), "no background", Transparent)
    assert pixels(read(saved(image), "white")).tolist() == [[[255, 255, 255], [227, 177, 127]]]
    assert pixels(read(saved(image), "rgb(0, 0, 255)"))[0, 0].tolist() == [0, 0, 255]


@pytest.mark.parametrize(("background", "grey"), [("grey", True), ("#fff", True), ("red", False)])
def test_transparent_grey_is_grey_on_grey(background, grey):
    image = read(saved(Image.new("LA", (2, 2), (100, 0))), background)
    assert image.grey == grey
    colour = Image.new("RGB", (1, 1), background).getpixel((0, 0))
    assert (pixels(image) == colour).all()


def test_a_background_that_is_no_colour_is_a_wrong_argument():
    with pytest.raises(ValueError, match="unknown color"):
        read(saved(Image.fromarray(RAMP)), "beautiful")


def test_cmyk_becomes_rgb():
    image = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    colour = pixels(read(saved(image, "JPEG", quality=95))).mean(axis=(0, 1))
    np.testing.assert_allclose(colour, [254, 0, 0], atol=6)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_of_an_animation_the_first_frame_is_taken(kind):
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "lime", "blue")]
    options = {"lossless": True} if kind == "WEBP" else {}
    source = saved(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    image = read(source)
    assert image.frames == 3
    assert (pixels(image) == (255, 0, 0)).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1)])
def test_thin_images_are_read(size):
    image = read(saved(Image.new("RGB", size, "teal")))
    assert image.image.size == image.size == size
    assert (pixels(image) == (0, 128, 128)).all()


def test_an_image_without_pixels_is_refused():
    with pytest.raises(ImageError, match="no pixels"):
        plain(Image.new("RGB", (0, 5)))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"])
def test_cut_images_are_refused(kind):
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    data = saved(Image.fromarray(noise), kind).getvalue()
    for share in (0.02, 0.5, 0.9):
        refused(io.BytesIO(data[: int(share * len(data))]), "damaged|not an image")


@pytest.mark.parametrize("error", [IndexError, RuntimeError, TypeError, struct.error])
def test_whatever_a_decoder_raises_is_an_image_error(monkeypatch, error):
    monkeypatch.setattr(PngImageFile, "load", raising(error))
    refused(saved(Image.fromarray(COLOURS)), "error" if error is struct.error else error.__name__)


@pytest.mark.parametrize("error", [MemoryError(), OSError(errno.EIO, "Input/output error")])
def test_what_the_machine_raises_is_not_the_image(monkeypatch, error):
    monkeypatch.setattr(PngImageFile, "load", raising(error))
    with pytest.raises(type(error)) as caught:
        read(saved(Image.fromarray(COLOURS)))
    assert caught.value is error


def raising(error):
    def load(self):
        raise error

    return load


def test_damaged_bytes_give_images_or_image_errors():
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
def test_what_is_no_image_is_refused(data):
    refused(io.BytesIO(data), "^(not an image of a format that is read|.ttk files are not read)$")


def test_files_that_cannot_be_opened_say_so_themselves(tmp_path):
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "missing.png")
    with pytest.raises(IsADirectoryError):
        read(tmp_path)


def test_our_own_limit_on_pixels_counts_and_not_pillows(monkeypatch):
    source = saved(Image.fromarray(COLOURS))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2)
    assert np.array_equal(pixels(read(source)), COLOURS)
    assert Image.MAX_IMAGE_PIXELS == 2
    source.seek(0)
    refused(source, "3 x 2 pixels are more than the limit of 5", PixelLimitError, max_pixels=5)


def test_alpha_is_kept_on_request():
    image = Image.new("RGBA", (2, 1), (200, 0, 0, 0))
    image.putpixel((1, 0), (200, 100, 0, 128))
    for one in (read(saved(image), keep_alpha=True), plain(image, keep_alpha=True)):
        assert np.asarray(one.alpha).tolist() == [[0, 128]]
        assert pixels(one).tolist() == [[[200, 0, 0], [200, 100, 0]]]
    assert read(saved(image), "white", keep_alpha=True).alpha is None
    image.putalpha(255)
    assert read(saved(image), keep_alpha=True).alpha is None


def test_bytes_and_paths_are_read(tmp_path):
    data = saved(Image.fromarray(COLOURS)).getvalue()
    (tmp_path / "a").write_bytes(data)
    for source in (data, tmp_path / "a"):
        assert np.array_equal(pixels(read(source)), COLOURS)


def test_layers_are_not_frames():
    image = Image.new("RGB", (4, 4))
    image.format, image.n_frames = "PSD", 3
    assert plain(image).frames == 1
