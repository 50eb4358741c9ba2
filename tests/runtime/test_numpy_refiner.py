"""The decoder network in NumPy gives what torch gives."""

import numpy as np
import pytest
import torch
from refiners import SMALL, network

from titokzip import loading, zoo
from titokzip.errors import ModelError
from titokzip.layouts.transform import Transformed
from titokzip.runtime.numpy_refiner import NumpyRefiner
from titokzip.runtime.windowed_decoding import Refiner
from titokzip.tokenizers.embedded.network import RefinementNetwork
from titokzip.tokenizers.embedded.network_config import NetworkConfig

STEP = 150


def weights_of(network):
    return {key: tensor.numpy() for key, tensor in network.state_dict().items()}


def lively(config):
    """Make a network whose every layer matters."""
    torch.manual_seed(0)
    made = RefinementNetwork(config).requires_grad_(False).eval()
    for tensor in made.parameters():
        tensor.add_(torch.randn_like(tensor) * 0.02)
    return made


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("size", [(8, 8), (8, 40), (56, 24), (64, 96)])
@pytest.mark.parametrize("config", [NetworkConfig(), SMALL], ids=["released", "small"])
def test_it_gives_what_torch_gives(config, size, double):
    made = lively(config)
    channels = np.random.default_rng(1).uniform(0, 255, (3, *size)).astype(np.float32)
    expected = Refiner(made, "cpu", torch.float32)(channels, STEP, double)
    found = NumpyRefiner(config, weights_of(made))(channels, STEP, double)
    assert found.shape == expected.shape
    assert found.dtype == np.float32
    assert np.abs(expected[:, :: 1 + double, :: 1 + double] - channels).max() > 1
    assert np.abs(found - expected).max() < 2e-3


@pytest.mark.parametrize("config", [NetworkConfig(), SMALL, NetworkConfig((8, 4), (0, 1), (2, 0))])
def test_shapes_are_those_of_the_network(config):
    state = RefinementNetwork(config).state_dict()
    assert config.shapes() == {key: tuple(tensor.shape) for key, tensor in state.items()}


def test_the_released_weights_are_read_without_torch_as_with_it():
    manifest = zoo.find("xs")
    config, weights = zoo.load_decoder_weights(manifest)
    made = zoo.load_decoder(manifest)
    assert made.config == config
    for key, tensor in made.state_dict().items():
        assert np.array_equal(tensor.numpy(), weights[key])


def test_values_that_are_not_finite_are_an_error():
    broken = network()
    broken.residuals.bias.fill_(float("inf"))
    with pytest.raises(ModelError, match="not finite"):
        NumpyRefiner(SMALL, weights_of(broken))(np.zeros((3, 16, 16), np.float32), STEP)


@pytest.mark.parametrize(
    ("asked", "lone"),
    [
        ({}, True),
        ({"device": "cpu"}, False),
        ({"precision": "float32"}, False),
        ({"compiled": True}, False),
        ({"lone": False}, False),
    ],
)
def test_it_is_used_where_nothing_else_is_asked_for(asked, lone):
    layout = loading.load("xs", **{"lone": True} | asked).layout
    assert isinstance(layout, Transformed)
    assert isinstance(layout.reconstruction.refinement.small, NumpyRefiner) == lone
