"""The commands over images with the model that ships, in this process and in others."""

import io
import json

import numpy as np
import pytest
import refiners
from photos import photo, png
from PIL import Image, ImageDraw
from run import files, run, spawn
from toys import codec

from titokzip import images
from titokzip.bitstream import container
from titokzip.codec import Codec
from titokzip.images import plain
from titokzip.rate_control import Rate

FAST = ("-q", "10")


@pytest.fixture(scope="module")
def small(embedded):
    return embedded.compress(plain(photo(90, 70)), Rate(quality=10))


@pytest.fixture
def file(small, tmp_path):
    (tmp_path / "a.ttk").write_bytes(small)
    return tmp_path / "a.ttk"


@pytest.mark.parametrize(
    ("options", "rate"), [([], Rate()), (["-q", "20"], Rate(quality=20))], ids=str
)
def test_the_quality_is_that_of_the_library(source, embedded, options, rate):
    run("compress", source, "--verify", *options)
    data = source.with_suffix(".ttk").read_bytes()
    assert data == embedded.compress(images.read(source), rate)


@pytest.mark.slow
def test_best_is_that_of_the_library(source, embedded):
    run("compress", source, "--best", "--max-bytes", "60")
    data = source.with_suffix(".ttk").read_bytes()
    assert data == embedded.compress(images.read(source), Rate(max_bytes=60, best=True))


def test_best_is_refused_once_for_all_files_of_a_model_for_looks(source, tmp_path):
    told = run("compress", source, source, "--best", "-m", "xs-perceptual", code=2).stderr
    assert told.count("--best seeks the least squared error") == 1
    assert "not for xs-perceptual" in told


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBA"])
@pytest.mark.parametrize("options", [[], ["--max-bytes", "90"]], ids=str)
def test_a_drawn_image_comes_back_exactly(tmp_path, options, mode):
    image = Image.new("RGB", (60, 44), "white")
    ImageDraw.Draw(image).rectangle([9, 12, 40, 30], fill="red", outline="black", width=3)
    image = image.convert(mode)
    image.save(tmp_path / "a.png")
    run("compress", tmp_path / "a.png", "--verify", *options)
    told = json.loads(run("info", "--json", tmp_path / "a.ttk").stdout)["results"][0]
    assert told["colours"] <= 3
    assert told["total_bytes"] < 90
    run("decompress", tmp_path / "a.ttk", "-o", tmp_path / "b.png")
    back = Image.open(tmp_path / "b.png")
    assert np.array_equal(np.asarray(back.convert("RGBA")), np.asarray(image.convert("RGBA")))


@pytest.mark.parametrize("options", [["--bpp", "0.6"], ["--max-bytes", "36"]], ids=str)
def test_limits_are_kept(tmp_path, options):
    photo(24, 20).save(tmp_path / "a.png")
    run("compress", tmp_path / "a.png", *options)
    assert 30 < (tmp_path / "a.ttk").stat().st_size <= 36


@pytest.mark.parametrize("option", ["--tokens", "--tile"])
def test_options_of_tiles_are_refused(source, option):
    told = run("compress", source, option, 60, code=2).stderr
    assert "xs takes -q, --bpp or --max-bytes" in told
    assert files(source.parent) == ["a.png"]


def test_json_tells_the_layout(source):
    (told,) = json.loads(run("compress", source, *FAST, "--json").stdout)["results"]
    layout = container.unpack(source.with_suffix(".ttk").read_bytes()).header.layout
    assert (told["step"], told["blocks"], told["refined"]) == (layout.step, layout.blocks, True)
    assert "tokens" not in told


def test_decompressed_as_by_the_library(file, small, embedded):
    run("decompress", file, "--device", "cpu")
    with Image.open(file.with_suffix(".png")) as image:
        assert np.array_equal(np.asarray(image), np.asarray(embedded.decompress(small)))


def test_native_is_the_working_size(file, small):
    run("decompress", file, "--size", "native")
    blocks = container.unpack(small).header.layout.blocks
    with Image.open(file.with_suffix(".png")) as image:
        assert not blocks or min(image.size) == 8 * blocks


