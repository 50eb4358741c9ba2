"""Images of a palette to bytes and back, and the decoder that is written from docs/format.md."""

import numpy as np
import pytest
from reference_palette import PaletteDecoder

from titokzip.entropy import index_coder
from titokzip.entropy.index_coder import Indexed
from titokzip.errors import FormatError


def image_of(indexes, channels=3, seed=0):
    """Give an image with a random palette of as many colours as its indexes use."""
    used, places = np.unique(indexes, return_inverse=True)
    colours = np.random.default_rng(seed).integers(0, 256, (len(used), channels)).astype(np.uint8)
    return Indexed(places.reshape(indexes.shape).astype(np.int32), colours)


def noise(height, width, colours):
    return np.random.default_rng(height).integers(0, colours, (height, width))


def drawn(height, width):
    """Draw a disc, stripes and a ramp of 40 colours."""
    y, x = np.mgrid[:height, :width]
    indexes = np.where((x // 3) % 2, 40, 41)
    indexes[(x - width / 2) ** 2 + (y - height / 2) ** 2 < min(height, width) ** 2 / 9] = 42
    indexes[: height // 4] = x[: height // 4] * 40 // width
    return indexes


CASES = {
    "one": np.zeros((1, 1), int),
    "flat": np.zeros((7, 9), int),
    "row": np.arange(30)[None] // 4,
    "column": np.arange(30)[:, None] // 4,
    "checkers": np.indices((24, 31)).sum(0) // 4 % 2,
    "drawn": drawn(45, 60),
    "noise": noise(20, 33, 2),
    "colours": noise(12, 40, 256),
}


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("name", CASES)
def test_any_image_comes_back(name, channels):
    image = image_of(CASES[name], channels)
    payload, same = index_coder.encode(image)
    height, width = image.indexes.shape
    back = index_coder.decode(payload, width, height, len(image.colours), channels)
    assert np.array_equal(back.indexes, same.indexes)
    assert np.array_equal(back.colours, same.colours)
    assert np.array_equal(back.colours[back.indexes], image.colours[image.indexes])


@pytest.mark.parametrize("name", CASES)
def test_the_reference_decodes_it(name):
    image = image_of(CASES[name])
    payload, _ = index_coder.encode(image)
    height, width = image.indexes.shape
    pixels = PaletteDecoder(payload, width, height, len(image.colours), 3).decode()
    expected = image.colours[image.indexes]
    assert all(tuple(expected[y, x]) == colour for (x, y), colour in pixels.items())
    assert len(pixels) == width * height


def test_what_repeats_is_cheap():
    tile = noise(12, 12, 5)
    once, often = (image_of(np.tile(tile, (n, n))) for n in (1, 6))
    assert len(index_coder.encode(often)[0]) < 2.5 * len(index_coder.encode(once)[0])
    assert len(index_coder.encode(image_of(CASES["flat"]))[0]) < 8


def test_colours_are_numbered_as_they_appear():
    image = image_of(noise(9, 14, 6))
    payload, same = index_coder.encode(image)
    fronts = np.arange(14) + 2 * np.arange(9)[:, None]
    first = [min((fronts * 9 + np.arange(9)[:, None])[same.indexes == i]) for i in range(6)]
    assert first == sorted(first)
    assert same.indexes[0, 0] == 0
    assert np.array_equal(index_coder.decode(payload, 14, 9, 6, 3).indexes, same.indexes)


@pytest.mark.parametrize("seed", range(40))
def test_damage_gives_another_image_or_an_error(seed):
    """Never anything else, and never more than the palette has."""
    random = np.random.default_rng(seed)
    payload = random.integers(0, 256, int(random.integers(0, 60))).astype(np.uint8).tobytes()
    width, height, colours = (int(n) for n in random.integers(1, 40, 3))
    try:
        image = index_coder.decode(payload, width, height, colours, 3)
    except FormatError:
        return
    assert image.indexes.shape == (height, width)
    assert 0 <= image.indexes.min() <= image.indexes.max() < colours


def test_an_encoder_ends_where_its_bytes_do():
    image = image_of(noise(40, 60, 7))
    size = len(index_coder.encode(image)[0])
    assert index_coder.encode(image, size - 20) is None
    assert len(index_coder.encode(image, size)[0]) == size


def test_choices_are_bounded(monkeypatch):
    """Or a small file could keep a reader busy for minutes."""
    monkeypatch.setattr(index_coder, "FREE_CHOICES", 40)
    image = image_of(noise(30, 40, 200))
    payload, _ = index_coder.encode(image)
    assert len(payload) > 1000
    with pytest.raises(FormatError, match="none of its colours"):
        index_coder.decode(payload[:20], 40, 30, 200, 3)


def test_sizes_are_bounded():
    assert index_coder.fits(2048, 2048)
    assert not index_coder.fits(2049, 2048)
    assert index_coder.fits(1, 2**14)
    assert not index_coder.fits(1, 2**14 + 1)
    assert index_coder.fits(2**15, 1)
    assert not index_coder.fits(2**15 + 1, 1)
