"""The embedded model: images under a transform of the whole image."""

import gc
import weakref
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from embedded_files import compress, layout_of
from photos import photo, psnr
from PIL import Image, ImageDraw

from titokzip import loading
from titokzip.bitstream import container
from titokzip.bitstream.header import TransformLayout
from titokzip.errors import FormatError, PixelLimitError, RateError, TitokzipError, Truncated
from titokzip.images import plain
from titokzip.rate_control import Rate
from titokzip.tokenizers.embedded.rate_control import Encoder
from titokzip.tokenizers.embedded.together import encode_together
from titokzip.transform.planes import to_planes


def bars():
    """Draw bars of the colours that the transform cannot be kind to, a little uneven."""
    image = Image.new("RGB", (120, 80), "white")
    draw = ImageDraw.Draw(image)
    for i, colour in enumerate(["red", "lime", "blue", "yellow", "magenta", "black"]):
        draw.rectangle([20 * i, 0, 20 * i + 19, 79], fill=colour)
    noise = np.random.default_rng(0).integers(-2, 3, (80, 120, 3))
    return Image.fromarray((np.asarray(image) + noise).clip(0, 255).astype(np.uint8))


def lines(width, height):
    """Draw what the statistics mispredict."""
    image = Image.new("RGB", (width, height), "white")
    for x in range(0, width, 8):
        ImageDraw.Draw(image).line([x, 0, x, height], fill="black", width=2)
    return image


@pytest.mark.parametrize("quality", [1, 100])
@pytest.mark.parametrize("size", [(1, 1), (1, 700), (700, 1), (65, 127), (97, 31), (8, 8)])
def test_any_size_comes_back(embedded, size, quality):
    decoded = embedded.decompress(compress(embedded, photo(*size), quality=quality))
    assert (decoded.size, decoded.mode) == (size, "RGB")


@pytest.mark.parametrize("mode", ["L", "RGB", "LA", "RGBA"])
def test_every_mode_comes_back(embedded, mode):
    image = photo(90, 60, mode=mode)
    if mode.endswith("A"):
        image.putalpha(Image.linear_gradient("L").resize((90, 60)))
    decoded = embedded.decompress(compress(embedded, image, quality=90))
    assert (decoded.size, decoded.mode) == (image.size, mode)
    assert psnr(image, decoded) > 28


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_a_mask_is_cheap_and_stays_hard(embedded, mode):
    """Drawn at a fourth of its height, with noise where nobody sees it."""
    image = photo(128, 96, mode=mode[:-1])
    alpha = Image.new("L", image.size)
    ImageDraw.Draw(alpha).ellipse([24, 12, 104, 84], fill=255)
    noise = Image.effect_noise(image.size, 90).convert(image.mode)
    plainly = len(compress(embedded, image, quality=50))
    image.paste(noise, mask=alpha.point(lambda level: 255 - level))
    image.putalpha(alpha)
    data = compress(embedded, image, quality=50)
    decoded = embedded.decompress(data)
    assert layout_of(data).mask
    assert len(data) < plainly + 350
    assert psnr(alpha, decoded.getchannel("A")) > 28
    levels = np.asarray(decoded.getchannel("A"))
    assert ((levels > 15) & (levels < 240)).mean() < 0.06


@pytest.mark.parametrize("level", [10, 245])
def test_faint_transparency_is_no_mask(embedded, level):
    image = photo(60, 44)
    image.putalpha(level)
    decoded = embedded.decompress(compress(embedded, image, quality=90))
    assert np.abs(np.asarray(decoded.getchannel("A")).astype(int) - level).max() <= 3


def test_a_mask_is_exact_at_high_qualities(embedded):
    image, alpha = photo(48, 40), Image.new("L", (192, 160))
    ImageDraw.Draw(alpha).ellipse([20, 20, 170, 140], fill=255)
    image.putalpha(alpha.resize((48, 40), Image.Resampling.BOX))
    assert layout_of(compress(embedded, image, quality=40)).mask
    data = compress(embedded, image, quality=100)
    assert not layout_of(data).mask
    error = np.asarray(embedded.decompress(data)).astype(int) - np.asarray(image)
    assert np.abs(error[..., 3]).max() <= 4


