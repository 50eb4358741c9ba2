"""Models of our own with a tiny decoder network, around the context model that ships."""

from dataclasses import asdict, replace

import torch
from safetensors.numpy import load_file

from titokzip import zoo
from titokzip.tokenizers.embedded.network import RefinementNetwork
from titokzip.tokenizers.embedded.network_config import NetworkConfig
from titokzip.zoo import embedded

SMALL = NetworkConfig(widths=(4, 4, 4, 4), encoder=(1, 0, 0, 1), decoder=(0, 0, 0, 0), conditions=4)


def network(seed=0):
    """Make a network that changes what it sees."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made = RefinementNetwork(SMALL).requires_grad_(False).eval()
        made.residuals.weight.normal_(0, 0.02)
    return made


def context():
    """Give the arrays of the context model that ships."""
    arrays = load_file(zoo.find(zoo.DEFAULT).path)
    return {
        key.removeprefix("context."): array
        for key, array in arrays.items()
        if key.startswith("context.")
    }


def write(path, name="tiny", seed=0, self_ensemble=False, lagrange=1.0, **changes):
    """Write a model; `changes` are arrays of its context model."""
    decoder = {key: tensor.numpy() for key, tensor in network(seed).state_dict().items()}
    config = asdict(replace(SMALL, self_ensemble=self_ensemble, lagrange=lagrange))
    return embedded.write(path, name, context() | changes, decoder, config, "none")