def test_transparency_is_kept_unless_there_is_a_background(tmp_path):
    image = photo(40, 30)
    image.putalpha(Image.linear_gradient("L").resize((40, 30)))
    image.save(tmp_path / "a.png")
    for options, mode in [([], "RGBA"), (["--background", "white"], "RGB")]:
        run("compress", tmp_path / "a.png", "-f", "-q", "40", *options)
        run("decompress", tmp_path / "a.ttk", "-o", tmp_path / "b.png", "-f")
        with Image.open(tmp_path / "b.png") as back:
            assert back.mode == mode


@pytest.mark.parametrize("format_", ["jpg", "ppm", "bmp"])
def test_a_format_without_alpha_refuses_it_before_anything_is_decoded(
    format_, tmp_path, monkeypatch
):
    Image.new("RGBA", (20, 20), (255, 0, 0, 90)).save(tmp_path / "a.png")
    run("compress", tmp_path / "a.png", *FAST)
    monkeypatch.setattr(Codec, "decompress_many", lambda *_: pytest.fail("it was decoded"))
    told = run("decompress", tmp_path / "a.ttk", "--format", format_, code=1).stderr
    assert told.count("\n") == 1
    assert f"it is transparent, which .{format_} cannot hold; .png, .webp" in told
    assert files(tmp_path) == ["a.png", "a.ttk"]


def test_models_that_are_not_here(source, tmp_path):
    told = run("compress", source, "-m", "titok-l32", code=3).stderr
    assert told == "titokzip: titok-l32 is not here; `titokzip models pull titok-l32` fetches it\n"
    assert "no model named 'x'" in run("compress", source, "-m", "x", code=3).stderr
    run("compress", source, "-m", tmp_path / "missing.safetensors", code=3)
    run("compress", source, "-m", source, code=3)
    assert files(tmp_path) == ["a.png"]


def test_files_of_models_that_are_not_here(file, tmp_path):
    file.write_bytes(codec().compress(plain(photo(20, 20))))
    assert "TITOKZIP_MODELS" in run("decompress", file, code=3).stderr
    assert "with model 746f7921, not with" in run("decompress", file, "-m", "xs", code=1).stderr
    assert files(tmp_path) == ["a.ttk"]


def test_processes_in_a_pipe():
    first = spawn("compress", "-", *FAST)
    second = spawn("decompress", "-", stdin=first.stdout)
    first.stdin.write(png(photo(90, 70)))
    first.stdin.close()
    decoded, told = second.communicate(timeout=100)
    assert (first.wait(), second.returncode) == (0, 0), told
    assert Image.open(io.BytesIO(decoded)).size == (90, 70)
    first.stdout.close()
    first.stderr.close()


def test_a_reader_that_goes_away_is_no_crash(source):
    process = spawn("compress", source, "-c", *FAST)
    process.stdout.close()
    told = process.stderr.read()
    process.stdin.close()
    process.stderr.close()
    assert process.wait() == 1
    assert told == f"titokzip: {source}: Broken pipe\n".encode()


def test_one_file_gets_passes_by_its_size_and_many_get_one(small, tmp_path):
    model = tmp_path / "m.safetensors"
    refiners.write(model, self_ensemble=True)
    for name in ("one", "two", "three"):
        (tmp_path / f"{name}.ttk").write_bytes(small)

    def decoded(*options, count=1):
        names = ("one", "two", "three")[:count]
        sources = [tmp_path / f"{name}.ttk" for name in names]
        run("decompress", *sources, "-m", model, "-f", *options)
        return (tmp_path / "one.png").read_bytes()

    assert decoded() == decoded("--passes", 8)
    assert decoded("--passes", 1) != decoded("--passes", 8)
    plain_precision = ("--precision", "float32")  # many files go through torch
    assert decoded(*plain_precision, count=3) == decoded("--passes", 1, *plain_precision)
    eight = ("--passes", 8, *plain_precision)
    assert decoded(*eight, count=3) == decoded(*eight)
