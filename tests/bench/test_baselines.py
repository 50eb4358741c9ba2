"""Every baseline keeps to its bytes, makes the best of them, and gets greyscale as greyscale."""

import io

import numpy as np
import pytest
from photos import photo
from PIL import Image

from titokzip.bench import baselines as module
from titokzip.bench import trivial_baselines
from titokzip.bench.baselines import BASELINES, available
from titokzip.bench.cache import Cache
from titokzip.bench.containers import codestream_bytes
from titokzip.bench.image_codec import Encoded
from titokzip.bench.metrics import psnr

HERE = available(Cache()).codecs
IN_PROCESS = ("avif", "heic", "jxl", "webp", "jpeg2000", "jpeg", "thumbnail", "blurhash")
every = pytest.mark.parametrize("name", IN_PROCESS)


def codec(name):
    if name not in HERE:
        pytest.skip(f"no library for {name} here")
    return HERE[name]


def quality(name, budget, image):
    (encoded,) = codec(name).encode(image, [budget])
    if encoded is None:
        return None
    assert codec(name).compared_bytes(encoded.data) <= budget
    decoded = codec(name).decode(encoded, image.size)
    assert decoded.size == image.size
    assert decoded.mode == image.mode
    return psnr(np.asarray(image), np.asarray(decoded))


@every
def test_more_bytes_are_no_worse(name):
    found = [quality(name, budget, photo(64, 48)) for budget in (40, 400, 2000)]
    reached = [value for value in found if value is not None]
    assert reached
    assert reached == sorted(reached)
    assert found[-1] > 16


@every
def test_tiny_images_pass(name):
    if name == "heic":
        pytest.skip("x265 takes no image this small")
    assert quality(name, 3000, photo(7, 3)) is not None


@every
def test_greyscale_is_no_worse_than_the_same_levels_as_colours(name):
    grey = photo(48, 32, mode="L")
    own, colours = (quality(name, 700, image) for image in (grey, grey.convert("RGB")))
    assert own >= colours - 0.15


def test_a_grey_thumbnail_has_cells_of_five_bits():
    image = photo(64, 48, mode="L")
    data = trivial_baselines.thumbnail(image, 41)
    assert data[0] * (len(data) - 1) > 0
    cells = (len(data) - 1) * 8 // 5
    coloured = trivial_baselines.thumbnail(image.convert("RGB"), 41)
    assert cells > 2.5 * ((len(coloured) - 1) * 8 // 15)
    assert trivial_baselines.enlarged(data, image.size, grey=True).mode == "L"


def test_the_grey_case_of_shared_cases_has_its_right_numbers():
    """What JPEG and JPEG 2000 reach on a greyscale image is what one channel costs."""
    from pathlib import Path

    path = Path("/work/shared/cases/grey.png")
    if not path.exists():
        pytest.skip("the case is not here")
    image = Image.open(path).convert("L")
    for name, budget, least in (
        ("jpeg", 400, 35.1), ("jpeg", 1000, 45.9), ("jpeg", 2000, 49.5),
        ("jpeg2000", 400, 39.6), ("jpeg2000", 1000, 47.2), ("jpeg2000", 2000, 50.9),
    ):  # fmt: skip
        assert quality(name, budget, image) >= least, (name, budget)


def test_every_baseline_names_its_library():
    assert all(one.note and one.suffix.startswith(".") for one in HERE.values())
    assert {"jpeg", "webp", "thumbnail", "blurhash"} <= set(HERE)


def test_a_thumbnail_of_one_colour_is_exact():
    image = Image.new("RGB", (50, 30), (255, 0, 255))
    data = trivial_baselines.thumbnail(image, 40)
    assert np.array_equal(trivial_baselines.enlarged(data, image.size), image)


def test_blurhash_decodes_what_the_format_says():
    # By hand: 1 x 1 components, no others, and the mean colour 0xFF8000 in four digits of base 83.
    assert trivial_baselines._digits(0xFF8000, 4) == "TNoS"
    decoded = trivial_baselines.unhashed(b"00TNoS", (4, 2))
    assert np.array_equal(decoded, Image.new("RGB", (4, 2), (255, 128, 0)))


def test_blurhash_finds_the_cosine_it_is_made_of():
    ramp = np.cos(np.pi * (np.arange(64) + 0.5) / 64)[None, :, None] * 0.3 + 0.5
    light = np.broadcast_to(ramp, (64, 64, 3))
    image = Image.fromarray(np.rint(trivial_baselines._gamma(light) * 255).astype(np.uint8))
    assert quality("blurhash", 12, image) > 35


def test_baselines_without_their_library_are_named_with_the_way_to_get_them(monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", "")
    here = available(Cache())
    assert {"jxl", "heic", "vvc", "av1", "hevc"} == set(here.missing)
    assert here.missing["heic"] == "pip install pillow-heif"
    assert "vvencapp" in here.missing["vvc"]
    assert "https://" in here.missing["vvc"]
    assert set(here.codecs) | set(here.missing) == set(BASELINES)


def saved(kind, **options):
    file = io.BytesIO()
    photo(40, 30).save(file, kind, **options)
    return file.getvalue()


def test_the_codestream_is_what_the_container_holds():
    webp = saved("WEBP", quality=50)
    assert codestream_bytes(webp) == len(webp) - 20
    jp2, j2k = (saved("JPEG2000", no_jp2=no_jp2) for no_jp2 in (False, True))
    assert codestream_bytes(jp2) == codestream_bytes(j2k) == len(j2k) < len(jp2)
    jpeg = saved("JPEG")
    assert codestream_bytes(jpeg) == len(jpeg)


def test_the_codestream_of_avif_is_its_media_data():
    from PIL import features

    if not features.check("avif"):
        pytest.skip("Pillow without AVIF")
    data = saved("AVIF", quality=30)
    at = data.index(b"mdat")
    assert codestream_bytes(data) == int.from_bytes(data[at - 4 : at]) - 8
    assert codestream_bytes(data) < len(data) - 200


@pytest.mark.parametrize(
    "data", [b"", b"RIFF", b"\0\0\0\1ftyp" + b"\0" * 30, b"\0\0\0\x20ftypmif1"]
)
def test_damaged_containers_count_whole(data):
    assert codestream_bytes(data) == len(data)


def test_decoders_get_the_coded_size():
    encoded = Encoded(b"x", (3, 2), True)
    assert encoded.key != Encoded(b"x", (2, 3), True).key
