"""The decoder network at work: in windows as at once, and never silently on damage."""

import numpy as np
import pytest
import torch
from refiners import network

from titokzip.errors import ModelError
from titokzip.runtime import windowed_decoding
from titokzip.runtime.windowed_decoding import HALO, Refiner, load_refiner
from titokzip.tokenizers.embedded.network import RefinementNetwork
from titokzip.tokenizers.embedded.network_config import NetworkConfig

STEP = 160


@pytest.fixture(scope="module")
def channels():
    return np.random.default_rng(0).uniform(0, 255, (3, 104, 88)).astype(np.float32)


@pytest.mark.parametrize("double", [False, True])
def test_windows_are_not_to_be_told_from_the_whole(channels, double, monkeypatch):
    refiner = Refiner(network(), "cpu", torch.float32)
    whole = refiner(channels, STEP, double)
    monkeypatch.setattr(windowed_decoding, "WINDOW", 40)
    monkeypatch.setattr(windowed_decoding, "HALO", 48)
    windows = refiner(channels, STEP, double)
    assert windows.shape == whole.shape == (3, 104 << double, 88 << double)
    assert np.abs(windows - whole).max() < 0.01
    assert np.abs(whole[:, ::2, ::2] - channels if double else whole - channels).max() > 1


def test_the_condition_is_that_of_the_whole_image(channels):
    """A coarser step, and another size, change the result."""
    refiner = Refiner(network(), "cpu", torch.float32)
    fine, coarse = refiner(channels, 100), refiner(channels, 200)
    assert np.abs(fine - channels).mean() < np.abs(coarse - channels).mean()
    part = refiner(channels[:, :56, :48], STEP)
    assert not np.array_equal(part[:, :4, :4], refiner(channels, STEP)[:, :4, :4])


def test_values_that_are_not_finite_are_an_error(channels):
    broken = network()
    broken.residuals.bias.fill_(float("nan"))
    with pytest.raises(ModelError, match="not finite"):
        Refiner(broken, "cpu", torch.float32)(channels, STEP)


def test_loaded_in_a_precision(channels):
    exact = load_refiner(network(), "cpu", "float32", compiled=False)(channels, STEP)
    light = load_refiner(network(), "cpu", "bfloat16", compiled=False)
    assert light.dtype == torch.bfloat16
    assert 0 < np.abs(light(channels, STEP) - exact).mean() < 1


def test_the_halo_is_wider_than_the_network_sees():
    torch.manual_seed(0)
    one = RefinementNetwork(NetworkConfig()).eval()
    torch.nn.init.normal_(one.residuals.weight)
    pixels = torch.rand(1, 3, 8, HALO + 64) * 255
    other = pixels.clone()
    other[..., :8] = 255 - other[..., :8]
    with torch.inference_mode():
        conditions = torch.tensor([7.0]), torch.tensor([7.0])
        left, right = (one(image, *conditions).double for image in (pixels, other))
    changed = (left != right).any(dim=(0, 1, 2)).nonzero().max() // 2
    assert 8 < changed < HALO
