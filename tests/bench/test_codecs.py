"""Every rival keeps to its bytes, and makes the best of them."""

import io

import numpy as np
import pytest
from photos import photo
from PIL import Image

from titokzip.bench import floors
from titokzip.bench.codecs import RIVALS, rivals
from titokzip.bench.metrics import psnr

HERE = rivals()
every = pytest.mark.parametrize("name", RIVALS)


def codec(name):
    if name not in HERE:
        pytest.skip(f"no library for {name} here")
    return HERE[name]


def quality(name, budget, image):
    data = codec(name).encode(image, budget)
    if data is None:
        return None
    assert len(data) <= budget
    decoded = codec(name).decode(data, image.size)
    assert decoded.size == image.size
    assert decoded.mode == "RGB"
    return psnr(np.asarray(image), np.asarray(decoded))


@every
def test_more_bytes_are_no_worse(name):
    found = [quality(name, budget, photo(240, 176)) for budget in (40, 400, 2000)]
    reached = [value for value in found if value is not None]
    assert reached
    assert reached == sorted(reached)
    assert found[-1] > 16


@every
def test_one_byte_is_not_enough(name):
    assert codec(name).encode(photo(240, 176), 1) is None


@every
def test_tiny_pictures_pass(name):
    assert quality(name, 3000, photo(7, 3)) is not None


def test_the_search_finds_what_trying_everything_finds():
    image, budget, best = photo(96, 64), 300, 0.0
    webp = codec("webp")
    from titokzip.bench.codecs import SCALES

    for scale in SCALES:
        size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
        small = image.resize(size, Image.Resampling.LANCZOS)
        for level in range(webp.levels):
            file = io.BytesIO()
            small.save(file, "WEBP", quality=level, method=6)
            if file.tell() <= budget:
                decoded = webp.decode(file.getvalue(), image.size)
                best = max(best, psnr(np.asarray(image), np.asarray(decoded)))
    assert quality("webp", budget, image) >= best - 0.2


def test_a_downscale_is_what_reaches_small_budgets():
    data = codec("webp").encode(photo(240, 176), 96)
    assert data is not None
    assert Image.open(io.BytesIO(data)).width < 240


def test_every_rival_names_its_library():
    assert all(one.note and one.suffix.startswith(".") for one in HERE.values())
    assert {"jpeg", "webp", "thumbnail", "blurhash"} <= set(HERE)


def test_a_thumbnail_of_one_colour_is_exact():
    image = Image.new("RGB", (50, 30), (255, 0, 255))
    data = floors.thumbnail(image, 40)
    assert np.array_equal(floors.enlarged(data, image.size), image)


def test_blurhash_paints_what_the_format_says():
    # By hand: 1 x 1 waves, no others, and the mean colour 0xFF8000 in four digits of base 83.
    assert floors._digits(0xFF8000, 4) == "TNoS"
    painted = floors.unhashed(b"00TNoS", (4, 2))
    assert np.array_equal(painted, Image.new("RGB", (4, 2), (255, 128, 0)))


def test_blurhash_finds_the_wave_it_is_made_of():
    ramp = np.cos(np.pi * (np.arange(64) + 0.5) / 64)[None, :, None] * 0.3 + 0.5
    light = np.broadcast_to(ramp, (64, 64, 3))
    image = Image.fromarray(np.rint(floors._gamma(light) * 255).astype(np.uint8))
    data = floors.blurhash(image, 12)
    assert quality("blurhash", 12, image) > 35
    assert len(data) == 12


def test_jpeg_xl_by_either_library_is_guarded(monkeypatch):
    from titokzip.bench import codecs

    monkeypatch.setattr(codecs, "find_spec", lambda name: None)
    assert "jxl" not in codecs.rivals()
