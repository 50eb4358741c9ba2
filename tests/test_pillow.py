"""The Pillow plugin."""

import io
import pickle
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from photos import photo
from PIL import Image, ImageFile, UnidentifiedImageError

import titokzip
import titokzip.pillow
from titokzip.bitstream import container
from titokzip.bitstream.header import Header, TransformLayout
from titokzip.errors import RateError
from titokzip.images import plain
from titokzip.rate_control import Rate


@pytest.fixture(scope="module", autouse=True)
def registered():
    """Register the plugin, twice, and leave Pillow as it was for other tests."""
    Image.init()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("OPEN", "SAVE", "EXTENSION", "MIME"):
            patch.setattr(Image, name, getattr(Image, name).copy())
        patch.setattr(Image, "ID", Image.ID.copy())
        titokzip.pillow.register()
        titokzip.pillow.register()
        yield


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("pillow") / "photo.ttk"
    photo(120, 90).save(path, quality=10)
    return path


def test_opened_like_any_image(path):
    with Image.open(path) as image:
        assert (image.format, image.size, image.mode) == ("TTK", (120, 90), "RGB")
        assert Image.MIME[image.format] == "image/x-ttk"
        image.load()
        expected = titokzip.decompress(path.read_bytes())
        assert np.array_equal(np.asarray(image), np.asarray(expected))
        image.load()


