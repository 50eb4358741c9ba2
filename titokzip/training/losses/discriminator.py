"""The discriminator of TiTok's pixel stages: a patch classifier with blurred downsampling.

Convolutions of 5, then stages of 3 x 3 that halve the resolution behind a 1-3-3-1 blur, then one
logit a patch. 1.91 million parameters at its full width of 128.
"""

from itertools import pairwise
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PATCHES: Final = 16  # logits along each side
_SLOPE = 0.1
_BLUR: Final = (1.0, 3.0, 3.0, 1.0)


class Blur(nn.Module):
    """Halves the resolution behind a blur; zeros pad the border, more of them right and below."""

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        row = torch.tensor(_BLUR)
        kernel = row[:, None] * row
        self.register_buffer("kernel", (kernel / kernel.sum())[None, None])

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, h, w] to [B, C, ceil(h / 2), ceil(w / 2)]."""
        channels, height, width = x.shape[1:]
        down, right = (_same(height), _same(width))
        x = F.pad(x, (right // 2, right - right // 2, down // 2, down - down // 2))
        return F.conv2d(x, self.kernel.expand(channels, -1, -1, -1), stride=2, groups=channels)


class Discriminator(nn.Module):
    """Images [B, 3, H, W] in 0..1 to logits [B, 1, 16, 16]; above 0 means real."""

    def __init__(self, width: int = 128, stages: int = 3, groups: int = 32) -> None:
        super().__init__()
        self.block_in = nn.Sequential(nn.Conv2d(3, width, 5, padding=2), nn.LeakyReLU(_SLOPE))
        widths = [width, *(width << i for i in range(stages))]
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(inner, outer, 3, padding=1),
                Blur(),
                nn.GroupNorm(groups, outer),
                nn.LeakyReLU(_SLOPE),
            )
            for inner, outer in pairwise(widths)
        )
        self.pool = nn.AdaptiveMaxPool2d(PATCHES)
        self.to_logits = nn.Sequential(
            nn.Conv2d(widths[-1], widths[-1], 1),
            nn.LeakyReLU(_SLOPE),
            nn.Conv2d(widths[-1], 1, 5, padding=2),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Judge images."""
        x = self.block_in(images)
        for block in self.blocks:
            x = block(x)
        logits: Tensor = self.to_logits(self.pool(x))
        return logits


def _same(side: int) -> int:
    """Count the pixels of padding that make ceil(side / 2) of it."""
    return max((-(-side // 2) - 1) * 2 + len(_BLUR) - side, 0)
