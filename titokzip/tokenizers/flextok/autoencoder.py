"""The convolutional autoencoder of Stable Diffusion (Rombach et al. 2022, arXiv:2112.10752).

It encodes pixels to a grid of latents of C channels, each of a square of 2 ** (levels - 1) pixels,
8 in the released ones, and decodes them. FlexTok's transformers work on these latents.

The decoder's convolutions reach 18 latents. Beyond that a pixel still depends on all that is
decoded at once: every group norm averages over the whole grid, and in the middle every latent
attends to every other. So grids of any size go through, but two parts of an image decoded apart
agree only approximately.

B images, C channels of a latent.
"""

from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from titokzip.tokenizers.flextok.config import AutoencoderConfig
from titokzip.tokenizers.layers import GroupNorm, conv3x3

_LAYOUT: Final = torch.channels_last  # an eighth faster on a CPU


class AutoencoderKL(nn.Module):
    """Pixels to their most likely latents, and back."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        self.encoder = Encoder(config)
        self.quant = nn.Conv2d(2 * config.channels, 2 * config.channels, 1)
        self.unquant = nn.Conv2d(config.channels, config.channels, 1)
        self.decoder = Decoder(config)

    def compile(self, *how: Any, **more: Any) -> None:
        """Compile the modules that `encode` and `decode` call: this one is never called."""
        for part in self.children():
            part.compile(*how, **more)

    @property
    def dtype(self) -> torch.dtype:
        """The type that the decoder computes in."""
        return self.unquant.weight.dtype

    def set_decoder_dtype(self, dtype: torch.dtype) -> None:
        """Convert what decodes, in place."""
        self.unquant.to(dtype)
        self.decoder.to(dtype)

    def encode(self, pixels: Tensor) -> Tensor:
        """Encode pixels [B, 3, scale * h, scale * w] in -1..1 as latents [B, C, h, w].

        They are the mode of what the encoder predicts, a normal distribution per number. Its
        variance is ignored, so that the same pixels give the same latents.
        """
        mean, _ = self.quant(self.encoder(pixels.contiguous(memory_format=_LAYOUT))).chunk(2, dim=1)
        latents: Tensor = mean
        return latents

    def decode(self, latents: Tensor) -> Tensor:
        """Decode latents [B, C, h, w] to pixels [B, 3, scale * h, scale * w], about -1..1."""
        pixels: Tensor = self.decoder(self.unquant(latents.contiguous(memory_format=_LAYOUT)))
        return pixels


class Encoder(nn.Module):
    """Pixels [B, 3, H, W] to means and log-variances [B, 2C, H / scale, W / scale]."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        widths, last = config.widths, config.widths[-1]
        self.conv_in = conv3x3(3, widths[0])
        self.down = nn.Sequential(
            *(
                Down(inner, outer, config, downsamples=level < len(widths) - 1)
                for level, (inner, outer) in enumerate(
                    zip((widths[0], *widths), widths, strict=False)
                )
            )
        )
        self.mid = Mid(last, config.groups)
        self.norm_out = _norm(config.groups, last)
        self.conv_out = conv3x3(last, 2 * config.channels)

    def forward(self, pixels: Tensor) -> Tensor:
        """Run the levels from fine to coarse."""
        x = self.mid(self.down(self.conv_in(pixels)))
        out: Tensor = self.conv_out(F.silu(self.norm_out(x)))
        return out


class Decoder(nn.Module):
    """Latents [B, C, h, w] to pixels [B, 3, scale * h, scale * w]."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        widths = config.widths[::-1]
        self.conv_in = conv3x3(config.channels, widths[0])
        self.mid = Mid(widths[0], config.groups)
        self.up = nn.Sequential(
            *(
                Up(inner, outer, config, upsamples=level < len(widths) - 1)
                for level, (inner, outer) in enumerate(
                    zip((widths[0], *widths), widths, strict=False)
                )
            )
        )
        self.norm_out = _norm(config.groups, widths[-1])
        self.conv_out = conv3x3(widths[-1], 3)

    def forward(self, latents: Tensor) -> Tensor:
        """Run the levels from coarse to fine."""
        x = self.up(self.mid(self.conv_in(latents)))
        pixels: Tensor = self.conv_out(F.silu(self.norm_out(x)))
        return pixels


class Down(nn.Module):
    """Residual blocks at one resolution, then a downsampling unless it is the last level."""

    def __init__(
        self, inner: int, outer: int, config: AutoencoderConfig, *, downsamples: bool
    ) -> None:
        super().__init__()
        self.resnets = _resnets(inner, outer, config.depth, config.groups)
        self.downsample = nn.Conv2d(outer, outer, 3, stride=2) if downsamples else None

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, inner, h, w] to [B, outer, h / 2, w / 2], or to [B, outer, h, w]."""
        out: Tensor = self.resnets(x)
        if self.downsample is not None:
            out = self.downsample(F.pad(out, (0, 1, 0, 1)))  # right and below only
        return out


class Up(nn.Module):
    """Residual blocks at one resolution, then an upsampling unless it is the last level."""

    def __init__(
        self, inner: int, outer: int, config: AutoencoderConfig, *, upsamples: bool
    ) -> None:
        super().__init__()
        self.resnets = _resnets(inner, outer, config.depth + 1, config.groups)
        self.upsample = conv3x3(outer, outer) if upsamples else None

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, inner, h, w] to [B, outer, 2h, 2w], or to [B, outer, h, w]."""
        out: Tensor = self.resnets(x)
        if self.upsample is not None:
            out = self.upsample(F.interpolate(out, scale_factor=2.0, mode="nearest"))
        return out


class Mid(nn.Module):
    """Attention between two residual blocks, at the coarsest resolution."""

    def __init__(self, width: int, groups: int) -> None:
        super().__init__()
        self.resnets = _resnets(width, width, 2, groups)
        self.attention = Attention(width, groups)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, width, h, w] to the same shape."""
        before, after = self.resnets
        out: Tensor = after(self.attention(before(x)))
        return out


class Attention(nn.Module):
    """One head of attention over all positions, beside a shortcut."""

    def __init__(self, width: int, groups: int) -> None:
        super().__init__()
        self.norm = _norm(groups, width)
        self.q = nn.Linear(width, width)
        self.k = nn.Linear(width, width)
        self.v = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, width, h, w] to the same shape."""
        rows = self.norm(x).flatten(2).transpose(1, 2).unsqueeze(1)  # [B, 1, h * w, width]
        mixed = F.scaled_dot_product_attention(self.q(rows), self.k(rows), self.v(rows))
        out: Tensor = x + self.out(mixed).squeeze(1).transpose(1, 2).reshape(x.shape)
        return out


class ResBlock(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, inner: int, outer: int, groups: int) -> None:
        super().__init__()
        self.norm1 = _norm(groups, inner)
        self.conv1 = conv3x3(inner, outer)
        self.norm2 = _norm(groups, outer)
        self.conv2 = conv3x3(outer, outer)
        self.shortcut = nn.Conv2d(inner, outer, 1) if inner != outer else None

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, inner, h, w] to [B, outer, h, w]."""
        h: Tensor = self.conv1(F.silu(self.norm1(x)))
        h = self.conv2(F.silu(self.norm2(h)))
        return h + (x if self.shortcut is None else self.shortcut(x))


def _resnets(inner: int, outer: int, depth: int, groups: int) -> nn.Sequential:
    return nn.Sequential(*(ResBlock(outer if i else inner, outer, groups) for i in range(depth)))


def _norm(groups: int, width: int) -> GroupNorm:
    return GroupNorm(groups, width, eps=1e-6)