def test_an_image_that_nobody_sees_costs_next_to_nothing(embedded):
    image = Image.effect_noise((90, 60), 90).convert("RGBA")
    image.putalpha(0)
    assert len(compress(embedded, image, quality=80)) < 30


@pytest.mark.parametrize("limit", [14, 40])
def test_a_limit_is_counted_to_the_byte(embedded, limit):
    """A file that takes so many bytes is made under that limit."""
    image = photo(48, 40)
    size = len(compress(embedded, image, max_bytes=limit))
    assert len(compress(embedded, image, max_bytes=size)) <= size


@pytest.mark.parametrize(
    ("mode", "rate"),
    [
        ("L", {"max_bytes": 120}),
        ("RGBA", {"quality": 40}),
        ("lines", {"max_bytes": 80}),
    ],
)
def test_best_is_never_farther_from_the_image(embedded, mode, rate):
    """At a quality, what counts is error and bits together."""
    image = lines(80, 60) if mode == "lines" else photo(80, 60, mode=mode)
    if mode == "RGBA":
        image.putalpha(Image.linear_gradient("L").resize((80, 60)))
    plainly, best = (compress(embedded, image, **rate, best=best) for best in (False, True))
    gain = psnr(image, embedded.decompress(best)) - psnr(image, embedded.decompress(plainly))
    assert len(best) <= rate.get("max_bytes", 2**30)
    assert gain + 6 * np.log2(len(plainly) / len(best)) > -0.02


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("rate", [Rate(), Rate(max_bytes=300), Rate(best=True)], ids=str)
def test_pixels_are_gone_when_a_file_is_made(embedded, mode, rate):
    image = plain(photo(64, 48).convert(mode))
    gone = weakref.ref(image.image)
    gc.disable()
    try:
        next(embedded.compress_many([image], rate))
        del image
        assert gone() is None
    finally:
        gc.enable()


def test_an_opaque_alpha_channel_costs_nothing(embedded):
    image = photo(90, 60)
    assert compress(embedded, image.convert("RGBA")) == compress(embedded, image)


def test_saturated_colours_come_back(embedded):
    image = bars()
    for quality, least in [(50, 24), (80, 30), (100, 40)]:
        decoded = embedded.decompress(compress(embedded, image, quality=quality))
        assert psnr(image, decoded) > least
    centres = np.asarray(decoded, int)[40, 10::20] - np.asarray(image, int)[40, 10::20]
    assert np.abs(centres).max() <= 6


@pytest.mark.parametrize("image", [photo(120, 90), bars()], ids=["photo", "bars"])
def test_quality_is_monotone(embedded, image):
    files = [compress(embedded, image, quality=quality) for quality in range(1, 101, 33)]
    sizes = [len(data) for data in files]
    gains = [psnr(image, embedded.decompress(data)) for data in files]
    assert sizes == sorted(sizes)
    assert all(better > worse - 0.2 for worse, better in pairwise(gains))


@pytest.mark.parametrize("limit", [40, 400])
def test_limits_are_kept_and_used(embedded, limit):
    image = photo(240, 160)
    data = compress(embedded, image, max_bytes=limit)
    assert 0.85 * limit < len(data) <= limit
    assert compress(embedded, image, bpp=8 * limit / (240 * 160)) == data


def test_a_limit_that_nothing_meets_is_refused(embedded):
    with pytest.raises(RateError, match="at least"):
        compress(embedded, photo(64, 64), max_bytes=5)


def test_what_tiles_have_is_refused(embedded):
    with pytest.raises(RateError, match="tiles"):
        compress(embedded, photo(64, 64), tokens=16)


def test_an_image_that_fails_costs_that_image(embedded):
    many = [plain(photo(40, 40)), plain(Image.new("RGB", (2**21, 1))), plain(photo(30, 30))]
    first, second, third = embedded.compress_many(many, Rate(quality=30))
    assert isinstance(second, TitokzipError)
    assert [container.unpack(data).header.width for data in (first, third)] == [40, 30]


def test_a_reduced_image_keeps_its_size(embedded):
    image = photo(150, 100)
    small = replace(plain(image.reduce(2)), original=image.size)
    data = embedded.compress(small, Rate(max_bytes=400))
    assert embedded.decompress(data).size == image.size
    assert psnr(image, embedded.decompress(data)) > psnr(image, image.reduce(8).resize(image.size))


