"""The network that refines the decoded working image.

A U-shaped stack of residual 3 x 3 convolutions at the working resolution and at 1/2, 1/4 and 1/8 of
it adds a residual to what the linear transform has decoded. It runs on whole images of any size in
blocks, so there are no seams. The residual is scaled by the quantisation step, so a fine step
bounds what the network can change.

The same features also give the image at twice the working size, sharper than a filter enlarges it,
for files whose working image is smaller than the source (`layouts.refinement`).

B images, H x W pixels of the working image, both multiples of 8; C channels of a level.
"""

from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from titokzip.tokenizers.embedded.network_config import TYPICAL_SIZE, TYPICAL_STEP, NetworkConfig


class Refined(NamedTuple):
    """The refined image, 0 to 255 but not clipped."""

    working: Tensor  # [B, 3, H, W]
    double: Tensor  # [B, 3, 2 H, 2 W]


class ResidualBlock(nn.Module):
    """Convolve, add the condition, rectify, convolve, add."""

    def __init__(self, channels: int, conditions: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        self.condition = nn.Linear(conditions, channels)
        with torch.no_grad():
            self.second.weight.mul_(0.3)
            _zero(self.second.bias)

    def forward(self, features: Tensor, condition: Tensor) -> Tensor:
        """Refine features [B, C, h, w] under a condition [B, conditions]."""
        hidden = self.first(features) + self.condition(condition)[:, :, None, None]
        refined: Tensor = features + self.second(F.relu(hidden))
        return refined


class Level(nn.Module):
    """The residual blocks of one resolution, and the steps to the next coarser one and back."""

    def __init__(
        self, channels: int, coarser: int | None, depths: tuple[int, int], conditions: int
    ) -> None:
        super().__init__()
        down, up = depths
        self.encoder = nn.ModuleList(ResidualBlock(channels, conditions) for _ in range(down))
        self.decoder = nn.ModuleList(ResidualBlock(channels, conditions) for _ in range(up))
        if coarser is not None:
            self.reduce = nn.Conv2d(channels * 4, coarser, 1)
            self.enlarge = nn.Conv2d(coarser, channels * 4, 1)


class RefinementNetwork(nn.Module):
    """Refines decoded working images."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        widths, conditions = config.widths, config.conditions
        self.condition = nn.Sequential(
            nn.Linear(2, conditions), nn.SiLU(), nn.Linear(conditions, conditions), nn.SiLU()
        )
        self.colours = nn.Conv2d(3, widths[0], 3, padding=1)
        coarser = (*widths[1:], None)
        depths = zip(config.encoder, config.decoder, strict=True)
        self.levels = nn.ModuleList(
            Level(*sizes, conditions) for sizes in zip(widths, coarser, depths, strict=True)
        )
        self.residuals = nn.Conv2d(widths[0], 3 + 3 * 4, 3, padding=1)
        with torch.no_grad():
            _zero(self.residuals.weight)
            _zero(self.residuals.bias)

    def forward(self, decoded: Tensor, step: Tensor, size: Tensor) -> Refined:
        """Refine decoded images [B, 3, H, W], float32, 0 to 255 but not clipped.

        `step` [B] is log2 of the quantisation step of luma, `size` [B] half of log2 of the pixels
        of the whole working image.
        """
        kind = self.colours.weight.dtype
        conditions = torch.stack([(step - TYPICAL_STEP) / 1.5, size - TYPICAL_SIZE], 1)
        condition = self.condition(conditions.to(kind))
        colours = ((decoded - 128) / 64).to(kind).contiguous(memory_format=torch.channels_last)
        features = self._through(0, self.colours(colours), condition)
        residuals = self.residuals(features).float() * (step.exp2() / 8)[:, None, None, None]
        double = enlarged(decoded) + F.pixel_shuffle(residuals[:, 3:], 2)
        return Refined(decoded + residuals[:, :3], double)

    def _through(self, at: int, features: Tensor, condition: Tensor) -> Tensor:
        """Take features [B, C, h, w] through level `at` and all that are coarser."""
        level = cast(Level, self.levels[at])
        for block in level.encoder:
            features = block(features, condition)
        if at + 1 < len(self.levels):
            coarse: Tensor = level.reduce(F.pixel_unshuffle(features, 2))
            coarse = self._through(at + 1, coarse, condition)
            features = features + F.pixel_shuffle(level.enlarge(coarse), 2)
        for block in level.decoder:
            features = block(features, condition)
        return features


def enlarged(images: Tensor) -> Tensor:
    """Enlarge images [B, 3, H, W] to [B, 3, 2 H, 2 W] by a cubic filter."""
    return F.interpolate(images, scale_factor=2, mode="bicubic", antialias=True)


def _zero(parameter: Tensor | None) -> None:
    if parameter is not None:
        nn.init.zeros_(parameter)
