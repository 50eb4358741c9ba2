"""Drawn images, which become a palette and indexes where that is better than the transform."""

import contextlib
from dataclasses import replace

import numpy as np
import pytest
from embedded_files import compress, layout_of
from photos import photo, psnr
from PIL import Image, ImageDraw

from titokzip.bitstream import container
from titokzip.bitstream.header import IndexedLayout, TransformLayout
from titokzip.errors import FormatError, RateError
from titokzip.images import InputImage
from titokzip.layouts.image_encoder import ImageEncoder
from titokzip.tokenizers.embedded.palette import Palette, is_drawn


def chart(mode="RGB"):
    """Draw bars on a line, without smoothing."""
    image = Image.new("RGB", (96, 64), "white")
    draw = ImageDraw.Draw(image)
    for i, colour in enumerate(["red", "lime", "blue", "orange"]):
        draw.rectangle([24 * i + 4, 9 * i + 5, 24 * i + 16, 58], fill=colour)
    draw.line([0, 59, 95, 59], fill="black", width=2)
    return image.convert(mode)


def logo():
    """Draw a ring and a triangle, with smooth edges."""
    image = Image.new("RGB", (288, 216), (250, 250, 245))
    draw = ImageDraw.Draw(image)
    draw.ellipse([36, 18, 216, 198], fill=(180, 20, 60))
    draw.ellipse([66, 48, 186, 168], fill=(250, 250, 245))
    draw.polygon([(120, 36), (264, 198), (54, 180)], fill=(20, 60, 160))
    return image.resize((96, 72), Image.Resampling.BOX)


@pytest.mark.parametrize("mode", ["L", "RGB", "LA", "RGBA"])
def test_an_image_of_few_colours_is_exact_and_small(embedded, mode):
    image = chart(mode)
    if mode.endswith("A"):
        alpha = Image.new("L", image.size, 255)
        ImageDraw.Draw(alpha).rectangle([0, 0, 30, 20], fill=77)
        image.putalpha(alpha)
    data = compress(embedded, image)
    assert isinstance(layout_of(data), IndexedLayout)
    assert len(data) < 110
    decoded = embedded.decompress(data)
    assert decoded.mode == mode
    assert np.array_equal(np.asarray(decoded), np.asarray(image))


@pytest.mark.slow
def test_smooth_edges_lose_colours_as_the_limit_falls(embedded):
    image = logo()
    assert len(image.getcolors(4096)) > 32
    files = [compress(embedded, image, max_bytes=limit) for limit in (60, 160, 240, 340, 2000)]
    gains = [psnr(image, embedded.decompress(data)) for data in files]
    assert gains == sorted(gains)
    assert isinstance(layout_of(files[0]), TransformLayout)
    colours = [layout_of(data).colours for data in files[-4:]]
    assert len(set(colours)) > 2
    assert colours == sorted(colours)
    assert gains[-1] == 100


def test_quality_is_monotone(embedded):
    image = logo()
    files = [compress(embedded, image, quality=quality) for quality in (1, 50, 100)]
    gains = [psnr(image, embedded.decompress(data)) for data in files]
    sizes = [len(data) for data in files]
    assert gains == sorted(gains)
    assert sizes == sorted(sizes)


@pytest.mark.parametrize("limit", [40, 100, 250])
def test_limits_are_kept(embedded, limit):
    assert len(compress(embedded, logo(), max_bytes=limit)) <= limit


def test_what_cannot_be_seen_does_not_count(embedded):
    image = chart("RGBA")
    alpha = Image.new("L", image.size, 255)
    ImageDraw.Draw(alpha).rectangle([40, 0, 95, 63], fill=0)
    image.putalpha(alpha)
    noise = Image.effect_noise(image.size, 90).convert("RGB")
    noisy = Image.composite(image.convert("RGB"), noise, alpha).convert("RGBA")
    noisy.putalpha(alpha)
    assert compress(embedded, noisy) == compress(embedded, image)


