"""Images that are coded side by side: each is as if it were alone."""

import numpy as np
import pytest
from photos import photo
from PIL import Image

from titokzip.bitstream import container
from titokzip.bitstream.header import Header, IndexedLayout, TransformLayout
from titokzip.entropy import coder
from titokzip.errors import FormatError, RateError
from titokzip.images import plain
from titokzip.layouts.stored import pixels_of_header
from titokzip.rate_control import Rate
from titokzip.tokenizers.embedded.quantizer import Quantization, quantize, quantize_many
from titokzip.tokenizers.embedded.together import encode_together
from titokzip.transform import planes as conversion
from titokzip.transform.bands import flatten
from titokzip.transform.pyramid import analyse

STEPS = 200, 120, 240, 160


def coefficients(seed, width=72, height=48):
    return analyse(conversion.to_planes(np.asarray(photo(width, height, seed))))


def flat():
    return analyse(conversion.to_planes(np.full((48, 72, 3), 90, np.uint8)))


@pytest.fixture(scope="module")
def images():
    """Images of one size that differ in what they hold, in step, weight and layers."""
    planes = [coefficients(1), flat(), coefficients(2), coefficients(3)]
    settings = zip(planes, STEPS, (0.14, 0.14, 0.3, 0.05), (1, 2, 1, 3), strict=True)
    return [Quantization(*one) for one in settings]


def test_quantised_together_they_are_as_alone(images, context_model):
    for one, found in zip(images, quantize_many(images, context_model), strict=True):
        alone = quantize(one.coefficients, one.step, context_model, one.weight, one.layers)
        assert found.payloads == alone.payloads
        assert (found.bits, found.error) == (alone.bits, alone.error)
        assert np.array_equal(found.integers.blocks, alone.integers.blocks)


@pytest.fixture(scope="module")
def stored(images, context_model):
    quantised = quantize_many(images, context_model)
    return [
        coder.Stored(found.payloads, one.step, one.layers)
        for one, found in zip(images, quantised, strict=True)
    ]


def decoded(stored, model):
    return coder.decode_many(stored, 3, 6, 9, model)


def test_decoded_together_they_are_as_alone(stored, context_model):
    cut = stored[3]._replace(payloads=stored[3].payloads[:2])  # without its last layer
    some = [*stored, cut]
    for one, found in zip(some, decoded(some, context_model), strict=True):
        (alone,) = decoded([one], context_model)
        assert np.array_equal(flatten(found), flatten(alone))


def test_a_damaged_one_harms_no_other(stored, context_model):
    random = np.random.default_rng(0)
    while True:  # most bytes decode to something
        bad = stored[0]._replace(payloads=[random.bytes(60)])
        if isinstance(decoded([bad], context_model)[0], FormatError):
            break
    first, error, last = decoded([stored[0], bad, stored[2]], context_model)
    assert isinstance(error, FormatError)
    assert np.array_equal(first.blocks, decoded([stored[0]], context_model)[0].blocks)
    assert np.array_equal(last.blocks, decoded([stored[2]], context_model)[0].blocks)


def several():
    """Images of sizes that recur, with and without colour and transparency."""
    images = [photo(32, 24, 1), photo(24, 32, 2), photo(32, 24, 3), photo(32, 24, mode="L")]
    clear = photo(32, 24, 8)
    clear.putalpha(Image.linear_gradient("L").resize((32, 24)))
    return [plain(image, keep_alpha=True) for image in [*images, clear]]


def test_files_do_not_depend_on_the_images_beside(embedded):
    images, rate = several(), Rate(quality=95)
    together = list(embedded.compress_many(images, rate, verify=True))
    assert together == [embedded.compress(image, rate) for image in images]


def test_searches_do_not_depend_on_the_images_beside(embedded):
    images, rate = [plain(photo(24, 16, seed)) for seed in (1, 2)], Rate(max_bytes=320)
    together = list(embedded.compress_many(images, rate))
    assert together == [embedded.compress(image, rate) for image in images]


def test_pictures_do_not_depend_on_the_files_beside(embedded):
    files = list(embedded.compress_many(several(), Rate(quality=95)))
    contents = [embedded.checked(container.unpack(data)) for data in files]
    for data, image in zip(files, embedded.decompress_many(contents), strict=True):
        assert image.tobytes() == embedded.decompress(data).tobytes()


def test_one_that_fails_gives_its_error(embedded):
    grey, long = (plain(Image.new("L", size, 90)) for size in ((32, 24), (60_000, 2)))
    rate = Rate(max_bytes=12)
    first, error, last = embedded.compress_many([grey, long, grey], rate)
    assert isinstance(error, RateError)
    assert first == last == embedded.compress(grey, rate)


def test_another_error_ends_all(context_model):
    def broken():
        raise ZeroDivisionError
        yield

    with pytest.raises(ZeroDivisionError):
        encode_together([broken()], context_model)


def test_an_image_may_be_drawn_on_when_it_was_given(embedded):
    """As ImageSequence does, whose frames are one object."""
    canvas = Image.new("RGB", (24, 16))

    def frames():
        for seed in (1, 2):
            canvas.paste(photo(24, 16, seed))
            yield plain(canvas)

    found = list(embedded.compress_many(frames(), Rate(quality=95)))
    drawn = [embedded.compress(plain(photo(24, 16, seed)), Rate(quality=95)) for seed in (1, 2)]
    assert found == drawn


def test_nothing_that_was_coded_is_lost_to_an_error(embedded):
    def failing():
        yield plain(Image.new("L", (24, 16), 90))
        raise ZeroDivisionError

    files = embedded.compress_many(failing(), Rate())
    assert next(files) == embedded.compress(plain(Image.new("L", (24, 16), 90)), Rate())
    with pytest.raises(ZeroDivisionError):
        next(files)


def test_no_image_fits_into_nothing(embedded):
    (error,) = embedded.compress_many([plain(Image.new("L", (1, 1)))], Rate(bpp=2.0))
    assert isinstance(error, RateError)


@pytest.mark.parametrize(
    ("size", "layout", "pixels"),
    [
        ((600, 400), TransformLayout(150, 0, True, False), 600 * 400),
        ((601, 400), TransformLayout(150, 0, True, False), 608 * 400),
        ((2, 2), TransformLayout(150, 0, True, False), 2**14),
        ((2, 2), TransformLayout(150, 181, True, False), (181 * 8) ** 2),
        ((300, 200), IndexedLayout(3), 300 * 200),
    ],
)
def test_an_image_counts_as_much_as_its_blocks(size, layout, pixels):
    header = Header(bytes(4), *size, layout, False, False, 1)
    assert pixels_of_header(header) == pixels
