"""Released models in the commands over pictures: -m, and what is found by itself."""

import json

import pytest
from photos import photo
from PIL import Image
from releases import official_folder, register
from run import run
from titoks import DIRECT, weights

import titokzip
from titokzip import container, zoo
from titokzip.errors import FormatError
from titokzip.rate import Rate


@pytest.fixture(autouse=True)
def known(monkeypatch, tmp_path):
    monkeypatch.setenv("TITOKZIP_MODELS", str(tmp_path / "models"))
    return register(monkeypatch)


@pytest.fixture
def folder(tmp_path):
    return official_folder(tmp_path / "tokenizer_tiny_6_imagenet")


@pytest.fixture
def tiny(folder):
    return zoo.add(folder)


@pytest.mark.parametrize("size", [(271, 260), (128, 512), (32, 32), (5, 90)])
def test_pictures_of_any_size_go_through_a_released_model(tiny, tmp_path, size):
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
    codec = titokzip.Codec.load("tiny-6", "cpu")
    for column in (0, 251):
        marked = white.copy()
        marked.paste("black", (column, 0, column + 20, 260))
        assert codec.compress(marked, Rate(tile=32)) != codec.compress(white, Rate(tile=32))


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
def painters(tiny, tmp_path):
    """Give the tiny release a second painter, whose name comes first."""
    state = weights(DIRECT)
    state["decoder.conv_out.bias"] += 0.3
    return tiny, zoo.add(official_folder(tmp_path / "bright", state), "bright", "tiny-6")


def test_two_painters_of_the_same_tokens(painters, tmp_path):
    tiny, _ = painters
    shown = json.loads(run("models", "list", "--json").stdout)["models"]
    same = [row["name"] for row in shown if row["fingerprint"] == tiny.fingerprint.hex()[:8]]
    assert same == ["bright", "tiny-6"]
    photo(60, 40).save(tmp_path / "a.png")
    run("compress", tmp_path / "a.png", "-m", "tiny-6")
    pictures = {}
    for name in ("bright", "tiny-6", None):
        chosen = ["-m", name] if name else []
        run("decompress", tmp_path / "a.ttk", "-o", tmp_path / "b.png", "-f", *chosen)
        with Image.open(tmp_path / "b.png") as painted:
            pictures[name] = painted.tobytes()
        data = (tmp_path / "a.ttk").read_bytes()
        again = titokzip.decompress(data, model=name, device="cpu")
        assert again.tobytes() == pictures[name]
    assert pictures["bright"] != pictures["tiny-6"]
    assert pictures[None] == pictures["bright"]  # the first that is found


def test_the_default_painter_comes_first(painters, tmp_path, monkeypatch):
    monkeypatch.setattr("titokzip.zoo.search.DEFAULT", "tiny-6")
    tiny, _ = painters
    assert zoo.find_fingerprint(tiny.fingerprint[:4]) == tiny


def test_a_model_of_other_tokens_is_refused(tiny, tmp_path):
    photo(60, 40).save(tmp_path / "a.png")
    run("compress", tmp_path / "a.png")
    told = run("decompress", tmp_path / "a.ttk", "-m", "tiny-6", "-f", code=1).stderr
    assert told.count("\n") == 1
    assert f"not with this one ({tiny.fingerprint[:4].hex()})" in told
    with pytest.raises(FormatError, match="not with this one"):
        titokzip.decompress((tmp_path / "a.ttk").read_bytes(), model="tiny-6", device="cpu")
