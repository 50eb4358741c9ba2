"""Every rival keeps to its bytes, and makes the best of them."""

import io
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from photos import photo
from PIL import Image

from titokzip.bench import baselines as module
from titokzip.bench import trivial_baselines
from titokzip.bench.baselines import RIVALS, rivals
from titokzip.bench.downscale_search import SCALES, Best
from titokzip.bench.metrics import psnr

HERE = rivals()
every = pytest.mark.parametrize("name", RIVALS)


def codec(name):
    if name not in HERE:
        pytest.skip(f"no library for {name} here")
    return HERE[name]


def quality(name, budget, image):
    (data,) = codec(name).encode(image, [budget])
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
    assert codec(name).encode(photo(240, 176), [1]) == [None]


@every
def test_tiny_pictures_pass(name):
    assert quality(name, 3000, photo(7, 3)) is not None


def test_the_search_finds_what_trying_everything_finds():
    image, budget, best = photo(96, 64), 300, 0.0
    webp = codec("webp")
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
    (data,) = codec("webp").encode(photo(240, 176), [96])
    assert data is not None
    assert Image.open(io.BytesIO(data)).width < 240


def test_every_rival_names_its_library():
    assert all(one.note and one.suffix.startswith(".") for one in HERE.values())
    assert {"jpeg", "webp", "thumbnail", "blurhash"} <= set(HERE)


def test_a_thumbnail_of_one_colour_is_exact():
    image = Image.new("RGB", (50, 30), (255, 0, 255))
    data = trivial_baselines.thumbnail(image, 40)
    assert np.array_equal(trivial_baselines.enlarged(data, image.size), image)


def test_blurhash_paints_what_the_format_says():
    # By hand: 1 x 1 waves, no others, and the mean colour 0xFF8000 in four digits of base 83.
    assert trivial_baselines._digits(0xFF8000, 4) == "TNoS"
    painted = trivial_baselines.unhashed(b"00TNoS", (4, 2))
    assert np.array_equal(painted, Image.new("RGB", (4, 2), (255, 128, 0)))


def test_blurhash_finds_the_wave_it_is_made_of():
    ramp = np.cos(np.pi * (np.arange(64) + 0.5) / 64)[None, :, None] * 0.3 + 0.5
    light = np.broadcast_to(ramp, (64, 64, 3))
    image = Image.fromarray(np.rint(trivial_baselines._gamma(light) * 255).astype(np.uint8))
    data = trivial_baselines.blurhash(image, 12)
    assert quality("blurhash", 12, image) > 35
    assert len(data) == 12


def test_rivals_without_their_library_are_left_out_and_said_how_to_get(monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", "")
    assert {"jxl", "heic"}.isdisjoint(rivals())
    assert set(module.HOW_TO_GET) == set(RIVALS)
    assert "pip install" in module.HOW_TO_GET["heic"]


PROGRAM = """#!{python}
import sys
from PIL import Image
if "--version" in sys.argv:
    print("cjxl v9.9 stand-in")
else:
    source, target, *options = sys.argv[1:]
    open({log!r}, "a").write(" ".join(options) + "\\n")
    Image.open(source).save(target, "PNG" if target.endswith("png") else "WEBP", quality=10)
"""


def test_jpeg_xl_by_its_programs_where_no_package_is(tmp_path, monkeypatch):
    """Check how cjxl and djxl are called, on stand-ins that write WebP."""
    log = str(tmp_path / "log")
    for name in ("cjxl", "djxl"):
        (tmp_path / name).write_text(PROGRAM.format(python=sys.executable, log=log))
        (tmp_path / name).chmod(0o755)
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    one = rivals()["jxl"]
    assert one.note.startswith("cjxl v9.9 stand-in, --resampling 1 or 4")
    sizes = []
    for way in one.ways:
        data = way.save(photo(24, 16), 0)
        sizes.append(Image.open(io.BytesIO(data)).size)
        assert one.decode(data, (24, 16)).size == (24, 16)
    assert sizes == [(24, 16), (32, 32)]  # it takes nothing smaller than eight cells
    asked = Path(log).read_text()
    assert "--distance 25.000 --resampling=4 --container=0" in asked
    assert "--resampling=1" in asked


def test_the_best_of_several_ways_is_taken():
    webp = codec("webp")
    crude = replace(webp, levels=1)
    best = Best("webp", ".webp", "", (crude, webp))
    image = photo(120, 88)
    (ours,), (fine,), (coarse,) = (c.encode(image, [900]) for c in (best, webp, crude))
    assert ours == fine
    assert len(coarse) < len(fine)
    assert best.encode(image, [1, 900]) == [None, fine]


@every
def test_budgets_at_once_are_as_one_by_one(name):
    image, budgets = photo(120, 88), [30, 600, 90]
    together = codec(name).encode(image, budgets)
    assert together == [codec(name).encode(image, [budget])[0] for budget in budgets]