def test_verifying_takes_any_number_of_pixels(embedded):
    large = replace(plain(photo(60, 60)), original=(20_000, 20_000))
    [data] = embedded.compress_many([large], Rate(max_bytes=100), verify=True)
    assert isinstance(data, bytes)
    assert container.unpack(data, max_pixels=400_000_000).header.width == 20_000


def test_tokens_are_what_was_written(embedded):
    [encoded] = embedded.layout.encode([plain(photo(120, 90))], Rate(quality=70))
    contents = container.unpack(container.pack(encoded.header, encoded.payloads))
    assert np.array_equal(embedded.tokens(contents), encoded.tokens)
    assert np.count_nonzero(encoded.tokens)


@pytest.mark.slow
def test_layers_are_an_image_each(embedded):
    image = photo(240, 180)
    data = compress(embedded, image, max_bytes=5000)
    contents = container.unpack(data)
    assert contents.header.layers == 3
    ends = np.cumsum([contents.header_bytes, *(len(one) + 6 for one in contents.payloads)])
    gains = []
    for end in [*ends[1:-1], len(data)]:
        gains.append(psnr(image, embedded.decompress(data[:end], partial=True)))
    assert gains == sorted(gains)
    assert gains[-1] > gains[0] + 1


def test_truncated_files_are_told_at_every_byte(embedded):
    data = compress(embedded, photo(120, 90), max_bytes=1400)
    ends = {}  # of what is intact, by how many layers there are
    for end in range(len(data)):
        with pytest.raises(FormatError) as told:
            container.unpack(data[:end])
        if isinstance(told.value, Truncated):
            ends[len(container.unpack(data[:end], partial=True).payloads)] = end
    assert len(ends) == container.unpack(data).header.layers - 1
    for end in ends.values():
        assert embedded.decompress(data[:end], partial=True).size == (120, 90)


def test_native_is_the_size_that_the_network_gives(embedded):
    data = compress(embedded, photo(240, 180), max_bytes=120)
    blocks = layout_of(data).blocks
    assert 0 < 16 * blocks <= 180
    assert min(embedded.decompress(data, native=True).size) == 16 * blocks
    assert embedded.decompress(data, size=(31, 17)).size == (31, 17)


def test_limits_on_pixels_hold(embedded):
    data = compress(embedded, photo(200, 150))
    with pytest.raises(PixelLimitError):
        embedded.decompress(data, max_pixels=29_999)


def test_headers_that_ask_for_too_much_are_refused(embedded):
    header = container.unpack(compress(embedded, photo(64, 64))).header
    for width, height, blocks in [(2**20, 200, 0), (2**14, 2**14, 2**20), (2**20, 1, 8)]:
        hostile = type(header)(header.model, width, height, TransformLayout(100, blocks))
        with pytest.raises(FormatError, match="too large"):
            embedded.decompress(container.pack(hostile, [b"\0" * 8]), max_pixels=2**40)


def test_damaged_payloads_are_images_or_errors(embedded):
    contents = container.unpack(compress(embedded, photo(64, 48), max_bytes=200))
    rng = np.random.default_rng(3)
    for _ in range(8):
        payload = bytearray(contents.payloads[0])
        payload[rng.integers(len(payload))] ^= 1 << rng.integers(8)
        try:
            decoded = embedded.decompress(container.pack(contents.header, [bytes(payload)]))
        except FormatError:
            continue
        assert decoded.size == (64, 48)


def test_coding_is_the_same_every_time(embedded):
    image = photo(150, 100)
    again = loading.load("xs", "cpu")
    assert compress(embedded, image) == compress(again, image)
    one, other = (c.decompress(compress(embedded, image)) for c in (embedded, again))
    assert one.tobytes() == other.tobytes()


def test_what_is_exact_without_the_network_is_left_to_itself(embedded):
    flat = np.full((48, 64, 3), (200, 30, 90), np.uint8)
    model = embedded.layout.context_model
    (encoded,) = encode_together([Encoder(to_planes(flat), model).at_quality(30)], model)
    assert not encoded.refined
    assert layout_of(compress(embedded, photo(64, 48), quality=30)).refined
    assert not layout_of(compress(embedded, photo(64, 48), quality=100)).refined
