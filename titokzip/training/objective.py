"""What training minimises: pixels through the rounding, and what a frozen network sees in them."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from titokzip.tokenizers.embedded.network import DIGITS_PER_TOKEN, Spectral

Features = Callable[[Tensor], list[Tensor]]

DECIBELS_PER_DOUBLING = 1.05  # what twice the bytes buy, measured on photos: the price of bits
GRID_BLOCK = 64  # pixels each way in which a grid is looked for
INVISIBLE = (0.7 / 255) ** 2  # energy of detail that nobody sees


class StraightThrough(nn.Module):
    """A model as training sees it: any prefix length a picture, gradients through the rounding."""

    sizes: Tensor  # [J] of coefficients, on average
    gains: Tensor  # [L + 1, J] after so many tokens
    weights: Tensor  # [L + 1, J] 3^plane of the last digit known

    def __init__(self, model: Spectral, tiles: Tensor) -> None:
        """Wrap a model; from `tiles` [B, 3, S, S] it learns how large coefficients are."""
        super().__init__()
        self.model = model
        with torch.no_grad():
            sizes = model.analyse(tiles).abs().mean(dim=0)
        self.register_buffer("sizes", sizes, persistent=False)
        counts = range(model.length + 1)
        gains = torch.stack([model.gains(count) for count in counts])
        weights = torch.stack([_weights(model, count) for count in counts])
        self.register_buffer("gains", gains, persistent=False)
        self.register_buffer("weights", weights, persistent=False)

    def forward(self, pixels: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Encode pixels [B, 3, S, S] and decode the first `lengths` [B] tokens of each.

        Returns the painted pixels, and about how many bits those tokens take [B], were each
        coefficient Laplacian.
        """
        read = self.model.read(pixels)
        gains, weights = self.gains[lengths], self.weights[lengths]
        prefix = torch.div(self.model.quantize(read) + weights // 2, weights, rounding_mode="floor")
        rounded = prefix * weights * gains
        passed = torch.where(gains > 0, read + (rounded - read).detach(), 0.0)
        bits = (torch.where(gains > 0, read.abs(), 0.0) / self.sizes).sum(dim=1) / math.log(2)
        return self.model.repaint(self.model.synthesise(passed), lengths), bits


def _weights(model: Spectral, count: int) -> Tensor:
    known = count * DIGITS_PER_TOKEN
    weights = torch.full_like(model.mean, 3**9, dtype=torch.int32)
    owner = model.coefficient[:known].long()
    return weights.scatter_reduce(0, owner, (3 ** model.plane[:known]).int(), "amin")


def draw_lengths(count: int, longest: int, random: torch.Generator) -> Tensor:
    """Draw prefix lengths [count]: every other full, the rest log-uniform in 1..longest."""
    octaves = torch.rand(count, generator=random) * torch.tensor(longest).log2()
    lengths = (2**octaves).round().long().clamp(1, longest)
    lengths[::2] = longest
    return lengths


def pixel_loss(painted: Tensor, pixels: Tensor) -> Tensor:
    """Average over pictures of their error in dB: the PSNR that is reported, negated."""
    squared = (painted.float() - pixels).square().mean(dim=(1, 2, 3))
    return 10 * (squared + 1e-4).log10().mean()


def price(bits: Tensor) -> Tensor:
    """Turn bits [B] into the dB that they could have bought elsewhere."""
    return DECIBELS_PER_DOUBLING * bits.clamp(min=1).log2().mean()


def perceptual_loss(painted: list[Tensor], pixels: list[Tensor]) -> Tensor:
    """Compare what a frozen network sees in both, each position's features of unit length."""
    total = painted[0].new_zeros((), dtype=torch.float32)
    for ours, theirs in zip(painted, pixels, strict=True):
        lengths = (_dot(ours, ours) * _dot(theirs, theirs)).clamp(min=1e-12).sqrt()
        cosine = _dot(ours, theirs) / lengths
        total = total + 2 * (1 - cosine).mean()  # the square of their distance
    return total


def grid_loss(painted: Tensor, period: int) -> Tensor:
    """Measure how much of the fine detail of pixels [B, 3, S, S] repeats every `period` pixels.

    In each block, detail is averaged over the cells of a grid; in photos nearly nothing is left.
    The share of its energy that is, times the number of cells: about 1 is chance.
    """
    detail = painted - F.avg_pool2d(painted, 5, stride=1, padding=2, count_include_pad=False)
    block = min(GRID_BLOCK, painted.shape[-1]) // period * period
    blocks = detail.unfold(2, block, block).unfold(3, block, block)  # [B, 3, n, n, block, block]
    side = block // period
    cells = blocks.reshape(*blocks.shape[:4], side, period, side, period)
    repeated = cells.mean(dim=(4, 6)).square().mean(dim=(4, 5))  # [B, 3, n, n]
    energy = cells.detach().square().mean(dim=(4, 5, 6, 7))
    loss: Tensor = (repeated / (energy + INVISIBLE)).mean() * side**2
    return loss


def phase_loss(painted: Tensor, period: int) -> Tensor:
    """Measure how unevenly steps between pixels [B, 3, S, S] fall on the phases of a grid.

    The mean square of what each phase has beyond its share, in shares; photos have about 0.
    """
    total, cells = painted.new_zeros(()), painted.shape[-1] // period - 1
    for axis in (2, 3):
        steps = painted.diff(dim=axis).abs().mean(dim=(1, 5 - axis))[:, period - 1 :]
        steps = steps[:, : cells * period].reshape(-1, cells, period)
        phases = steps.mean(dim=1)  # [B, period], borders first
        shares = phases / phases.detach().mean(dim=1, keepdim=True).clamp(min=INVISIBLE**0.5)
        total = total + (shares - shares.mean(dim=1, keepdim=True)).square().mean()
    return total


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum(dim=1, dtype=torch.float32)
