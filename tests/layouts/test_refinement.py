"""At which size the decoder network gives a working image, and what becomes of it."""

from dataclasses import replace

import numpy as np
import pytest
from embedded_files import compress, layout_of
from photos import photo, psnr
from PIL import Image

from titokzip import loading
from titokzip.layouts import refinement
from titokzip.layouts.reconstruction import Reconstruction
from titokzip.layouts.refinement import Refinement, is_doubled


@pytest.mark.parametrize(
    ("step", "size", "expected"),
    [
        (100, (64, 48), True),  # exactly twice 32 x 24
        (160, (63, 47), True),
        (160, (33, 25), True),
        (159, (63, 47), False),  # fine steps keep detail that doubling would blur
        (255, (32, 48), False),  # as wide as the image
        (255, (20, 16), False),
    ],
)
def test_small_working_images_are_doubled_and_coarse_ones(step, size, expected):
    assert is_doubled(24, 32, step, size) is expected


def test_nothing_grows_that_is_not_to_be_resampled():
    assert is_doubled(24, 32, 200, (64, 48), resampled=False)
    assert not is_doubled(24, 32, 200, (63, 48), resampled=False)


def test_memory_bounds_what_is_doubled_to_be_reduced():
    side = int(refinement._MOST_DOUBLED**0.5)
    assert is_doubled(side, side, 200, (2 * side - 1, 2 * side - 1))
    assert not is_doubled(side + 8, side + 8, 200, (2 * side, 2 * side))
    assert is_doubled(side + 8, side + 8, 200, (2 * side + 16, 2 * side + 16))


@pytest.fixture(scope="module")
def embedded():
    """The model that ships, with one pass of its network."""
    return loading.load(device="cpu", passes=1)


def test_an_image_that_was_padded_keeps_its_place_at_another_size(embedded):
    """One at its own size, 100 x 90, is padded to whole blocks before it is transformed."""
    image = photo(100, 90)
    data = compress(embedded, image, max_bytes=900)
    assert layout_of(data).blocks == 0
    assert layout_of(data).refined
    large, own = embedded.decompress(data, size=(300, 270)), embedded.decompress(data)
    nearness = psnr(large.resize((100, 90)), own)
    moved = large.transform(large.size, Image.Transform.AFFINE, (1, 0, 3, 0, 1, 0))  # a pixel
    assert nearness > 32
    assert nearness > 3 + psnr(moved.resize((100, 90)), own)


def as_doubled(self, header, integers, size):
    """Give an image at twice its working size, whatever its own."""
    whole = replace(header, width=4 * header.width, height=4 * header.height)
    return IMAGE(self, whole, integers, None)


IMAGE = Reconstruction.image


def test_what_is_doubled_beyond_the_size_of_the_image_is_reduced_to_it(embedded, monkeypatch):
    image = photo(128, 96)
    data = compress(embedded, image, max_bytes=120)
    native = embedded.decompress(data, native=True)
    assert 64 < native.width < 128
    reduced = embedded.decompress(data)
    monkeypatch.setattr(Reconstruction, "image", as_doubled)
    doubled = embedded.decompress(data)
    assert doubled.size == (2 * native.width, 2 * native.height)
    assert psnr(doubled.resize(image.size, Image.Resampling.LANCZOS), reduced) > 50
    assert psnr(native.resize(image.size, Image.Resampling.LANCZOS), reduced) < 50


def test_one_channel_stays_one():
    class Small:
        most_pixels = 64

        def __call__(self, channels, step, double):
            return channels + np.arange(3, dtype=np.float32)[:, None, None]

    refined = Refinement(None, Small, passes=1)(np.zeros((1, 8, 8), np.float32), 100, False)
    assert refined.shape == (1, 8, 8)
    assert np.all(refined == 1)
