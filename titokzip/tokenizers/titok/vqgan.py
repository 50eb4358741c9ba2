"""The pixel decoder of MaskGIT's VQGAN (Chang et al. 2022, arXiv:2202.04200).

A convolutional network that paints a grid of feature cells: each cell becomes a square of
2 ** (levels - 1) pixels, 16 in the released one. There is no attention, so grids of any size go
through, but every group norm averages over the whole grid: a cell sees its neighbours exactly,
and the rest of the picture through 32 means and variances a layer.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from titokzip.tokenizers.layers import table
from titokzip.tokenizers.titok.config import VQGANConfig


class CodebookHead(nn.Module):
    """Patches to cells of a VQGAN, each a soft mixture of its codes."""

    def __init__(self, width: int, vqgan: VQGANConfig) -> None:
        super().__init__()
        self.ffn = nn.Sequential(
            nn.Conv2d(width, 2 * width, 1), nn.Tanh(), nn.Conv2d(2 * width, vqgan.codebook, 1)
        )
        self.codebook = table(vqgan.codebook, vqgan.channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, D, h, w] to cells [B, channels, h, w]."""
        return torch.einsum("bkhw,kc->bchw", self.ffn(x).softmax(1), self.codebook)


class VQGANDecoder(nn.Module):
    """Feature cells [B, C, h, w] to pixels [B, 3, scale * h, scale * w]."""

    def __init__(self, config: VQGANConfig) -> None:
        super().__init__()
        widths = config.widths
        inputs = (*widths[1:], widths[-1])
        self.conv_in = _conv3(config.channels, widths[-1])
        self.mid = nn.Sequential(*(ResBlock(widths[-1], widths[-1]) for _ in range(2)))
        self.up = nn.ModuleList(
            Level(inner, outer, upsample=i > 0)
            for i, (inner, outer) in enumerate(zip(inputs, widths, strict=True))
        )
        self.norm_out = _norm(widths[0])
        self.conv_out = _conv3(widths[0], 3)

    def forward(self, cells: Tensor) -> Tensor:
        """Paint cells; the pixels are about 0..1 and not clamped."""
        cells = cells.to(self.conv_in.weight.dtype, memory_format=torch.channels_last)
        x = self.mid(self.conv_in(cells))
        for level in reversed(self.up):
            x = level(x)
        pixels: Tensor = self.conv_out(F.silu(self.norm_out(x)))
        return pixels


class Level(nn.Module):
    """Two residual blocks at one resolution, then a doubling of it unless it is the last."""

    def __init__(self, inner: int, outer: int, *, upsample: bool) -> None:
        super().__init__()
        self.block = nn.Sequential(ResBlock(inner, outer), ResBlock(outer, outer))
        self.upsample_conv = _conv3(outer, outer) if upsample else None

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, inner, h, w] to [B, outer, 2h, 2w], or to [B, outer, h, w] on the last level."""
        out: Tensor = self.block(x)
        return out if self.upsample_conv is None else _doubled(out, self.upsample_conv)


class ResBlock(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, inner: int, outer: int) -> None:
        super().__init__()
        self.norm1 = _norm(inner)
        self.conv1 = _conv3(inner, outer, bias=False)
        self.norm2 = _norm(outer)
        self.conv2 = _conv3(outer, outer, bias=False)
        self.shortcut = nn.Conv2d(outer, outer, 1, bias=False) if inner != outer else None

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, inner, h, w] to [B, outer, h, w]."""
        # In place where it can be: a tenth of the time on a CPU goes into fresh memory.
        h: Tensor = self.conv1(F.silu(self.norm1(x), inplace=True))
        h = self.conv2(F.silu(self.norm2(h), inplace=True))
        # The released weights were trained with a shortcut from the output, not from x.
        return h.add_(x) if self.shortcut is None else h + self.shortcut(h)


def _conv3(inner: int, outer: int, *, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(inner, outer, 3, padding=1, bias=bias)


def _doubled(x: Tensor, conv: nn.Conv2d) -> Tensor:
    """Convolve x [B, C, h, w] with every cell blown up to 2 x 2; [B, C, 2h, 2w].

    A 3 x 3 kernel sees only 2 x 2 cells there, so one transposed convolution of the cells
    themselves does the same with 16 products a cell instead of 36.
    """
    outer, inner = conv.weight.shape[:2]
    once = torch.tensor([[0, 0, 1], [0, 1, 1], [1, 1, 0], [1, 0, 0]]).to(conv.weight)
    kernel = conv.weight.flatten(2) @ torch.kron(once, once).mT  # [outer, inner, 16]
    kernel = kernel.view(outer, inner, 4, 4).transpose(0, 1)
    return F.conv_transpose2d(x, kernel, conv.bias, stride=2, padding=1)


def _norm(width: int) -> nn.GroupNorm:
    return nn.GroupNorm(32, width, eps=1e-6)