def test_a_palette_may_fit_where_no_transform_does(embedded, monkeypatch):
    def fail(_):
        raise RateError("too few bytes")

    monkeypatch.setattr(ImageEncoder, "_transformed", fail)
    data = compress(embedded, logo(), max_bytes=200)
    assert isinstance(layout_of(data), IndexedLayout)
    with pytest.raises(RateError, match="too few"):
        compress(embedded, logo(), max_bytes=60)


def test_an_image_that_was_reduced_is_left_to_the_transform(embedded):
    reduced = InputImage(chart(), False, original=(960, 640))
    assert isinstance(layout_of(embedded.compress(reduced)), TransformLayout)


def test_photos_are_not_drawn():
    assert not is_drawn(np.asarray(photo(96, 64)))
    assert is_drawn(np.asarray(chart()))
    assert is_drawn(np.asarray(logo()))
    assert is_drawn(np.indices((60, 80)).sum(0)[..., None].astype(np.uint8) % 2)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_fewer_colours_are_the_best_that_merging_finds(mode):
    """Their error is what it says, never less than that of more colours; the flat ones stay."""
    pixels = np.asarray(logo().convert(mode)).reshape(72, 96, -1)
    palette = Palette(pixels)
    errors = []
    for size in [*palette.fewer, len(palette)]:
        (indexes, colours), error = palette.reduced(size), palette.error(size)
        assert len(colours) <= size
        difference = colours[indexes].astype(float) - pixels
        scale = 3 if mode == "L" else 1
        assert error == pytest.approx(scale * np.square(difference).sum(axis=2).mean(), rel=1e-5)
        errors.append(error)
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] == 0
    colours = {tuple(colour) for colour in palette.reduced(8).colours.tolist()}
    assert tuple(pixels[0, 0].tolist()) in colours


def test_borders_are_between_pixels_that_differ():
    palette = Palette(np.asarray(logo()))
    for size in (2, 8, len(palette)):
        indexes = palette.reduced(size).indexes
        differ = (indexes[1:] != indexes[:-1]).sum() + (indexes[:, 1:] != indexes[:, :-1]).sum()
        assert palette.borders(size) == differ


def test_tokens_are_colours_then_indexes(embedded):
    contents = container.unpack(compress(embedded, chart()))
    tokens = embedded.tokens(contents)
    count = contents.header.layout.colours
    colours, indexes = tokens[: 3 * count].reshape(count, 3), tokens[3 * count :].reshape(64, 96)
    assert np.array_equal(colours[indexes], np.asarray(chart()))


def test_it_is_shown_at_other_sizes(embedded):
    data = compress(embedded, chart())
    assert embedded.decompress(data, native=True).size == (96, 64)
    assert embedded.decompress(data, size=(48, 32)).size == (48, 32)


def test_damage_is_found(embedded):
    data = compress(embedded, chart())
    for length in range(len(data)):
        with pytest.raises(FormatError):
            embedded.decompress(data[:length], partial=True)
    for at in range(len(data)):
        with pytest.raises(FormatError):
            embedded.decompress(data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :])


@pytest.mark.parametrize("size", [(2**21 - 1, 1), (1, 2**14 + 1), (4096, 4096)])
def test_sizes_that_no_image_has_are_refused(embedded, size):
    contents = container.unpack(compress(embedded, chart()))
    header = replace(contents.header, width=size[0], height=size[1])
    data = container.pack(header, contents.payloads)
    with pytest.raises(FormatError, match="no image of a palette"):
        embedded.decompress(data)


def test_hostile_payloads_end_soon(embedded):
    """Noise in the place of a payload, in a file whose checksum is right."""
    header = container.unpack(compress(embedded, chart())).header
    for seed in range(20):
        noise = np.random.default_rng(seed).bytes(1 + 9 * seed)
        data = container.pack(header, [noise])
        with contextlib.suppress(FormatError):
            assert embedded.decompress(data).size == (96, 64)
