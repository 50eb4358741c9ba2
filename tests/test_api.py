"""The functions of `import titokzip`: what they take, and what they refuse."""

import subprocess
import sys

import numpy as np
import pytest
import refiners
from photos import photo, png
from PIL import Image
from toys import LEVELS

import titokzip
from titokzip import loading, zoo
from titokzip.bitstream import container
from titokzip.bitstream.header import TransformLayout
from titokzip.errors import (
    FormatError,
    ImageError,
    ModelError,
    PixelLimitError,
    RateError,
    Transparent,
    Truncated,
)
from titokzip.rate_control import Rate
from titokzip.tiling import Grid


@pytest.fixture(scope="module")
def data():
    """A file of the embedded model."""
    return titokzip.compress(photo(60, 40), quality=30)


# Of the embedded model


def test_there_and_back(data):
    assert isinstance(container.unpack(data).header.layout, TransformLayout)
    image = titokzip.decompress(data, device="cpu")
    assert (image.size, image.mode) == ((60, 40), "RGB")


def test_many_files_get_one_pass_and_one_gets_more(data, tmp_path, monkeypatch):
    manifest = refiners.write(tmp_path / "m.safetensors", self_ensemble=True)
    monkeypatch.setattr(zoo, "find_fingerprint", lambda fingerprint: manifest)

    def pixels(**how):
        return np.asarray(titokzip.decompress(data, device="cpu", **how))

    (one,) = titokzip.decompress_many([data], device="cpu")
    assert np.array_equal(np.asarray(one), pixels(passes=1))
    assert np.array_equal(pixels(), pixels(passes=8))
    assert not np.array_equal(pixels(), pixels(passes=1))


def test_the_rate_is_set_in_one_way():
    image = photo(20, 16)
    assert len(titokzip.compress(image, max_bytes=30)) <= 30
    assert len(titokzip.compress(image, bpp=0.75)) <= 30
    for wrong in [{"max_bytes": 99, "bpp": 1}, {"quality": 101}, {"quality": 50, "tile": 9}]:
        with pytest.raises(ValueError, match=r"exclude|1 to 100|one or the other"):
            titokzip.compress(image, **wrong)
    for wrong in [{"tokens": 9}, {"tile": 9}, {"max_bytes": 3}]:
        with pytest.raises(RateError):
            titokzip.compress(image, **wrong)


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_transparency_is_kept_by_the_embedded_model(mode):
    image = photo(40, 40, mode=mode)
    image.putalpha(Image.linear_gradient("L").resize((40, 40)))
    back = titokzip.decompress(titokzip.compress(image, quality=60), device="cpu")
    assert (back.size, back.mode) == (image.size, mode)
    alphas = [np.asarray(one.getchannel("A"), int) for one in (back, image)]
    assert np.abs(alphas[0] - alphas[1]).mean() < 16


def test_transparency_is_flattened_on_a_background():
    clear = Image.new("RGBA", (30, 30), (255, 0, 0, 0))
    back = titokzip.decompress(titokzip.compress(clear, background="#0000ff"), device="cpu")
    assert back.mode == "RGB"
    assert [low > 200 for low, _ in back.getextrema()] == [False, False, True]
    with pytest.raises(ValueError, match="no colour"):
        titokzip.compress(clear, background="no colour")


def test_tokens_of_the_embedded_model(data):
    tokens, grid, header = titokzip.tokens(data)
    assert (tokens.ndim, tokens.dtype, grid) == (1, np.int32, None)
    assert (header.width, header.height) == (60, 40)
    assert np.count_nonzero(tokens)


def test_no_torch_until_pixels_are_decoded():
    code = (
        "import sys, numpy, titokzip\n"
        "data = titokzip.compress(numpy.zeros((16, 24, 3), numpy.uint8))\n"
        "assert titokzip.tokens(data).tokens.size\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# Of a toy of tiles, in which things can be counted


@pytest.mark.usefixtures("toy")
def test_images_of_every_kind_are_taken(tmp_path):
    image = photo(50, 40)
    (tmp_path / "a.png").write_bytes(png(image))
    sources = [
        tmp_path / "a.png",
        str(tmp_path / "a.png"),
        png(image),
        np.asarray(image),
        image,
        titokzip.to_input(image),
    ]
    files = {titokzip.compress(source, tile=20) for source in sources}
    assert len(files) == 1
    assert files == set(titokzip.compress_many(sources, Rate(tile=20)))
    (tmp_path / "a.ttk").write_bytes(files.pop())
    for place in (tmp_path / "a.ttk", str(tmp_path / "a.ttk")):
        assert titokzip.decompress(place, device="cpu").size == (50, 40)


@pytest.mark.usefixtures("toy")
def test_arrays_of_grey_levels_and_of_alpha():
    grey = np.asarray(photo(50, 40, mode="L"))
    assert titokzip.decompress(titokzip.compress(grey)).mode == "L"
    clear = np.dstack([np.asarray(photo(50, 40)), np.full((40, 50), 9, np.uint8)])
    assert titokzip.to_input(clear).alpha.getextrema() == (9, 9)
    assert titokzip.to_input(clear, "white").alpha is None


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [((4, 5, 2), "uint8"), ((5,), "uint8"), ((1, 4, 5, 3), "uint8"), ((4, 5, 3), "float32")],
    ids=str,
)
def test_other_arrays_are_wrong_arguments(shape, dtype):
    with pytest.raises(ValueError, match=r"an image array is uint8"):
        titokzip.to_input(np.zeros(shape, dtype))


