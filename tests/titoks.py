"""TiToks too small to be good, with the same weights in every test, named as released ones are."""

import math
import zlib
from dataclasses import replace

import numpy as np
import torch

from titokzip.tokenizers.config import ViTConfig
from titokzip.tokenizers.titok.checkpoint import from_state_dict, released_name
from titokzip.tokenizers.titok.config import TextConfig, TiTokConfig, VQGANConfig
from titokzip.tokenizers.titok.network import TiTok

VQGAN = VQGANConfig(codebook=16, channels=8, widths=(32, 32, 64, 64))
TWO_STAGE = TiTokConfig(ViTConfig(32, 2, 2), ViTConfig(48, 2, 3), 6, 64, 5, 32, 8, vqgan=VQGAN)
DIRECT = replace(TWO_STAGE, normalized=False, is_legacy=False, vqgan=None)
PREFIX_DECODABLE = replace(TWO_STAGE, prefix_decodable=True)
TEXT_GUIDED = replace(DIRECT, text=TextConfig(positions=5, channels=12))


def weight(name, shape):
    """Make the weights that a tensor of this name has in every test."""
    raw = np.random.PCG64(zlib.crc32(name.encode())).random_raw(math.prod(shape))
    uniform = ((raw >> np.uint64(40)) / 2**23 - 1).astype(np.float32).reshape(shape)
    if len(shape) == 1:
        uniform = 0.1 * uniform + np.float32(name.endswith("weight"))
    elif "embedding" in name or "token" in name:
        uniform *= 0.5
    else:
        uniform *= (2 if "in_proj" in name else 1) * math.sqrt(3 / math.prod(shape[1:]))
    return torch.from_numpy(uniform)


def released_shapes(config):
    with torch.device("meta"):
        state = TiTok(config).state_dict()
    return {released_name(name): tuple(tensor.shape) for name, tensor in state.items()}


def weights(config):
    return {name: weight(name, shape) for name, shape in released_shapes(config).items()}


def build(config):
    return from_state_dict(config, weights(config))


def images(count, size):
    n, c, y, x = np.ogrid[1 : count + 1, :3, :size, :size]
    texture = (n * x * 3 + y * (5 + 2 * c) + ((x * y * n) >> 3) + 40 * c) % 256
    return torch.from_numpy((texture / 255).astype(np.float32))
