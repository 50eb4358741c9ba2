"""A FlexTok of a few thousand weights, made the same way everywhere: for tests, and for the script
that compares it with the official code (benchmarks/flextok.py)."""

import math
import zlib
from functools import cache

import numpy as np
import torch

from titokzip.tokenizers.config import ViTConfig
from titokzip.tokenizers.flextok.checkpoint import from_state_dict, released_name
from titokzip.tokenizers.flextok.config import AutoencoderConfig, FlexTokConfig
from titokzip.tokenizers.flextok.network import FlexTok

TINY = FlexTokConfig(
    encoder=ViTConfig(64, 2, 1),
    decoder=ViTConfig(128, 2, 2),
    length=16,
    size=64,
    autoencoder=AutoencoderConfig(channels=4, widths=(16, 16, 32, 32), depth=1, groups=8),
    scaling=0.5,
)


def build(config=TINY, dtype=torch.float32):
    return from_state_dict(config, weights(config), dtype)


def weights(config=TINY):
    return {name: tensor.clone() for name, tensor in _weights(config).items()}


@cache
def _weights(config):
    return {name: weight(name, shape) for name, shape in released_shapes(config).items()}


def released_shapes(config=TINY):
    with torch.device("meta"):
        state = FlexTok(config).state_dict()
    return {released_name(name): tuple(tensor.shape) for name, tensor in state.items()}


def weight(name, shape):
    """Make the weights that a tensor of this name has, of about unit gain."""
    raw = np.random.PCG64(zlib.crc32(name.encode())).random_raw(math.prod(shape))
    uniform = ((raw >> np.uint64(40)) / 2**23 - 1).astype(np.float32).reshape(shape)
    if "norm" in name and name.endswith("weight"):
        uniform = 1 + 0.3 * uniform
    elif name.endswith("bias"):
        uniform *= 0.3
    elif name.endswith("weight"):
        uniform *= math.sqrt(3 / math.prod(shape[1:]))
    return torch.from_numpy(uniform)


def images(count, size=TINY.size):
    n, c, y, x = np.ogrid[1 : count + 1, :3, :size, :size]
    texture = (n * x * 3 + y * (5 + 2 * c) + ((x * y * n) >> 3) + 40 * c) % 256
    return torch.from_numpy((texture / 255).astype(np.float32))


def noise(count, config=TINY):
    shape = (count, config.autoencoder.channels, config.side, config.side)
    wave = torch.arange(math.prod(shape), dtype=torch.float64).pow(1.5).sin()
    return (math.sqrt(2) * wave).float().view(shape)
