"""Released models in the commands over images: -m, and what is found by itself."""

import json

import numpy as np
import pytest
import torch
from photos import photo, psnr
from PIL import Image
from releases import flextok_folder, official_folder
from run import files, run
from titoks import DIRECT, weights
from torch import nn

import titokzip
from titokzip import loading, zoo
from titokzip.bitstream import container
from titokzip.errors import FormatError
from titokzip.images import plain
from titokzip.layouts import tiles
from titokzip.rate_control import Rate

pytestmark = pytest.mark.usefixtures("known")


@pytest.mark.parametrize("size", [(271, 260), (128, 512), (32, 32), (5, 90)])
def test_images_of_any_size_go_through_a_released_model(tiny, tmp_path, size):
    photo(*size).save(tmp_path / "a.png")
    run("compress", tmp_path / "a.png", "-m", "tiny-6", "--verify")
    header = container.unpack((tmp_path / "a.ttk").read_bytes()).header
    assert header.model == tiny.fingerprint[:4]
    assert (header.width, header.height) == size
    told = json.loads(run("info", tmp_path / "a.ttk", "--json").stdout)["results"][0]
    assert told["model_name"] == "tiny-6"
    run("decompress", tmp_path / "a.ttk", "-o", tmp_path / "back.png")
    with Image.open(tmp_path / "back.png") as back:
        assert back.size == size


def test_nothing_is_cropped(tiny):
    """The last columns of pixels are in the tokens, as much as the first."""
    white = Image.new("RGB", (271, 260), "white")
    codec = loading.load("tiny-6", "cpu")
    whole = codec.compress(plain(white), Rate(tile=32))
    for column in (0, 251):
        marked = white.copy()
        marked.paste("black", (column, 0, column + 20, 260))
        assert codec.compress(plain(marked), Rate(tile=32)) != whole


def test_python_finds_released_models(tiny):
    data = titokzip.compress(photo(60, 40), model="tiny-6", device="cpu")
    assert titokzip.decompress(data, device="cpu").size == (60, 40)


def test_a_model_that_is_not_here_is_named_with_the_way_to_get_it(tiny, tmp_path):
    photo(60, 40).save(tmp_path / "a.png")
    run("compress", tmp_path / "a.png", "-m", "tiny-6")
    zoo.remove(tiny)
    for command in (
        ("compress", tmp_path / "a.png", "-m", "tiny-6"),
        ("decompress", tmp_path / "a.ttk", "-f"),
        ("bench", "--dataset", tmp_path, "-m", "tiny-6", "--out", tmp_path / "bench"),
    ):
        told = run(*command, code=3).stderr
        assert told.count("\n") == 1
        assert "`titokzip models pull tiny-6` fetches it" in told
    assert "model name   tiny-6" in run("info", tmp_path / "a.ttk").stdout


@pytest.fixture
def decoders(tiny, tmp_path):
    """Give the tiny release a second decoder, whose name comes first."""
    state = weights(DIRECT)
    state["decoder.conv_out.bias"] += 0.3
    return tiny, zoo.add(official_folder(tmp_path / "bright", state), "bright", "tiny-6")


def test_two_decoders_of_the_same_tokens(decoders, tmp_path):
    tiny, _ = decoders
    shown = json.loads(run("models", "list", "--json").stdout)["models"]
    same = [row["name"] for row in shown if row["fingerprint"] == tiny.fingerprint.hex()[:8]]
    assert same == ["bright", "tiny-6"]
    photo(60, 40).save(tmp_path / "a.png")
    run("compress", tmp_path / "a.png", "-m", "tiny-6")
    images = {}
    for name in ("bright", "tiny-6", None):
        chosen = ["-m", name] if name else []
        run("decompress", tmp_path / "a.ttk", "-o", tmp_path / "b.png", "-f", *chosen)
        with Image.open(tmp_path / "b.png") as decoded:
            images[name] = decoded.tobytes()
        data = (tmp_path / "a.ttk").read_bytes()
        again = titokzip.decompress(data, model=name, device="cpu")
        assert again.tobytes() == images[name]
    assert images["bright"] != images["tiny-6"]
    assert images[None] == images["bright"]  # the first that is found


def test_the_default_decoder_comes_first(decoders, tmp_path, monkeypatch):
    monkeypatch.setattr("titokzip.zoo.store.DEFAULT", "tiny-6")
    tiny, _ = decoders
    assert zoo.find_fingerprint(tiny.fingerprint[:4]) == tiny