@pytest.mark.parametrize("shape", [(0, 5), (5, 0, 3), (0, 0, 4)], ids=str)
def test_arrays_without_pixels_are_no_images(shape):
    with pytest.raises(ImageError, match="no pixels"):
        titokzip.to_input(np.zeros(shape, np.uint8))


def test_what_is_no_image_is_refused(tmp_path):
    with pytest.raises(ImageError, match="not an image"):
        titokzip.compress(b"Dear diary,")
    with pytest.raises(FileNotFoundError):
        titokzip.compress(tmp_path / "missing.png")


@pytest.mark.usefixtures("toy")
def test_a_model_of_tiles_refuses_transparency():
    clear = Image.new("RGBA", (20, 20), (255, 0, 0, 100))
    with pytest.raises(Transparent, match="no alpha channel"):
        titokzip.compress(clear)
    assert titokzip.decompress(titokzip.compress(clear, background="white")).size == (20, 20)


@pytest.mark.usefixtures("toy")
def test_many_are_done_in_order_until_one_fails():
    many = [photo(width, 20) for width in (20, 21, 22)]
    files = list(titokzip.compress_many(many))
    assert [image.width for image in titokzip.decompress_many(files)] == [20, 21, 22]
    assert list(titokzip.decompress_many([])) == []
    assert list(titokzip.compress_many([])) == []
    done = titokzip.compress_many([*many, Image.new("L", (2**21, 1))])
    with pytest.raises(FormatError, match="cannot be stored"):
        list(done)
    with pytest.raises(FormatError, match=r"not a \.ttk file"):
        list(titokzip.decompress_many([*files, b"words"]))


@pytest.mark.usefixtures("toy")
def test_tokens_of_tiles(monkeypatch):
    monkeypatch.setattr(zoo, "vocabulary_of", lambda fingerprint: LEVELS)
    found = titokzip.tokens(titokzip.compress(photo(50, 40), tile=25, tokens=3))
    assert found.grid == Grid(2, 2)
    assert found.tokens.shape == (4, 3)
    assert found.tokens.max() < LEVELS
    assert found.header.width == 50


@pytest.mark.usefixtures("toy")
def test_truncated_files_are_decoded_on_request(monkeypatch):
    monkeypatch.setattr(zoo, "vocabulary_of", lambda fingerprint: LEVELS)
    data = titokzip.compress(photo(400, 300), tile=18)
    for function in (titokzip.decompress, titokzip.tokens):
        with pytest.raises(Truncated):
            function(data[:-1])
    assert titokzip.decompress(data[:-1], partial=True).size == (400, 300)
    whole, part = titokzip.tokens(data), titokzip.tokens(data[:-1], partial=True)
    kept = part.tokens.shape[1]
    assert 0 < kept < whole.tokens.shape[1]
    assert np.array_equal(part.tokens, whole.tokens[:, :kept])


@pytest.mark.usefixtures("toy")
def test_the_limit_on_pixels():
    data = titokzip.compress(photo(20, 20))
    with pytest.raises(PixelLimitError):
        titokzip.decompress(data, max_pixels=399)
    assert titokzip.decompress(data, max_pixels=256 + 400).size == (20, 20)


# Models


def test_models_that_are_not_here():
    with pytest.raises(ModelError, match="no model named 'nothing'"):
        titokzip.compress(photo(9, 9), model="nothing")
    with pytest.raises(ModelError, match="models pull titok-l32"):
        titokzip.compress(photo(9, 9), model="titok-l32")


def test_files_of_models_that_are_not_here():
    from toys import codec

    data = codec().compress(titokzip.to_input(photo(20, 20)))
    for function in (titokzip.decompress, titokzip.tokens):
        with pytest.raises(ModelError, match="746f7921"):
            function(data)
    with pytest.raises(FormatError, match="746f7921"):
        titokzip.decompress(data, model="xs")


def test_a_model_is_loaded_once(data, monkeypatch):
    loads = []
    load = loading.load
    monkeypatch.setattr(
        loading, "load", lambda *how, **more: loads.append(how) or load(*how, **more)
    )
    loading.cached.cache_clear()
    for _ in range(2):
        titokzip.compress(photo(20, 20), device="cpu")
        titokzip.tokens(data)
        titokzip.decompress(data, device="cpu")
    assert len(loads) == 1
    list(titokzip.decompress_many([data], device="cpu"))  # with another number of passes
    assert len(loads) == 2


@pytest.mark.usefixtures("tiny")
def test_a_model_of_tiles_is_loaded_once_whatever_the_passes():
    loading.cached.cache_clear()
    file = titokzip.compress(photo(20, 20), model="tiny-6", device="cpu")
    titokzip.decompress(file, passes=2, device="cpu")
    list(titokzip.decompress_many([file], device="cpu"))
    assert loading.cached.cache_info().currsize == 1


def test_names_that_are_not_there():
    with pytest.raises(AttributeError, match="nothing"):
        titokzip.nothing  # noqa: B018
    assert {"compress", "decompress", "Rate", "load"} <= set(titokzip.__all__)
    assert all(hasattr(titokzip, name) for name in titokzip.__all__)
