"""Metrics agree with the libraries that the field trusts, where those are installed."""

import math

import numpy as np
import pytest
from photos import photo

from titokzip.bench.metrics import SMALLEST, ms_ssim, psnr


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


def test_ms_ssim_is_one_for_equal_images_and_falls_with_noise(pixels):
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
