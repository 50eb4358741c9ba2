"""Integers to pixels, and what an encoder that decodes learns from it."""

from dataclasses import replace

import numpy as np
import pytest
import refiners
from embedded_files import compress
from photos import photo, psnr
from PIL import Image

from titokzip import loading
from titokzip.bitstream import container
from titokzip.errors import RateError
from titokzip.images import InputImage, plain
from titokzip.layouts.stored import integers_of
from titokzip.rate_control import Rate
from titokzip.transform.planes import to_planes


@pytest.fixture(scope="module")
def once():
    """The model that ships, with one pass of its network."""
    return loading.load(device="cpu", passes=1)


def image_of(mode, size=(96, 72)):
    image = photo(*size, mode=mode.split()[0])
    ramp = Image.linear_gradient("L").resize(size)
    if "mask" in mode:
        image.putalpha(ramp.point(lambda level: 255 * (level > 99)))
    elif mode.endswith("A"):
        image.putalpha(ramp)
    return image


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "LA mask", "RGBA mask"])
def test_what_the_network_adds_is_the_difference_that_it_makes(once, mode):
    contents = container.unpack(compress(once, image_of(mode), max_bytes=260))
    header, layout = contents.header, contents.header.layout
    (integers,) = integers_of([contents], once.layout.context_model)
    made = once.layout.reconstruction
    with_and_without = [
        made.image(replace(header, layout=replace(layout, refined=refined)), integers, None)
        for refined in (True, False)
    ]
    pixels = [np.asarray(image).reshape(*image.size[::-1], -1) for image in with_and_without]
    refined, plain_ = (to_planes(one, layout.mask) for one in pixels)
    added = made.added(header, integers)[:, : refined.shape[1], : refined.shape[2]]
    assert np.abs(added).max() > 4
    assert np.abs(added - (refined - plain_)).mean() < 1  # both are rounded to levels
    if header.alpha:
        assert not added[-1].any()


def test_best_takes_off_what_the_network_adds(once, monkeypatch):
    image, made = image_of("L", (56, 48)), type(once.layout.reconstruction)

    def error():
        data = compress(once, image, max_bytes=140, best=True)
        return -psnr(image, once.decompress(data))

    best, added = error(), made.added
    for wrong in (0, -1):
        monkeypatch.setattr(made, "added", lambda *of, wrong=wrong: wrong * added(*of))
        assert error() > best


def test_an_image_that_was_reduced_is_judged_as_its_original_is_decoded(once, monkeypatch):
    """The network doubles for the original's size, so it must when the encoder tries it, too."""
    seen = []
    call = type(once.layout.reconstruction.refinement).__call__

    def refined(self, channels, step, double, passes=None):
        seen.append(double)
        return call(self, channels, step, double, passes)

    monkeypatch.setattr(type(once.layout.reconstruction.refinement), "__call__", refined)
    large = plain(photo(400, 300))
    small = InputImage(large.image.resize((100, 75)), grey=False, original=large.size)
    once.compress(small, Rate(max_bytes=90, best=True))
    assert True in seen
    data = once.compress(small, Rate(max_bytes=90))
    seen.clear()
    once.decompress(data)
    assert seen == [True]


def test_best_is_refused_for_a_model_that_is_not_for_squared_errors(tmp_path):
    model = refiners.write(tmp_path / "looks.safetensors", lagrange=0.5)
    codec = loading.load(model, "cpu")
    with pytest.raises(RateError, match="best seeks the least squared error"):
        codec.compress(plain(photo(40, 30)), Rate(quality=30, best=True))
