"""The search finds what trying everything finds, at every scale that the docs name."""

import io

import numpy as np
import pytest
from photos import photo
from PIL import Image

from titokzip.bench.cache import Cache
from titokzip.bench.downscale_search import (
    SCALES,
    Searched,
    downscaled,
)
from titokzip.bench.image_codec import CodecFailed, Encoded
from titokzip.bench.metrics import psnr


class Webp:
    """WebP, and what it was asked for."""

    def __init__(self):
        self.calls = []

    def save(self, image, quality):
        self.calls.append((image.size, quality))
        file = io.BytesIO()
        image.save(file, "WEBP", quality=int(quality), method=2)
        return file.getvalue()


def load(data, coded, grey):
    return Image.open(io.BytesIO(data))


PERCENT = tuple(map(float, range(101)))


def codec(webp=None, qualities=PERCENT, **more):
    webp = webp or Webp()
    return Searched("webp", ".webp", "v1", qualities, webp.save, load, **more)


def reached(one, image, budget):
    (encoded,) = one.encode(image, [budget])
    assert encoded is None or one.compared_bytes(encoded.data) <= budget
    return encoded and psnr(np.asarray(image), np.asarray(one.decode(encoded, image.size)))


@pytest.mark.parametrize("budget", [120, 300, 900])
def test_it_finds_what_trying_everything_finds(budget):
    image, best, one = photo(96, 64), 0.0, codec()
    for small in downscaled(image):
        files = [Webp().save(small, quality) for quality in range(101)]
        fitting = [data for data in files if one.compared_bytes(data) <= budget]
        if fitting:
            decoded = one.decode(Encoded(fitting[-1], small.size), image.size)
            best = max(best, psnr(np.asarray(image), np.asarray(decoded)))
    assert reached(one, image, budget) == pytest.approx(best, abs=0.05)


def test_every_scale_can_win():
    """A codec whose files have as many bytes as pixels: only the scale decides."""
    image = photo(200, 100)
    sizes = {small.size for small in downscaled(image)}
    assert len(sizes) == len(SCALES)

    def save(small, quality):
        return bytes([quality != 0]) + small.tobytes()

    def raw(data, coded, grey):
        return Image.frombytes("RGB", coded, data[1:])

    one = Searched("raw", ".raw", "", (0.0,), save, raw)
    budgets = [3 * width * height + 1 for width, height in sizes]
    found = one.encode(image, budgets)
    assert {encoded.coded for encoded in found} == sizes


def test_scales_that_cannot_win_are_passed_over():
    webp = Webp()
    codec(webp).encode(photo(240, 176), [2000])
    tried = {size for size, _ in webp.calls}
    assert (240, 176) in tried
    assert (8, 6) not in tried, "enlarged without any loss it is worse than what fits"


def test_budgets_at_once_are_as_one_by_one():
    image, budgets = photo(120, 88), [30, 600, 90]
    assert codec().encode(image, budgets) == [codec().encode(image, [b])[0] for b in budgets]


def test_more_bytes_are_no_worse_and_one_is_not_enough():
    found = [reached(codec(), photo(240, 176), budget) for budget in (60, 400, 2000)]
    assert found == sorted(found)
    assert codec().encode(photo(240, 176), [1]) == [None]


def test_qualities_may_fall_as_quantizers_do():
    webp = Webp()
    one = Searched(
        "webp", ".webp", "", tuple(map(float, range(100, -1, -1))),
        lambda image, quality: webp.save(image, 100 - quality), load,
    )  # fmt: skip
    image = photo(120, 88)
    assert reached(one, image, 400) == reached(codec(), image, 400)


def test_bytes_of_containers_do_not_count_unless_asked_for():
    image, budget = photo(120, 88), 200
    ((bare,), (whole,)) = (codec(bare=b).encode(image, [budget]) for b in (True, False))
    assert len(whole.data) <= budget
    assert budget - 20 < len(bare.data) - 20 <= budget < len(bare.data)


def test_what_was_found_is_kept_for_the_same_pixels_and_options(tmp_path):
    image, first, again = photo(120, 88), Webp(), Webp()
    found = codec(first, cache=Cache(tmp_path)).encode(image, [300, 600])
    assert codec(again, cache=Cache(tmp_path)).encode(image.copy(), [600, 300]) == found[::-1]
    assert first.calls
    assert again.calls == []
    for other in (
        codec(again, cache=Cache(tmp_path), bare=False),
        codec(again, cache=Cache(tmp_path), qualities=(10.0, 20.0)),
    ):
        again.calls.clear()
        other.encode(image, [300])
    codec(again, cache=Cache(tmp_path)).encode(photo(120, 88, seed=1), [300])
    assert again.calls


def test_none_is_kept_too(tmp_path):
    again = Webp()
    for webp in (Webp(), again):
        assert codec(webp, cache=Cache(tmp_path)).encode(photo(40, 30), [1]) == [None]
    assert again.calls == []


def test_a_codec_that_takes_no_small_images_uses_the_others_and_one_that_takes_none_fails():
    def picky(image, quality):
        if image.width < 40:
            raise CodecFailed("too small")
        return Webp().save(image, quality)

    def failing(image, quality):
        raise CodecFailed("broken today")

    def one(save):
        return Searched("picky", ".webp", "", (0.0, 50.0), save, load)

    assert one(picky).encode(photo(96, 64), [2000])[0] is not None
    with pytest.raises(CodecFailed, match="broken today"):
        one(failing).encode(photo(96, 64), [2000])


def test_a_lossless_file_wins_where_it_fits():
    """It is not made of images that are far too large for it."""
    made = []

    def exact(image, quickly):
        made.append((image, quickly))
        file = io.BytesIO()
        image.save(file, "WEBP", lossless=True)
        return file.getvalue()

    flat, noise = Image.new("RGB", (60, 40), "red"), Image.effect_noise((60, 40), 80).convert("RGB")
    middling = photo(60, 40)
    one = codec(bare=False, exact=exact)
    small, large = one.encode(flat, [10, 400])
    assert small is None
    assert large.setting == "lossless"
    assert np.array_equal(np.asarray(one.decode(large, flat.size)), np.asarray(flat))
    assert one.encode(noise, [60])[0] is None or one.encode(noise, [60])[0].setting != "lossless"
    assert one.encode(middling, [400])[0].setting != "lossless"
    assert made == [(flat, True), (flat, False), (middling, True)]


def test_an_image_that_no_lossless_file_holds_is_searched():
    def exact(image, quickly):
        raise CodecFailed("too large")

    (encoded,) = codec(bare=False, exact=exact).encode(photo(60, 40), [400])
    assert encoded.setting != "lossless"
