"""Images are written in formats that keep size and mode; large ones in bands."""

import io

import numpy as np
import pytest
from photos import photo
from PIL import Image

from titokzip import images
from titokzip.errors import ImageError
from titokzip.images import writing

WIDE = photo(200, 150)


def written(*given):
    return b"".join(images.encode(*given))


def opened(data):
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        return image


@pytest.mark.parametrize("suffix", images.WRITTEN)
def test_every_format_keeps_size_and_mode(suffix):
    for mode in ("RGB", "L"):
        image = opened(written(WIDE.convert(mode), suffix.upper()))
        assert image.format == images.WRITTEN[suffix]
        assert image.size == WIDE.size
        assert image.mode == mode or suffix in (".webp", ".avif")


@pytest.mark.parametrize("suffix", [".ico", ".icns", ".gif", ".xbm", ".pdf", ".eps", ".ttk", ""])
def test_formats_that_change_the_image_are_refused(suffix):
    with pytest.raises(ImageError, match="cannot be written as"):
        written(WIDE, suffix)


def test_images_that_a_format_cannot_hold_are_refused():
    with pytest.raises(ImageError, match=r"cannot be written as \.webp"):
        written(Image.new("RGB", (20000, 1)), ".webp")
    with pytest.raises(ImageError, match=r"cannot be written as \.jpg"):
        written(WIDE.convert("RGBA"), ".jpg")


@pytest.fixture
def small_bands(monkeypatch):
    monkeypatch.setattr(writing, "LARGE", 1000)
    monkeypatch.setattr(writing, "_BAND", 5000)


@pytest.mark.parametrize("mode", ["L", "RGB", "LA", "RGBA"])
@pytest.mark.parametrize("size", [(200, 150), (333, 111), (90, 70), (500, 497), (6000, 2)])
@pytest.mark.usefixtures("small_bands")
def test_bands_are_resampled_as_in_one_piece(mode, size):
    source = WIDE.convert(mode)
    if "A" in mode:
        source.putalpha(photo(200, 150, 3, "L"))
    image = opened(written(source, ".png", size))
    assert (image.mode, image.size) == (mode, size)
    across = source.resize((size[0], 150), Image.Resampling.LANCZOS)
    wanted = across.resize(size, Image.Resampling.LANCZOS)
    colours = np.asarray(image.convert("RGB"), int) - np.asarray(wanted.convert("RGB"), int)
    assert np.abs(colours).max() <= (1 if "A" not in mode else 12)  # divided by alpha, and rounded
    if "A" not in mode:
        assert np.array_equal(np.asarray(opened(written(source, ".ppm", size))), np.asarray(image))


@pytest.mark.usefixtures("small_bands")
def test_large_transparent_images_are_no_ppm():
    with pytest.raises(ImageError, match=r"\.ppm"):
        written(WIDE.convert("RGBA"), ".ppm")


def test_sizes_are_resampled_in_every_format():
    for suffix in (".png", ".jpg"):
        assert opened(written(WIDE, suffix, (50, 60))).size == (50, 60)
