"""Images as grids of tiles: the toys show the way of the data, a small TiTok the networks."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from photos import photo, psnr
from PIL import Image
from toys import Rigid, Toy, codec

from titokzip.bitstream import container
from titokzip.bitstream.header import TileLayout
from titokzip.codec import Codec
from titokzip.errors import FormatError, ImageError, RateError, TitokzipError
from titokzip.images import plain
from titokzip.layouts.tiles import Tiled
from titokzip.rate_control import Rate
from titokzip.tiling import Grid
from titokzip.tokenizers.config import ViTConfig
from titokzip.tokenizers.titok.config import TiTokConfig, VQGANConfig
from titokzip.tokenizers.titok.network import TiTok

TOY = codec()
SIZES = [(1, 1), (1, 5000), (5000, 1), (255, 257), (97, 31)]


def compress(image, rate=None, one=TOY):
    return one.compress(plain(image), rate)


@pytest.mark.parametrize("size", SIZES)
def test_any_size_comes_back(size):
    assert TOY.decompress(compress(photo(*size))).size == size


def test_a_flat_colour_comes_back():
    colour = (200, 30, 90)
    image = TOY.decompress(compress(Image.new("RGB", (50, 40), colour), Rate(tile=16)))
    assert np.abs(np.asarray(image, int) - colour).max() <= 255 / 63 / 2 + 1


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_grey_stays_grey(mode):
    assert TOY.decompress(compress(photo(80, 60, mode=mode))).mode == mode


def test_native_is_the_size_of_the_grid():
    data = compress(photo(50, 40), Rate(tile=10))
    grid = container.unpack(data).header.layout.grid
    assert TOY.decompress(data, native=True).size == (16 * grid.columns, 16 * grid.rows)
    assert TOY.decompress(data, size=(7, 9)).size == (7, 9)


def test_an_image_too_long_for_the_format_is_an_error_and_others_are_done():
    many = [plain(Image.new("RGB", size)) for size in [(20, 20), (2**21, 1), (30, 30)]]
    first, second, third = TOY.compress_many(many, Rate())
    assert isinstance(second, TitokzipError)
    assert [container.unpack(data).header.width for data in (first, third)] == [20, 30]


def test_transparency_is_refused():
    image = plain(Image.new("RGBA", (20, 20), (255, 0, 0, 100)), keep_alpha=True)
    with pytest.raises(ImageError, match="alpha"):
        TOY.compress(image)


def test_tiles_of_many_images_share_batches():
    tokenizer = Toy()
    many = [plain(photo(16, 16, seed)) for seed in range(20)]
    list(codec(tokenizer, batch=8).compress_many(many, Rate(tile=16)))
    assert tokenizer.batches == [8, 8, 4]


def test_files_of_many_images_share_batches():
    many = [plain(photo(40, 30, seed)) for seed in range(5)]
    files = list(TOY.compress_many(many, Rate(tile=16)))
    alone = [TOY.decompress(data) for data in files]
    together = TOY.decompress_many(container.unpack(data) for data in files)
    assert [image.tobytes() for image in together] == [image.tobytes() for image in alone]


@pytest.mark.parametrize("rate", [Rate(), Rate(tile=16, tokens=2), Rate(max_bytes=60)], ids=str)
def test_verifying_changes_nothing(rate):
    many = [plain(photo(70, 50, seed)) for seed in range(3)]
    assert list(TOY.compress_many(many, rate, verify=True)) == list(TOY.compress_many(many, rate))


def test_verifying_finds_a_coder_that_lies(monkeypatch):
    monkeypatch.setattr(Tiled, "tokens", lambda self, contents: np.zeros((1, 4), np.int32))
    many = [plain(photo(16, 16))]
    (result,) = TOY.compress_many(many, Rate(), verify=True)
    assert isinstance(result, TitokzipError)
    assert "other tokens" in str(result)


def test_bounds_of_a_header_are_checked():
    header = container.unpack(compress(photo(20, 20))).header
    for layout, message in [
        (TileLayout(Grid(1100, 1100), 1), "more than the limit"),
        (TileLayout(Grid(1, 1), 3), "bytes of packed tokens"),
        (TileLayout(Grid(1, 1), 5), "more than the model has"),
    ]:
        data = container.pack(replace(header, layout=layout), [bytes(160_000)])
        with pytest.raises(FormatError, match=message):
            TOY.decompress(data)
    short = container.pack(replace(header, layout=TileLayout(Grid(1, 1), 3)), [bytes(3)])
    with pytest.raises(FormatError, match="needs all tokens"):
        codec(Rigid()).decompress(short)


def test_one_bad_file_leaves_others_alone():
    good = container.unpack(compress(photo(20, 20)))
    bad = replace(good, header=replace(good.header, layout=TileLayout(Grid(1, 1), 5)))
    results = list(TOY.decompress_many([good, bad, good]))
    assert isinstance(results[1], FormatError)
    assert results[0].tobytes() == results[2].tobytes()


def test_a_truncated_file_decodes_to_a_coarser_image():
    image = photo(400, 300)
    data = compress(image, Rate(tile=18))
    contents = container.unpack(data)
    assert contents.header.layers == 3
    decoded = {}
    for cut in range(len(data)):
        try:
            left = container.unpack(data[:cut], partial=True)
        except FormatError:
            assert not decoded  # only before the end of the first layer
            continue
        assert left.payloads == contents.payloads[: len(left.payloads)]
        if len(left.payloads) not in decoded:
            decoded[len(left.payloads)] = TOY.decompress(data[:cut], partial=True)
        with pytest.raises(FormatError, match="layers are intact"):
            TOY.decompress(data[:cut])
    assert [decoded[layers].size for layers in sorted(decoded)] == [(400, 300)] * 2
    assert psnr(decoded[1], image) <= psnr(decoded[2], image) < psnr(TOY.decompress(data), image)


@pytest.mark.parametrize(
    "vqgan", [None, VQGANConfig(16, 8, (32, 32, 64, 64))], ids=["rgb", "vqgan"]
)
def test_titok_is_a_codec(vqgan):
    torch.manual_seed(0)
    config = TiTokConfig(ViTConfig(32, 2, 2), ViTConfig(48, 2, 3), 6, 64, 5, 32, 8, vqgan=vqgan)
    tokenizer = TiTok(config).requires_grad_(False).eval()
    titok = Codec("titok", b"rndm", Tiled(b"rndm", tokenizer, "cpu", 4))
    data = compress(photo(96, 64), Rate(tile=32), titok)
    contents = container.unpack(data)
    assert contents.header.layout == TileLayout(Grid(2, 3), 6)
    assert [len(payload) for payload in contents.payloads] == [6 * 6 * 6 // 8]
    tokens = torch.from_numpy(titok.tokens(contents))
    tiles = tokenizer.decode_features(tokens)
    field = torch.cat([torch.cat(list(row), dim=2) for row in tiles.split(3)], dim=1)
    whole = tokenizer.decode_pixels(field[None])[0].clamp(0, 1).permute(1, 2, 0).numpy() * 255
    difference = np.abs(np.asarray(titok.decompress(data), np.float32) - whole)
    assert difference.max() < 0.6  # of a level: rounding only
    with pytest.raises(RateError):
        compress(photo(96, 64), Rate(max_bytes=17), titok)
