"""titokzip compress."""

import json
import shutil
import sys

import pytest
from photos import photo
from PIL import Image
from pngs import chunk
from pngs import png as made
from run import files, run

from titokzip import images
from titokzip.bitstream import container
from titokzip.rate_control import Rate

pytestmark = pytest.mark.usefixtures("toy")

FAST = ("--tile", "40")


def test_beside_the_image(source):
    result = run("compress", source)
    size = source.with_suffix(".ttk").stat().st_size
    assert result.stdout == ""
    assert f"a.png  120 x 80  {source.stat().st_size:,} -> {size:,} bytes" in result.stderr
    assert f"{8 * size / 9600:.4f} bpp" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_quiet_and_verbose(source):
    assert run("compress", source, *FAST, "--quiet").output == ""
    told = run("compress", source, *FAST, "-f", "-v").stderr
    assert "load model" in told
    assert "network" in told


def test_options_set_the_rate(source, toy, tmp_path):
    image = images.read(source)
    for options, rate in [
        (["-q", "80"], Rate(quality=80)),
        (["--bpp", "0.08"], Rate(bpp=0.08)),
        (["--max-bytes", "99"], Rate(max_bytes=99)),
        (["--tile", "60", "--tokens", "3"], Rate(tile=60, tokens=3)),
    ]:
        run("compress", source, "-o", tmp_path / "b.ttk", "-f", *options)
        assert (tmp_path / "b.ttk").read_bytes() == toy.compress(image, rate)


@pytest.mark.parametrize(
    "options",
    [
        ["-q", "50", "--bpp", "1"],
        ["-q", "101"],
        ["--max-bytes", "0"],
        ["--max-bytes", "many"],
        ["-o", "x.ttk", "-c"],
        ["-c", "--json"],
        ["-c", "--rm"],
        ["--background", "no colour"],
        ["--nonsense"],
        ["--batch-size", "0"],
        ["--bpp", "1e308"],
        ["--bpp", "nan"],
        ["--bpp", "-1"],
        ["--max-bytes", "9" * 321],
        ["--max-bytes", "9" * 5000],
        ["--tokens", "9" * 400],
        ["--tile", "9" * 400],
        ["-q", "9" * 400],
        ["--max-pixels", "0"],
        ["-o", "x.jpg"],
        ["-o", "x.HEIC"],
        ["--device", "abacus"],
    ],
    ids=lambda options: " ".join(options)[:30],
)
def test_what_makes_no_sense_is_a_usage_error(source, options):
    run("compress", source, *options, code=2)
    assert files(source.parent) == ["a.png"]


def test_no_file_is_a_usage_error():
    run("compress", code=2)


