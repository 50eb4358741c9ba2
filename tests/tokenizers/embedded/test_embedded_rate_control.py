"""Qualities and limits of bytes."""

import numpy as np
import pytest
from photos import photo, psnr

from titokzip.entropy import coder
from titokzip.errors import RateError
from titokzip.tokenizers.embedded.quantizer import dequantize
from titokzip.tokenizers.embedded.rate_control import Encoder
from titokzip.tokenizers.embedded.together import encode_together
from titokzip.transform import planes as conversion
from titokzip.transform.pyramid import synthesise

HEADER = 9


def file_size(blocks, lengths, refined=True):
    return HEADER + sum(lengths) + 4 * (len(lengths) - 1)


def size(encoded):
    return file_size(encoded.blocks, [len(one) for one in encoded.payloads])


def decoded(encoded, pixels):
    """Decode the integers of an image, without a network."""
    planes = synthesise(dequantize(encoded.integers, encoded.step))
    height, width = pixels.shape[:2]
    channels = conversion.enlarge(conversion.to_channels(planes), width, height, encoded.blocks)
    return np.rint(channels.clip(0, 255)).transpose(1, 2, 0)


@pytest.fixture(scope="module")
def pixels():
    return np.asarray(photo(56, 48, mode="L"))[..., None]


def at_quality(encoder, quality):
    return alone(encoder, encoder.at_quality(quality))


def within(encoder, *about):
    return alone(encoder, encoder.within(*about))


def alone(encoder, work):
    """Run an encoder to its end."""
    (found,) = encode_together([work], encoder.model)
    if isinstance(found, Exception):
        raise found
    return found


@pytest.fixture
def encoder(context_model, pixels):
    return Encoder(conversion.to_planes(pixels), context_model)


def test_higher_qualities_are_larger_and_better(encoder, pixels):
    found = [at_quality(encoder, quality) for quality in (1, 40, 80)]
    assert [size(one) for one in found] == sorted(map(size, found))
    errors = [psnr(decoded(one, pixels), pixels) for one in found]
    assert errors == sorted(errors)
    assert errors[-1] > 35


def test_the_payloads_hold_the_integers(encoder, context_model):
    encoded = at_quality(encoder, 70)
    planes, _, _, rows, columns = encoded.integers.blocks.shape
    layers = len(encoded.payloads)
    found = coder.decode(
        encoded.payloads, planes, rows, columns, encoded.step, context_model, layers
    )
    assert np.array_equal(found.blocks, encoded.integers.blocks)


@pytest.mark.parametrize("limit", [60, 1500])
def test_a_limit_is_filled_and_kept(encoder, limit):
    assert 0.95 * limit <= size(within(encoder, limit, file_size)) <= limit


def test_more_bytes_are_a_better_image(encoder, pixels):
    found = [within(encoder, limit, file_size) for limit in (60, 250)]
    errors = [psnr(decoded(one, pixels), pixels) for one in found]
    assert errors == sorted(errors)


def test_a_limit_that_nothing_fits_is_refused(encoder):
    with pytest.raises(RateError, match=f"{HEADER - 1} are too few"):
        within(encoder, HEADER - 1, file_size)


@pytest.mark.parametrize("limit", [12, 4000])
def test_a_constant_image_fits_any_limit(context_model, limit):
    pixels = np.full((40, 60, 1), 200, np.uint8)
    encoded = within(Encoder(conversion.to_planes(pixels), context_model), limit, file_size)
    assert size(encoded) <= limit
    assert np.abs(decoded(encoded, pixels) - 200).max() < (60 if limit == 12 else 2)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (17, 9)])
@pytest.mark.parametrize("channels", [1, 4])
def test_small_images_of_all_kinds(context_model, width, height, channels):
    pixels = np.random.default_rng(0).integers(100, 120, (height, width, channels), np.uint8)
    encoder = Encoder(conversion.to_planes(pixels), context_model)
    assert np.abs(decoded(at_quality(encoder, 100), pixels) - pixels).max() <= 4


def test_large_files_have_layers(context_model):
    pixels = np.asarray(photo(160, 120, seed=3, mode="L"))[..., None]
    found = within(Encoder(conversion.to_planes(pixels), context_model), 4500, file_size)
    assert len(found.payloads) == 3
    assert 3 * sum(map(len, found.payloads[:2])) < len(found.payloads[2])
