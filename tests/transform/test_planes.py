"""Pixels to planes of the working image and back."""

import numpy as np
import pytest

from titokzip.errors import FormatError
from titokzip.transform import planes, resample
from titokzip.transform.working_size import fits_whole, largest, working_blocks


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_planes_hold_all_of_the_pixels(channels):
    pixels = np.random.default_rng(0).integers(0, 256, (9, 14, channels), np.uint8)
    found = planes.to_channels(planes.to_planes(pixels))
    assert np.abs(found - pixels.transpose(2, 0, 1)).max() < 1e-3


def test_grey_is_the_luma_of_its_colour():
    grey = np.random.default_rng(0).integers(0, 256, (4, 4, 1), np.uint8)
    coloured = planes.to_planes(np.repeat(grey, 3, axis=2))
    assert np.abs(coloured[:1] - planes.to_planes(grey)).max() < 1e-3
    assert np.abs(coloured[1:]).max() < 1e-3


def test_an_error_in_planes_is_the_error_in_pixels():
    error = np.random.default_rng(0).normal(size=(3, 8, 8)).astype(np.float32)
    energy = np.square(planes.to_channels(error) - planes.CENTRE).sum()
    assert energy == pytest.approx(np.square(error).sum(), rel=1e-5)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (8, 8), (13, 30), (17, 5)])
def test_an_image_at_its_own_size_is_padded_and_cut(width, height):
    source = np.random.default_rng(0).normal(size=(3, height, width)).astype(np.float32)
    working = planes.reduce(source, 0, (width, height))
    assert working.shape == (3, -(-height // 8) * 8, -(-width // 8) * 8)
    assert np.array_equal(planes.enlarge(working, width, height, 0), source)


def test_reducing_and_enlarging_keep_constants_and_smooth_images():
    y, x = np.mgrid[:90, :120].astype(np.float32)
    smooth = np.stack([np.full((90, 120), 50, np.float32), 40 * np.sin(y / 20) + x / 2])
    working = planes.reduce(smooth, 4, (120, 90))
    assert working.shape == (2, 32, 40)
    found = planes.enlarge(working, 120, 90, 4)
    assert np.abs(found[0] - 50).max() < 0.01
    assert np.abs(found[1] - smooth[1])[10:-10, 10:-10].max() < 1


def test_enlarging_is_the_filter_of_the_format():
    row = np.random.default_rng(1).normal(size=16).astype(np.float32)
    for n in (24, 37, 16, 12):
        scale = max(1, 16 / n)
        place = (np.arange(16) + 0.5 - (np.arange(n)[:, None] + 0.5) * 16 / n) / scale
        weights = np.sinc(place) * np.sinc(place / 3) * (np.abs(place) < 3)
        expected = (weights / weights.sum(axis=1, keepdims=True)) @ row
        found = resample.enlarge(np.tile(row, (1, 8, 1)), 8, n)
        assert np.abs(found[0, 3] - expected).max() < 1e-4


@pytest.mark.parametrize(
    ("small", "large"), [(1, 9), (8, 200), (64, 65), (150, 301), (384, 768), (1000, 1001)]
)
def test_sharpening_is_least_squares_softened(small, large):
    units = np.eye(small, dtype=np.float32)[None]
    basis = resample.enlarge(units, small, large)[0].astype(np.float64)
    inverse = np.linalg.inv(basis @ basis.T * small / large + resample.SOFTNESS * np.eye(small))
    expected = inverse / inverse.sum(axis=1, keepdims=True)
    source = np.random.default_rng(2).normal(size=(1, large, 8)).astype(np.float32)
    shrunk = resample.enlarge(source, small, 8)  # the same filter, made wider
    found = resample.reduce(source, small, 8)
    assert np.abs(found[0] - expected @ shrunk[0]).max() < 1e-4


@pytest.mark.parametrize(
    ("width", "height", "blocks", "expected"),
    [
        (768, 512, 24, (24, 36)),
        (512, 768, 24, (36, 24)),
        (100, 100, 5, (5, 5)),
        (19, 8, 1, (1, 2)),
        (20, 8, 1, (1, 3)),
        (19, 8, 0, (1, 3)),
        (2_097_151, 4, 0, FormatError),
        (100_000, 10_000, 0, FormatError),
        (10, 2_097_151, 1, FormatError),
        (100, 100, 2_000_000, FormatError),
    ],
)
def test_working_sizes(width, height, blocks, expected):
    if expected is FormatError:
        with pytest.raises(FormatError, match="too large"):
            working_blocks(width, height, blocks)
    else:
        assert working_blocks(width, height, blocks) == expected


@pytest.mark.parametrize(
    ("width", "height"), [(1, 1), (7, 400), (768, 512), (50_000, 8), (12_000, 9_000)]
)
def test_the_largest_working_size_is_within_the_limit(width, height):
    most = largest(width, height)
    assert 8 * most <= min(width, height)
    if most:
        assert np.prod(working_blocks(width, height, most)) * 64 <= 2**23
    assert fits_whole(width, height) == (-(-width // 8) * -(-height // 8) * 64 <= 2**23)
