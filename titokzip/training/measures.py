"""What an evaluation measures."""

import torch
from torch import Tensor


def psnr(decoded: Tensor, images: Tensor) -> float:
    """Average PSNR in dB over images [B, 3, H, W] in 0..1; what was decoded is rounded first."""
    squared = (rounded(decoded) - images).square().mean(dim=(1, 2, 3))
    return float(-10 * squared.clamp(min=1e-10).log10().mean())


def rounded(pixels: Tensor) -> Tensor:
    """Clamp and round pixels as an image file would."""
    return (pixels.float().clamp(0, 1) * 255).round() / 255


def code_usage(tokens: Tensor, vocabulary: int) -> dict[str, float]:
    """Count which share of the codes tokens [B, L] use, and their entropy in bits a token."""
    counts = torch.bincount(tokens.flatten().long(), minlength=vocabulary).double()
    shares = counts / counts.sum()
    used = shares[shares > 0]
    return {
        "codes_used": float((counts > 0).double().mean()),
        "bits_a_token": float(-(used * used.log2()).sum()),
    }