def test_a_model_of_other_tokens_is_refused(tiny, tmp_path):
    photo(60, 40).save(tmp_path / "a.png")
    run("compress", tmp_path / "a.png", "-q", 5)
    told = run("decompress", tmp_path / "a.ttk", "-m", "tiny-6", "-f", code=1).stderr
    assert told.count("\n") == 1
    assert f"not with {tiny.fingerprint[:4].hex()}" in told
    with pytest.raises(FormatError, match="not with"):
        titokzip.decompress((tmp_path / "a.ttk").read_bytes(), model="tiny-6", device="cpu")


def decoded_by(path, *options):
    """Decompress a file; its image."""
    run("decompress", path, "-o", path.with_suffix(".png"), "-f", *options)
    with Image.open(path.with_suffix(".png")) as image:
        return image.convert("RGB")


def test_decoding_in_bfloat16(tiny, tmp_path, monkeypatch):
    photo(60, 40).save(tmp_path / "a.png")
    run("compress", tmp_path / "a.png", "-m", "tiny-6")
    exact = decoded_by(tmp_path / "a.ttk", "--precision", "float32", "--device", "cpu")
    light = decoded_by(tmp_path / "a.ttk", "--precision", "bfloat16", "--device", "cpu")
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict, raising=False)
    assert decoded_by(tmp_path / "a.ttk", "--device", "cpu") == exact
    native = {"avx512_bf16": True}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: native, raising=False)
    assert decoded_by(tmp_path / "a.ttk", "--device", "cpu") == light
    assert 25 < psnr(light, exact) < 100


def test_python_decodes_in_what_is_fastest(tiny, monkeypatch):
    asked = []
    choose = tiles.resolve
    monkeypatch.setattr(tiles, "resolve", lambda *given: asked.append(given) or choose(*given))
    data = titokzip.compress(photo(60, 40), model="tiny-6", device="cpu")
    titokzip.decompress(data, device="cpu")
    assert asked == [("auto", "cpu")]  # of one model, loaded once


def test_networks_are_compiled(tiny, tmp_path, monkeypatch):
    compiled = []
    monkeypatch.setattr(nn.Module, "compile", lambda module: compiled.append(type(module).__name__))
    photo(60, 40).save(tmp_path / "a.png")
    run("compress", tmp_path / "a.png", "-m", "tiny-6")
    run("decompress", tmp_path / "a.ttk", "-f")
    assert compiled == []
    run("compress", tmp_path / "a.png", "-m", "tiny-6", "--compile", "-f")
    assert compiled == ["Encoder", "Quantizer", "Decoder", "Conv2d"]
    run("decompress", tmp_path / "a.ttk", "--compile", "-f")
    assert len(compiled) == 8


@pytest.fixture
def flextok(tmp_path, monkeypatch):
    """Give a file that a small FlexTok, whose sampler takes one step, made."""
    zoo.add(flextok_folder(monkeypatch, tmp_path / "flextok_tiny"))
    photo(60, 40).save(tmp_path / "a.png")
    run("compress", tmp_path / "a.png", "-m", "flextok-tiny")
    return tmp_path / "a.ttk"


def test_steps_and_guidance(flextok):
    told = [
        (),
        ("--steps", 1, "--guidance", 7.5),
        ("--steps", 2),
        ("--guidance", 1),
        ("--guidance", 0),
    ]
    images = [decoded_by(flextok, *options).tobytes() for options in told]
    assert images[0] == images[1]
    assert len(set(images)) == 4
    exact, light = (
        np.asarray(decoded_by(flextok, "--precision", precision), int)
        for precision in ("float32", "bfloat16")
    )
    assert 0 < np.abs(exact - light).mean() < 8


@pytest.mark.parametrize(
    "options", [("--steps", 0), ("--steps", "x"), ("--guidance", "nan"), ("--guidance", -1)]
)
def test_steps_and_guidance_that_make_no_sense(flextok, options):
    assert "Invalid value for '--" in run("decompress", flextok, *options, "-f", code=2).stderr


@pytest.mark.parametrize("count", [1, 3])
def test_steps_and_guidance_of_a_model_without_them(tiny, tmp_path, count):
    folder = tmp_path / "in"
    folder.mkdir()
    for i in range(count):
        photo(60, 40).save(folder / f"{i}.png")
    run("compress", "-r", folder, "-m", "tiny-6", "--rm")
    before = files(folder)
    for options in (("--steps", 5), ("--guidance", 2)):
        told = run("decompress", "-r", folder, *options, code=2).stderr
        assert told.endswith("Error: --steps and --guidance are for FlexTok; tiny-6 has none\n")
    told = run("decompress", "-r", folder, "--passes", 2, code=2).stderr
    assert told.endswith("Error: --passes is for the embedded model, not for tiny-6\n")
    assert files(folder) == before
