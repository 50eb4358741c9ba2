"""The encoder of MaskGIT's VQGAN, and the whole of it as its checkpoint holds it.

A convolutional network turns each square of 2 ** (levels - 1) pixels into a cell, and the nearest
of the codes into a number: 1,024 codes and 16 pixels in the released one. TiTok's first stage
learns to predict these numbers.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from titokzip.tokenizers.checkpoint import fill
from titokzip.tokenizers.titok.config import VQGANConfig
from titokzip.tokenizers.titok.quantizer import Quantizer
from titokzip.tokenizers.titok.vqgan import ResBlock, VQGANDecoder


class VQGANEncoder(nn.Module):
    """Pixels [B, 3, scale * h, scale * w] in 0..1 to cells [B, C, h, w]."""

    def __init__(self, config: VQGANConfig) -> None:
        super().__init__()
        widths = config.widths
        self.conv_in = nn.Conv2d(3, widths[0], 3, padding=1, bias=False)
        self.down = nn.ModuleList(
            LevelDown(inner, outer)
            for inner, outer in zip((widths[0], *widths), widths, strict=False)
        )
        self.mid = nn.Sequential(*(ResBlock(widths[-1], widths[-1]) for _ in range(2)))
        self.norm_out = nn.GroupNorm(32, widths[-1], eps=1e-6)
        self.conv_out = nn.Conv2d(widths[-1], config.channels, 1)

    def forward(self, pixels: Tensor) -> Tensor:
        """Run the levels from fine to coarse, halving between them."""
        x = self.conv_in(pixels.contiguous(memory_format=torch.channels_last))
        for i, level in enumerate(self.down):
            x = level(F.avg_pool2d(x, 2) if i else x)
        cells: Tensor = self.conv_out(F.silu(self.norm_out(self.mid(x))))
        return cells


class LevelDown(nn.Module):
    """Two residual blocks at one resolution."""

    def __init__(self, inner: int, outer: int) -> None:
        super().__init__()
        self.block = nn.Sequential(ResBlock(inner, outer), ResBlock(outer, outer))

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, inner, h, w] to [B, outer, h, w]."""
        out: Tensor = self.block(x)
        return out


class VQGAN(nn.Module):
    """Pixels to a grid of codes and back."""

    def __init__(self, config: VQGANConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = VQGANEncoder(config)
        self.quantizer = Quantizer(config.codebook, config.channels, normalized=False)
        self.decoder = VQGANDecoder(config)

    def encode(self, pixels: Tensor) -> Tensor:
        """Give the numbers int64 [B, h * w] of the codes of pixels, row by row."""
        tokens: Tensor = self.quantizer(self.encoder(pixels).flatten(2).transpose(1, 2))
        return tokens.long()

    def decode(self, tokens: Tensor, rows: int) -> Tensor:
        """Decode numbers of codes [B, h * w] in so many rows as pixels; the inverse of `encode`."""
        cells = self.quantizer.look_up(tokens).transpose(1, 2)
        pixels: Tensor = self.decoder(cells.reshape(*cells.shape[:2], rows, -1))
        return pixels


def released_name(name: str) -> str:
    """Give the name that a tensor of a `VQGAN` has in released weights."""
    name = name.replace("quantizer.codebook", "quantize.embedding.weight")
    name = name.replace(".upsample.conv.", ".upsample_conv.")
    return name.replace(".shortcut.", ".nin_shortcut.")


def from_state_dict(config: VQGANConfig, state: Mapping[str, Tensor]) -> VQGAN:
    """Build a frozen VQGAN around released weights.

    Raises:
        ModelError: a tensor is missing, unexpected or of another shape.
    """
    with torch.device("meta"):
        model = VQGAN(config)
    fill(model, state, released_name)
    return model
