"""Pictures to bytes and back: the toy shows the way of the data, the embedded model the picture."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from photos import photo, psnr
from PIL import Image
from toys import Toy, codec

import titokzip
from titokzip.bitstream import container
from titokzip.bitstream.header import Coder
from titokzip.codec import Codec
from titokzip.errors import (
    FormatError,
    ImageError,
    ModelError,
    RateError,
    TitokzipError,
    VerificationError,
)
from titokzip.images import plain
from titokzip.rate_control import Rate
from titokzip.tiling import Grid
from titokzip.tokenizers.config import ViTConfig
from titokzip.tokenizers.titok.config import TiTokConfig, VQGANConfig
from titokzip.tokenizers.titok.network import TiTok
from titokzip.zoo import Model

TOY = codec()
SIZES = [(1, 1), (1, 5000), (5000, 1), (255, 257), (97, 31)]


@pytest.mark.parametrize("size", SIZES)
def test_any_size_comes_back(embedded, size):
    assert TOY.decompress(TOY.compress(photo(*size))).size == size
    assert embedded.decompress(embedded.compress(photo(*size))).size == size


def test_a_plain_colour_comes_back():
    colour = (200, 30, 90)
    image = TOY.decompress(TOY.compress(Image.new("RGB", (50, 40), colour), Rate(tile=16)))
    assert np.abs(np.asarray(image, int) - colour).max() <= 255 / 63 / 2 + 1


def test_a_picture_comes_back_alike(embedded):
    image = photo(512, 384)
    assert psnr(embedded.decompress(embedded.compress(image)), image) > 22


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_grey_stays_grey(embedded, mode):
    image = photo(80, 60, mode=mode)
    for one in (TOY, embedded):
        assert one.decompress(one.compress(image)).mode == mode


def test_more_tiles_and_more_tokens_are_better(embedded):
    image = photo(300, 300, 3)
    quality = [
        psnr(embedded.decompress(embedded.compress(image, rate)), image)
        for rate in (Rate(tile=300, tokens=8), Rate(tile=300), Rate(tile=75))
    ]
    assert quality == sorted(quality)


def test_native_is_the_size_of_the_grid():
    data = TOY.compress(photo(50, 40), Rate(tile=10))
    grid = container.unpack(data).header.grid
    assert TOY.decompress(data, native=True).size == (16 * grid.columns, 16 * grid.rows)
    assert TOY.decompress(data, size=(7, 9)).size == (7, 9)


@pytest.mark.parametrize("rate", [Rate(), Rate(tile=100, tokens=40), Rate(bpp=0.05)], ids=str)
def test_compressing_twice_gives_the_same_bytes(embedded, rate):
    assert embedded.compress(photo(320, 200), rate) == embedded.compress(photo(320, 200), rate)


def test_tokens_do_not_depend_on_batch_or_threads(embedded):
    data = embedded.compress(photo(640, 384), Rate(tile=128))
    contents, threads, seen = container.unpack(data), torch.get_num_threads(), []
    assert contents.header.layers == 3
    try:
        for count in (1, 4):
            torch.set_num_threads(count)
            for batch in (1, 64):
                other = replace(embedded, batch=batch)
                seen.append((other.read(contents), np.asarray(other.paint(contents), int)))
    finally:
        torch.set_num_threads(threads)
    for tokens, pixels in seen:
        assert np.array_equal(tokens, seen[0][0])
        assert np.abs(pixels - seen[0][1]).max() <= 1


def test_a_picture_too_long_for_the_format_is_an_error_and_others_are_done():
    many = [plain(Image.new("RGB", size)) for size in [(20, 20), (2**21, 1), (30, 30)]]
    first, second, third = TOY.compress_all(many, Rate())
    assert isinstance(second, TitokzipError)
    assert [container.unpack(data).header.width for data in (first, third)] == [20, 30]


def test_tiles_of_many_pictures_share_batches():
    tokenizer = Toy()
    many = [plain(photo(16, 16, seed)) for seed in range(20)]
    list(codec(tokenizer, batch=8).compress_all(many, Rate(tile=16)))
    assert tokenizer.batches == [8, 8, 4]


@pytest.mark.parametrize("rate", [Rate(), Rate(tile=16, tokens=2), Rate(max_bytes=60)], ids=str)
def test_verifying_changes_nothing(rate):
    many = [plain(photo(70, 50, seed)) for seed in range(3)]
    assert list(TOY.compress_all(many, rate, verify=True)) == list(TOY.compress_all(many, rate))


def test_verifying_finds_a_coder_that_lies(monkeypatch):
    monkeypatch.setattr(Codec, "read", lambda self, contents: [np.zeros(4, np.int32)])
    (error,) = TOY.compress_all([plain(photo(16, 16))], Rate(), verify=True)
    assert isinstance(error, VerificationError)


def test_files_of_another_model_are_refused(embedded):
    data = TOY.compress(photo(20, 20))
    with pytest.raises(FormatError, match="746f7921"):
        embedded.decompress(data)
    with pytest.raises(ModelError, match="746f7921"):
        titokzip.decompress(data)


def test_what_a_header_asks_for_is_bounded(embedded):
    header = container.unpack(embedded.compress(photo(20, 20))).header
    for change, message in [
        ({"grid": Grid(40, 40)}, "max-pixels"),
        ({"coder": Coder.PACKED, "tokens": 2}, "bytes of packed tokens"),
    ]:
        data = container.pack(replace(header, layers=1, **change), [bytes(300)])
        with pytest.raises(FormatError, match=message):
            embedded.decompress(data)
    for change, message in [
        ({"tokens": 5}, "more than the model has"),
        ({"coder": Coder.RANGE}, "no tables"),
    ]:
        toy = replace(container.unpack(TOY.compress(photo(16, 16))).header, **change)
        with pytest.raises(FormatError, match=message):
            TOY.decompress(container.pack(toy, [bytes(3)]))


@pytest.mark.parametrize("name", ["toy", "embedded"])
def test_a_cut_file_paints_a_softer_picture(embedded, name):
    one = {"toy": TOY, "embedded": embedded}[name]
    image = photo(400, 300)
    data = one.compress(image, Rate(tile=18 if name == "toy" else 130))
    contents = container.unpack(data)
    assert contents.header.layers == 3
    painted = {}
    for cut in range(len(data)):
        try:
            left = container.unpack(data[:cut], partial=True)
        except FormatError:
            assert not painted  # only before the end of the first layer
            continue
        assert left.payloads == contents.payloads[: len(left.payloads)]
        if len(left.payloads) not in painted:
            painted[len(left.payloads)] = one.decompress(data[:cut], partial=True)
        with pytest.raises(FormatError, match="allow-partial"):
            one.decompress(data[:cut])
    assert [painted[layers].size for layers in sorted(painted)] == [(400, 300)] * 2
    assert psnr(painted[1], image) <= psnr(painted[2], image) < psnr(one.decompress(data), image)


@pytest.mark.parametrize(
    "vqgan", [None, VQGANConfig(16, 8, (32, 32, 64, 64))], ids=["rgb", "vqgan"]
)
def test_titok_is_a_codec(vqgan):
    torch.manual_seed(0)
    config = TiTokConfig(ViTConfig(32, 2, 2), ViTConfig(48, 2, 3), 6, 64, 5, 32, 8, vqgan=vqgan)
    tokenizer = TiTok(config).requires_grad_(False).eval()
    titok = Codec(Model(bytes(32), tokenizer), batch=4)
    image = photo(96, 64)
    data = titok.compress(image, Rate(tile=32))
    contents = container.unpack(data)
    assert contents.header.grid == Grid(2, 3)
    assert contents.header.coder == Coder.PACKED
    assert [len(payload) for payload in contents.payloads] == [
        6 * 6 * 6 // 8
    ]  # tiles, tokens, bits
    tokens = torch.from_numpy(np.stack(titok.read(contents)))
    assert np.asarray(titok.decompress(data)).shape == (64, 96, 3)
    tiles = tokenizer.decode_features(tokens)
    field = torch.cat([torch.cat(list(row), dim=2) for row in tiles.split(3)], dim=1)
    whole = tokenizer.decode_pixels(field[None])[0].clamp(0, 1).permute(1, 2, 0).numpy() * 255
    difference = np.abs(np.asarray(titok.decompress(data), np.float32) - whole)
    assert difference.max() < 0.6  # of a level: rounding only
    with pytest.raises(RateError):
        titok.compress(image, Rate(max_bytes=17))


def test_the_functions_of_the_package():
    image = photo(120, 90)
    data = titokzip.compress(image, max_bytes=100)
    assert len(data) <= 100
    assert titokzip.decompress(data).size == (120, 90)
    with pytest.raises(ValueError, match="exclude"):
        titokzip.compress(image, max_bytes=100, bpp=1)
    with pytest.raises(ModelError, match="no model named"):
        titokzip.compress(image, model="nothing")
    with pytest.raises(ImageError, match="background"):
        titokzip.compress(Image.new("RGBA", (20, 20), (255, 0, 0, 100)))
    with pytest.raises(AttributeError, match="nothing"):
        titokzip.nothing  # noqa: B018