def test_json(source, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no image")
    result = run("compress", source, tmp_path / "bad.png", "--json", "--quiet", *FAST, code=1)
    told = json.loads(result.stdout)
    good, bad = told["results"]
    data = source.with_suffix(".ttk").read_bytes()
    header = container.unpack(data).header
    assert told["schema"] == 1
    assert good.pop("seconds").keys() == {"read", "network", "write"}
    assert good == {
        "input": str(source),
        "output": str(source.with_suffix(".ttk")),
        "status": "success",
        "in_bytes": source.stat().st_size,
        "out_bytes": len(data),
        "width": 120,
        "height": 80,
        "bpp": 8 * len(data) / 9600,
        "columns": header.layout.grid.columns,
        "rows": header.layout.grid.rows,
        "tokens": 4,
        "model": header.model.hex(),
    }
    assert (bad["status"], bad["error"]) == ("error", "not an image of a format that is read")


def test_one_bad_file_stops_no_other(source, tmp_path):
    (tmp_path / "bad.png").write_bytes(source.read_bytes()[:200])
    Image.new("L", (2**21, 1)).save(tmp_path / "long.png")
    shutil.copy(source, tmp_path / "c.png")
    missing = tmp_path / "missing.png"
    given = [tmp_path / "bad.png", source, missing, tmp_path / "long.png", tmp_path / "c.png"]
    lines = run("compress", *given, *FAST, code=1).stderr.splitlines()
    assert [str(path) in line for path, line in zip(given, lines, strict=True)] == [True] * 5
    assert "No such file" in lines[2]
    assert "cannot be stored" in lines[3]
    assert {"a.ttk", "c.ttk"} < set(files(tmp_path))
    assert not (tmp_path / "bad.ttk").exists()


def test_what_cannot_be_reached(source):
    told = run("compress", source, "--max-bytes", "9", code=1).stderr
    assert "at least" in told
    assert files(source.parent) == ["a.png"]


def test_transparency_asks_for_a_background(tmp_path, toy):
    clear = Image.new("RGBA", (30, 30), (255, 0, 0, 0))
    clear.save(tmp_path / "a.png")
    assert "--background white" in run("compress", tmp_path / "a.png", code=1).stderr
    assert files(tmp_path) == ["a.png"]
    run("compress", tmp_path / "a.png", "--background", "#0000ff")
    decoded = toy.decompress((tmp_path / "a.ttk").read_bytes())
    assert [low > 200 for low, _ in decoded.getextrema()] == [False, False, True]


def test_an_animation_is_told(tmp_path):
    frames = [photo(40, 30, seed).convert("P") for seed in range(3)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert "first of 3 frames" in run("compress", tmp_path / "a.gif", *FAST).stderr


def test_devices_that_are_not_here(source, monkeypatch):
    monkeypatch.setattr("titokzip.runtime.device.devices", lambda: ["cpu"])
    assert "only cpu" in run("compress", source, "--device", "mps", code=2).stderr


def test_numbers_that_are_large_and_sensible(source):
    run("compress", source, "--max-bytes", 10**15)
    assert source.with_suffix(".ttk").stat().st_size > 15
    run("compress", source, "-f", "--bpp", "1e15")
    run("compress", source, "-f", "--tile", 10**15)
    assert "4 tokens" in run("compress", source, "-f", "--tokens", 10**15, code=1).stderr


def test_the_limit_on_pixels(source):
    told = run("compress", source, "--max-pixels", 9599, code=1).stderr
    assert "120 x 80 pixels are more than the limit of 9,599; --max-pixels raises it" in told
    run("compress", source, "--max-pixels", 9600, *FAST)


def test_the_limit_of_a_decoder_is_moved_along(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    photo(120, 80).save(tmp_path / "a.tif")
    run("compress", tmp_path / "a.tif", *FAST)
    assert Image.MAX_IMAGE_PIXELS == 1000


def test_the_default_quality_is_that_of_the_library():
    from titokzip.cli.compress import _DEFAULT_QUALITY
    from titokzip.rate_control import DEFAULT_QUALITY

    assert _DEFAULT_QUALITY == DEFAULT_QUALITY


def test_heic_says_how_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    (tmp_path / "IMG_0001.HEIC").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(50))
    told = run("compress", "-r", tmp_path, code=1).stderr
    assert "IMG_0001.HEIC: HEIC images are read by pillow-heif" in told
    assert told.endswith("pip install pillow-heif\n")


def test_colours_that_are_passed_over_are_told(tmp_path):
    (tmp_path / "a.png").write_bytes(made(chunk(b"cICP", bytes([9, 16, 0, 1]))))
    told = run("compress", tmp_path / "a.png", *FAST)
    assert "(high dynamic range (PQ) taken for sRGB)" in told.stderr
    told = run("compress", tmp_path / "a.png", "-f", "--json", *FAST)
    assert "PQ" in json.loads(told.stdout)["results"][0]["note"]


def test_verify(source):
    run("compress", source, "--verify", "--max-bytes", "150")
    assert source.with_suffix(".ttk").stat().st_size <= 150
