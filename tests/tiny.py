"""A spectral model too small to be good, with tables that fit it."""

from dataclasses import replace

import torch
from photos import photo

from titokzip.tiling import Grid
from titokzip.tokenizers.config import ViTConfig
from titokzip.tokenizers.embedded.network import Spectral, SpectralConfig
from titokzip.training import context_model_fit, transform_design

CONFIG = SpectralConfig(
    encoder=ViTConfig(width=16, depth=1, heads=2),
    decoder=ViTConfig(width=16, depth=1, heads=2),
    size=32,
    length=8,
    overlap=4,
    frequencies=8,
    coefficients=18,
    head=8,
)
PLANES = 4  # digits of every coefficient


def spectral(seed=0, texture=0):
    """Make a model of nine coefficients of luminance and nine of colour."""
    torch.manual_seed(seed)
    model = Spectral(replace(CONFIG, texture=texture))
    low = torch.cartesian_prod(torch.arange(3), torch.arange(3))
    colour = torch.tensor([0] * 9 + [1] * 9)[:, None]
    transform_design._install(model, torch.cat([colour, low.repeat(2, 1)], dim=1).numpy())
    model.step.fill_(0.2)
    model.coefficient.copy_(torch.arange(18).repeat(PLANES))
    model.plane.copy_(torch.arange(PLANES).flip(0).repeat_interleave(18))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    return model.eval().requires_grad_(False)


def tiles(count, size=32):
    """Cut pictures [count, 3, S, S] in 0..1."""
    pictures = [torch.tensor(list(photo(size, size, seed).tobytes())) for seed in range(count)]
    return torch.stack(pictures).view(count, size, size, 3).permute(0, 3, 1, 2) / 255


def tables(model):
    """Count the tables of the range coder from forty tiles."""
    return context_model_fit.fit(
        model, model.encode(tiles(40)).numpy(), [Grid(1, 1)] * 20 + [Grid(4, 5)]
    )
