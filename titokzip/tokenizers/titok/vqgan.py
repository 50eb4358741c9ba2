"""The pixel decoder of MaskGIT's VQGAN (Chang et al. 2022, arXiv:2202.04200).

A convolutional network decodes a grid of features, each to a square of 2 ** (levels - 1) pixels, 16
in the released one. It has no attention, so it decodes grids of any size. Every group norm averages
over the whole grid: a position depends on its neighbours through convolutions, and on the rest of
the image through 32 means and variances per layer.

B images, C channels, K proxy codes, D width.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from titokzip.tokenizers.layers import GroupNorm, conv3x3, embeddings
from titokzip.tokenizers.titok.config import VQGANConfig


class CodebookHead(nn.Module):
    """Patches to features of a VQGAN, each a soft mixture of its K proxy codes."""

    def __init__(self, width: int, vqgan: VQGANConfig) -> None:
        super().__init__()
        self.ffn = nn.Sequential(
            nn.Conv2d(width, 2 * width, 1), nn.Tanh(), nn.Conv2d(2 * width, vqgan.codebook, 1)
        )
        self.codebook = embeddings(vqgan.codebook, vqgan.channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, D, h, w] to features [B, C, h, w]."""
        return torch.einsum("bkhw,kc->bchw", self.ffn(x).softmax(1), self.codebook)


class VQGANDecoder(nn.Module):
    """Features [B, C, h, w] to pixels [B, 3, scale * h, scale * w]."""

    def __init__(self, config: VQGANConfig) -> None:
        super().__init__()
        widths = config.widths
        inputs = (*widths[1:], widths[-1])
        self.conv_in = conv3x3(config.channels, widths[-1])
        self.mid = nn.Sequential(*(ResBlock(widths[-1], widths[-1]) for _ in range(2)))
        self.up = nn.ModuleList(
            Level(inner, outer, upsamples=i > 0)
            for i, (inner, outer) in enumerate(zip(inputs, widths, strict=True))
        )
        self.norm_out = _norm(widths[0])
        self.conv_out = conv3x3(widths[0], 3)

    def forward(self, features: Tensor) -> Tensor:
        """Decode features to pixels, about 0..1 and not clamped."""
        x = features.to(self.conv_in.weight.dtype, memory_format=torch.channels_last)
        x = self.mid(self.conv_in(x))
        for level in reversed(self.up):
            x = level(x)
        pixels: Tensor = self.conv_out(F.silu(self.norm_out(x)))
        return pixels

    def fold(self) -> None:
        """Prepare the constants of upsampling for weights that stay as they are."""
        for module in self.modules():
            if isinstance(module, Upsample):
                module.fold()


class Level(nn.Module):
    """Two residual blocks at one resolution, then an upsampling unless it is the last level."""

    def __init__(self, inner: int, outer: int, *, upsamples: bool) -> None:
        super().__init__()
        self.block = nn.Sequential(ResBlock(inner, outer), ResBlock(outer, outer))
        self.upsample = Upsample(outer) if upsamples else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, inner, h, w] to [B, outer, 2h, 2w], or to [B, outer, h, w] on the last level."""
        out: Tensor = self.upsample(self.block(x))
        return out


class Upsample(nn.Module):
    """A 3 x 3 convolution of x with every position repeated 2 x 2.

    The kernel sees only 2 x 2 positions of x there, so one transposed convolution of x itself does
    the same with 16 products per position instead of 36. Its kernel is a linear map of the 3 x 3
    one: `fold` keeps it beside the weights, on their device and in their type.
    """

    kernel: Tensor | None  # [C, C, 4, 4], inputs first

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = conv3x3(channels, channels)
        self.register_buffer("kernel", None, persistent=False)

    def fold(self) -> None:
        """Compute the kernel once."""
        self.kernel = self._transposed()

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, h, w] to [B, C, 2h, 2w]."""
        kernel = self._transposed() if self.kernel is None else self.kernel
        return F.conv_transpose2d(x, kernel, self.conv.bias, stride=2, padding=1)

    def _transposed(self) -> Tensor:
        weight = self.conv.weight
        outputs, inputs = weight.shape[:2]
        once = torch.tensor([[0, 0, 1], [0, 1, 1], [1, 1, 0], [1, 0, 0]]).to(weight)
        kernel = weight.flatten(2) @ torch.kron(once, once).mT  # [outputs, inputs, 16]
        return kernel.view(outputs, inputs, 4, 4).transpose(0, 1)


class ResBlock(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, inner: int, outer: int) -> None:
        super().__init__()
        self.norm1 = _norm(inner)
        self.conv1 = conv3x3(inner, outer, bias=False)
        self.norm2 = _norm(outer)
        self.conv2 = conv3x3(outer, outer, bias=False)
        self.shortcut = nn.Conv2d(outer, outer, 1, bias=False) if inner != outer else None

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, inner, h, w] to [B, outer, h, w]."""
        # In place where it can be: a tenth of the time on a CPU goes into fresh memory.
        h: Tensor = self.conv1(F.silu(self.norm1(x), inplace=True))
        h = self.conv2(F.silu(self.norm2(h), inplace=True))
        # The released weights were trained with a shortcut from the output, not from x.
        return h.add_(x) if self.shortcut is None else h + self.shortcut(h)


def _norm(width: int) -> GroupNorm:
    return GroupNorm(32, width, eps=1e-6)
