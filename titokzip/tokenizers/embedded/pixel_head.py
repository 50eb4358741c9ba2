"""The convolutional end of a painter: patch features to pixels, and patches without a seam.

B pictures, S the side of a tile, P patches, D width.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CELL = 8  # pixels each way that the coarse convolutions paint at once
SEEN = 16  # channels of their features that the texture is painted by


class PixelEnd(nn.Module):
    """Convolutions at an eighth of the resolution and, if wanted, more at a half of it."""

    def __init__(self, width: int, cells: int, patch: int, channels: int, texture: int) -> None:
        """Paint `cells` x `cells` patches of features of `width`."""
        super().__init__()
        self.unfold = patch // CELL
        self.embed = nn.Linear(width, channels * self.unfold**2)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels, channels, 3, padding=1),
                nn.SiLU(),
                nn.Conv2d(channels, channels, 3, padding=1),
            )
            for _ in range(2)
        )
        self.paint = nn.Conv2d(channels, 3 * CELL**2, 3, padding=1)
        self.texture = Texture(channels, cells * patch, texture) if texture else None

    def forward(self, features: Tensor, blurred: Tensor) -> Tensor:
        """Paint features [B, P, D] over blurred pixels [B, 3, S, S]."""
        side = math.isqrt(features.shape[1])
        x = self.embed(features).transpose(1, 2).unflatten(2, (side, side))
        x = F.pixel_shuffle(x, self.unfold)  # [B, C, S / 8, S / 8]
        for block in self.blocks:
            x = x + block(x)
        x = F.silu(x)
        painted = blurred + F.pixel_shuffle(self.paint(x), CELL)
        return painted if self.texture is None else self.texture(painted, x)


class Texture(nn.Module):
    """Convolutions at half the resolution, with a noise of their own: edges, grain, hair, leaves.

    What is painted eight pixels at a time repeats every eight pixels, once it is trained to look
    sharp. This has no such phase. The noise is learnt, and the same in every tile: a file paints
    the same picture twice.
    """

    def __init__(self, channels: int, size: int, width: int) -> None:
        super().__init__()
        self.noise = nn.Parameter(torch.randn(1, 2, size // 2, size // 2))
        self.known = nn.Conv2d(channels, SEEN, 1)
        self.first = nn.Conv2d(3 * 4 + SEEN + 2, width, 3, padding=1)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.SiLU(),
                nn.Conv2d(width, width, 3, padding=1),
                nn.SiLU(),
                nn.Conv2d(width, width, 3, padding=2, dilation=2),
            )
            for _ in range(2)
        )
        self.paint = nn.Conv2d(width, 3 * 4, 3, padding=1)

    def forward(self, painted: Tensor, features: Tensor) -> Tensor:
        """Add texture to painted pixels [B, 3, S, S], seeing features [B, C, S / 8, S / 8]."""
        kind = self.noise.dtype
        known = F.interpolate(self.known(features), scale_factor=CELL // 2, mode="bilinear")
        noise = self.noise.expand(len(painted), -1, -1, -1)
        parts = [F.pixel_unshuffle(painted, 2).to(kind), known, noise]
        x = self.first(torch.cat(parts, dim=1).contiguous(memory_format=torch.channels_last))
        for block in self.blocks:
            x = x + block(x)
        return painted + F.pixel_shuffle(self.paint(F.silu(x)), 2)
