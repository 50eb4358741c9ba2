"""Large images are reduced while they are read, in memory that does not grow with them."""

import io
import subprocess
import sys

import numpy as np
import pytest
from photos import photo
from PIL import Image
from pngs import chunk, noise, png

from titokzip import images
from titokzip.errors import ImageError, PixelLimitError

WIDE = photo(300, 200)


def saved(kind, image=WIDE, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def test_what_is_not_much_too_large_is_left_alone():
    image = images.read(saved("PNG"), enough=300 * 200 // 4 + 1)
    assert image.image.size == image.size == (300, 200)
    assert np.array_equal(np.asarray(image.image), np.asarray(WIDE))


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_the_size_of_the_original_stays_known(kind):
    options = {"lossless": True} if kind == "WEBP" else {}
    image = images.read(saved(kind, **options), enough=2000)
    assert (image.size, image.width, image.height) == ((300, 200), 300, 200)
    assert image.image.size == (60, 40)
    assert np.array_equal(np.asarray(image.image), np.asarray(WIDE.reduce(5)))


@pytest.mark.parametrize(("enough", "size"), [(2000, (75, 50)), (300, (38, 25)), (80, (13, 9))])
def test_jpeg_is_reduced_by_its_decoder(enough, size):
    """Its decoder divides by two, four and eight; the rest of a larger factor comes afterwards."""
    image = images.read(saved("JPEG", quality=95), enough=enough)
    assert (image.size, image.image.size) == ((300, 200), size)
    wanted = np.asarray(WIDE.resize(size, Image.Resampling.BOX), int)
    assert np.abs(np.asarray(image.image, int) - wanted).mean() < 8


def test_orientation_is_that_of_the_original():
    tag = Image.Exif()
    tag[0x0112] = 6
    for kind in ("PNG", "JPEG", "TIFF", "WEBP"):
        image = images.read(saved(kind, exif=tag), enough=2000)
        assert image.size == (200, 300)
        assert image.image.width < image.image.height


@pytest.mark.parametrize(("depth", "colour"), [(1, 0), (16, 0), (8, 3), (16, 2), (16, 4), (8, 6)])
def test_pixels_of_every_kind_are_reduced(depth, colour):
    extra = [chunk(b"PLTE", bytes(range(240)) + bytes(3))] if colour == 3 else []
    extra += [chunk(b"tRNS", bytes([0, 100]))] if colour == 3 else []
    rows = noise(150, 90, depth, colour)
    data = png(*extra, width=150, height=90, depth=depth, colour=colour, rows=rows)
    whole = images.read(data, keep_alpha=True)
    small = images.read(data, keep_alpha=True, enough=1500)
    assert small.image.size == (50, 30)
    assert small.grey == whole.grey
    if whole.alpha is None:
        wanted = np.asarray(whole.image.reduce(3), int)
        assert np.abs(np.asarray(small.image, int) - wanted).max() <= 1
    else:
        wanted = np.asarray(whole.alpha.reduce(3), int)
        assert np.abs(np.asarray(small.alpha, int) - wanted).max() <= 1


def test_interlaced_images_are_reduced_too():
    """Pillow writes none; one of a single pixel is the same either way."""
    data = png(width=1, height=1, interlaced=1, pixel=(9, 8, 7))
    assert images.read(data).image.getpixel((0, 0)) == (9, 8, 7)


@pytest.mark.parametrize("size", [(20000, 1), (1, 20000), (3, 7000)])
def test_thin_images_keep_a_pixel_each_way(size):
    for kind in ("PNG", "JPEG"):
        image = images.read(saved(kind, Image.new("RGB", size, "teal")), enough=10)
        assert image.size == size
        assert min(image.image.size) >= 1
        assert np.abs(np.asarray(image.image, int) - (0, 128, 128)).max() <= 4


def test_a_large_image_that_is_cut_is_refused():
    data = png(width=150, height=90, rows=noise(150, 90, 8, 2))
    with pytest.raises(ImageError, match="damaged"):
        images.read(data[: len(data) // 2], enough=1500)


MEASURED = """
import resource, sys
from pathlib import Path
from titokzip import images
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
image = images.read(Path(sys.argv[1]), enough=2**20, max_pixels=2**40)
print(*image.size, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_memory_does_not_grow_with_the_image(tmp_path, kind):
    """Pillow takes 100 MB for 100 megapixels in grey; they are read in less than half of it."""
    path = tmp_path / "large"
    if kind == "PNG":
        rows = bytes(10001) * 10000
        path.write_bytes(png(width=10000, height=10000, colour=0, rows=rows))
    else:
        Image.new("L", (10000, 10000)).save(path, "JPEG")
    command = [sys.executable, "-c", MEASURED, str(path)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert told[:2] == ["10000", "10000"]
    assert int(told[2]) < 50 * 1024


def test_a_decoder_with_a_limit_of_its_own_says_so(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(PixelLimitError, match="MAX_IMAGE_PIXELS"):
        images.read(saved("TIFF"))
