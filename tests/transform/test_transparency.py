"""Masks, and colours that nobody sees."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from titokzip.transform import planes
from titokzip.transform.transparency import is_mask, with_hidden_colours


def disc(side=80, level=255):
    """Draw a disc with smooth edges."""
    alpha = Image.new("L", (4 * side, 4 * side))
    ImageDraw.Draw(alpha).ellipse([side, side, 3 * side, 3 * side], fill=level)
    return alpha.resize((side, side), Image.Resampling.BOX)


def with_badge(alpha):
    ImageDraw.Draw(alpha).rectangle([2, 2, 7, 6], fill=60)
    return alpha


@pytest.mark.parametrize(
    ("alpha", "expected"),
    [
        (disc(), True),
        (disc().filter(ImageFilter.GaussianBlur(6)), False),
        (disc(level=128), False),
        (Image.linear_gradient("L"), False),
        (Image.new("L", (1, 1), 0), True),
        (Image.new("L", (9, 9), 128), False),
        (Image.new("L", (40, 40), 10), False),
        (Image.new("L", (40, 40), 245), False),
        (with_badge(disc()), False),
        (Image.new("L", (9, 9), 255), True),
    ],
)
def test_masks_are_told_from_what_is_soft(alpha, expected):
    assert is_mask(alpha) == expected


@pytest.mark.parametrize("channels", [2, 4])
def test_a_mask_is_scaled_and_steepened(channels):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 6, channels), np.uint8)
    pixels[..., -1] = 255 * (pixels[..., -1] > 128)
    soft, mask = planes.to_planes(pixels), planes.to_planes(pixels, mask=True)
    assert np.array_equal(soft[:-1], mask[:-1])
    assert mask[-1] == pytest.approx(soft[-1] / 4)
    noise = np.random.default_rng(1).uniform(-24, 24, mask[-1].shape)
    mask[-1] += noise  # less than half of what it is
    back = planes.to_channels(mask, mask=True).clip(0, 255)
    assert back[-1] == pytest.approx(pixels[..., -1])


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (33, 18)])
def test_colours_that_are_seen_stay(size):
    random = np.random.default_rng(0)
    source = random.normal(size=(4, *size)).astype(np.float32)
    hidden = random.random(size) < 0.5
    found = with_hidden_colours(source, hidden)
    assert found.dtype == np.float32
    assert found[:, ~hidden] == pytest.approx(source[:, ~hidden], abs=1e-6)
    assert np.array_equal(found[-1], source[-1])


def test_colours_that_are_all_hidden_are_flat():
    source = np.random.default_rng(0).normal(size=(4, 9, 7)).astype(np.float32)
    found = with_hidden_colours(source, np.ones((9, 7), bool))
    assert not found[:3].any()
    assert np.array_equal(found[3], source[3])


def test_hidden_colours_become_those_around_them():
    y, x = np.mgrid[:64, :80].astype(np.float32)
    smooth = np.stack([y, x, y - x, 0 * y])
    hidden = (y - 30) ** 2 + (x - 40) ** 2 < 400
    spoiled = np.where(hidden, np.random.default_rng(0).normal(0, 90, smooth.shape), smooth)
    found = with_hidden_colours(spoiled.astype(np.float32), hidden)
    assert np.abs(found - smooth)[:3].max() < 30
    steps = np.abs(np.diff(found[:3], axis=2)).max(), np.abs(np.diff(found[:3], axis=1)).max()
    assert max(steps) < 12
