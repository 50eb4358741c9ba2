"""Metrics agree with the libraries that the field trusts, where those are installed."""

import math

import numpy as np
import pytest
from photos import photo

from titokzip.bench.metrics import SMALLEST, bd_rate, ms_ssim, psnr

ANCHOR = [(100, 30.0), (200, 33.0), (400, 36.0), (900, 38.5)]
TEST = [(90, 30.5), (210, 33.1), (380, 36.9), (1000, 39.0)]


def noisy(pixels, strength, seed=0):
    noise = np.random.default_rng(seed).normal(0, strength, pixels.shape)
    return (pixels + noise).clip(0, 255).astype(np.uint8)


@pytest.fixture
def pixels():
    return np.asarray(photo(233, 197))  # odd sides, which halving must pad as others do


def test_psnr_by_hand():
    black, grey = np.zeros((2, 2, 3), np.uint8), np.full((2, 2, 3), 51, np.uint8)
    assert psnr(black, grey) == pytest.approx(20 * math.log10(5))
    assert psnr(grey, grey) == math.inf


def test_ms_ssim_is_one_for_equal_pictures_and_falls_with_noise(pixels):
    found = [ms_ssim(pixels, noisy(pixels, s)) for s in (0, 8, 25, 60)]
    assert found[0] > 0.999
    assert found == sorted(found, reverse=True)
    assert ms_ssim(pixels, pixels) == pytest.approx(1)


def test_ms_ssim_needs_five_scales(pixels):
    assert ms_ssim(pixels[: SMALLEST - 1], pixels[: SMALLEST - 1]) is None
    assert ms_ssim(pixels[:SMALLEST], pixels[:SMALLEST]) == pytest.approx(1)


@pytest.mark.parametrize("strength", [3, 20, 80])
def test_ms_ssim_is_that_of_pytorch_msssim(pixels, strength):
    library = pytest.importorskip("pytorch_msssim", reason="the oracle is not installed")
    import torch

    other = noisy(pixels, strength)
    one, two = (torch.from_numpy(p.copy()).double().permute(2, 0, 1)[None] for p in (pixels, other))
    offsets = torch.arange(11, dtype=torch.float64) - 5
    window = torch.exp(-(offsets**2) / (2 * 1.5**2))
    window = (window / window.sum()).expand(3, 1, 1, 11)
    expected = float(library.ms_ssim(one, two, data_range=255, win=window))
    assert ms_ssim(pixels, other) == pytest.approx(expected, abs=1e-9)


def test_bd_rate_of_a_curve_shifted_in_rate_is_the_shift():
    shifted = [(rate * 0.8, quality) for rate, quality in ANCHOR]
    assert bd_rate(ANCHOR, shifted) == pytest.approx(-20)
    assert bd_rate(ANCHOR, ANCHOR[:]) == pytest.approx(0)
    assert bd_rate(ANCHOR + ANCHOR[:1], shifted + shifted[2:]) == pytest.approx(-20)


def test_bd_rate_of_two_points_is_that_of_a_line():
    assert bd_rate(ANCHOR[:2], [(50, 30.0), (100, 33.0)]) == pytest.approx(-50)


def test_bd_rate_where_it_has_no_meaning():
    assert bd_rate(ANCHOR, ANCHOR[:1]) is None
    assert bd_rate(ANCHOR, [(10, 50.0), (20, 60.0)]) is None
    assert bd_rate(ANCHOR, [(10, 31.0), (20, 31.0)]) is None


def test_bd_rate_is_that_of_scipys_curves():
    interpolate = pytest.importorskip("scipy.interpolate", reason="the oracle is not installed")
    curves = [
        interpolate.PchipInterpolator([q for _, q in c], [math.log(r) for r, _ in c])
        for c in (ANCHOR, TEST)
    ]
    low, high = 30.5, 38.5
    areas = [float(curve.integrate(low, high)) for curve in curves]
    expected = 100 * math.expm1((areas[1] - areas[0]) / (high - low))
    assert bd_rate(ANCHOR, TEST) == pytest.approx(expected, rel=1e-9)


def test_bd_rate_is_that_of_the_bjontegaard_package():
    pytest.importorskip("matplotlib", reason="the oracle needs it")
    library = pytest.importorskip("bjontegaard", reason="the oracle is not installed")
    expected = library.bd_rate(*zip(*ANCHOR, strict=True), *zip(*TEST, strict=True), method="pchip")
    assert bd_rate(ANCHOR, TEST) == pytest.approx(expected, rel=1e-9)