def test_opening_imports_no_torch(path):
    code = (
        "import sys, titokzip.pillow; from PIL import Image; titokzip.pillow.register();"
        f"image = Image.open({str(path)!r}); print(image.size, image.mode, 'torch' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "(120, 90) RGB False\n"


def test_files_are_closed_after_loading(path):
    image = Image.open(path)
    opened = image.fp
    image.load()
    assert opened.closed
    image.close()
    with Image.open(path) as image:
        opened = image.fp
    assert opened.closed


def test_a_stream_of_the_caller_stays_open(path):
    file = io.BytesIO(path.read_bytes())
    Image.open(file).load()
    assert not file.closed


@pytest.mark.parametrize(
    "use",
    [
        lambda image: image.copy(),
        lambda image: image.convert("L"),
        lambda image: image.crop((0, 0, 120, 90)),
        lambda image: image.resize((120, 90)),
        lambda image: pickle.loads(pickle.dumps(image)),
        lambda image: image.getchannel(1),
        lambda image: image.thumbnail((60, 60)) or image,
    ],
    ids=["copy", "convert", "crop", "resize", "pickle", "getchannel", "thumbnail"],
)
def test_used_like_any_image(path, use):
    with Image.open(path) as image:
        used = use(image)
        assert used.size == ((60, 45) if used is image else (120, 90))
        low, high = used.convert("L").getextrema()
        assert high - low > 50


@pytest.mark.parametrize(
    ("mode", "saved"),
    [
        ("L", "L"),
        ("RGB", "RGB"),
        ("P", "RGB"),
        ("1", "L"),
        ("CMYK", "RGB"),
        ("LA", "LA"),
        ("RGBA", "RGBA"),
    ],
)
def test_images_of_all_modes_are_saved(mode, saved, tmp_path):
    image = photo(50, 40).convert(mode)
    if "A" in mode:
        image.putalpha(100)
    image.save(tmp_path / "a.ttk", quality=10)
    with Image.open(tmp_path / "a.ttk") as image:
        assert (image.size, image.mode) == ((50, 40), saved)
        image.load()
        assert (image.size, image.mode) == ((50, 40), saved)
        assert image.convert("RGB").getextrema() != ((0, 0),) * 3


@pytest.mark.parametrize(
    "how",
    [{"quality": 80}, {"max_bytes": 40}, {"bpp": 0.2, "exif": b""}, {"tokens": 3, "tile": 30}],
    ids=str,
)
@pytest.mark.usefixtures("toy")
def test_options_reach_the_codec(how):
    image, file = photo(60, 40), io.BytesIO()
    image.save(file, "TTK", **how)
    how.pop("exif", None)
    assert file.getvalue() == titokzip.compress(image, **how)


def test_what_cannot_be_saved_leaves_no_file(tmp_path):
    for how, error in [
        ({"max_bytes": 5}, RateError),
        ({"tokens": 5}, RateError),
        ({"quality": 500}, ValueError),
    ]:
        with pytest.raises(error):
            photo(9, 9).save(tmp_path / "a.ttk", **how)
        assert not list(tmp_path.iterdir())


def test_a_background_flattens(tmp_path):
    clear = Image.new("RGBA", (20, 20), (255, 0, 0, 0))
    clear.save(tmp_path / "a.ttk", background="white")
    with Image.open(tmp_path / "a.ttk") as image:
        assert image.mode == "RGB"
        assert min(low for low, _ in image.getextrema()) > 200


@pytest.fixture
def layered(toy):
    """A file of three layers."""
    return toy.compress(plain(photo(400, 300)), Rate(tile=18))


@pytest.fixture
def truncated_is_loaded(monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)


def test_a_cut_file_is_opened_and_says_what_is_intact(layered):
    image = Image.open(io.BytesIO(layered[:-5]))
    assert (image.format, image.size, image.mode) == ("TTK", (400, 300), "RGB")
    for _ in range(2):
        with pytest.raises(OSError, match=r"2 of 3 layers are intact; ImageFile\.LOAD_TRUNCATED"):
            image.load()


@pytest.mark.usefixtures("truncated_is_loaded")
def test_a_cut_file_is_loaded_on_request(layered):
    image = Image.open(io.BytesIO(layered[:-5]))
    coarser = titokzip.decompress(layered[:-5], partial=True)
    assert np.array_equal(np.asarray(image), np.asarray(coarser))


@pytest.mark.parametrize("allowed", [False, True])
def test_a_file_cut_in_its_first_layer_is_opened_and_not_loaded(layered, monkeypatch, allowed):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", allowed)
    image = Image.open(io.BytesIO(layered[:20]))
    assert image.size == (400, 300)
    with pytest.raises(OSError, match="damaged or truncated"):
        image.load()


@pytest.mark.parametrize("kept", [1, 3, 5])
def test_a_header_that_is_cut_is_not_identified(path, kept):
    with pytest.raises(UnidentifiedImageError):
        Image.open(io.BytesIO(path.read_bytes()[:kept]))


def test_pillows_limit_on_pixels_is_the_only_one(path, monkeypatch):
    contents = container.unpack(path.read_bytes())
    large = replace(contents.header, width=20_000, height=20_000, layers=1)
    data = container.pack(large, [b"".join(contents.payloads)])
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    asked = []

    def decompress(data, **how):
        asked.append(how["max_pixels"])
        return Image.new("L", (9, 9))

    monkeypatch.setattr("titokzip.api.decompress", decompress)
    image = Image.open(io.BytesIO(data))
    assert image.size == (20_000, 20_000)
    image.load()
    assert asked[0] >= 20_000**2 > container.MAX_PIXELS


def test_a_newer_version_is_left_to_other_plugins(path):
    data = bytearray(path.read_bytes())
    data[1] += 1
    with pytest.raises(UnidentifiedImageError):
        Image.open(io.BytesIO(data))


def test_damage_behind_a_right_checksum_is_an_os_error(path):
    header = container.unpack(path.read_bytes()).header
    absurd = Header(header.model, 120, 90, TransformLayout(100, 2**20))
    image = Image.open(io.BytesIO(container.pack(absurd, [bytes(7)])))
    with pytest.raises(OSError, match="too large"):
        image.load()


def test_a_bomb_is_defused_by_pillow(path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(Image.DecompressionBombError):
        Image.open(path)


def test_parsed_as_it_arrives(path):
    parser = ImageFile.Parser()
    for byte in path.read_bytes():
        parser.feed(bytes([byte]))
    assert parser.close().size == (120, 90)
