"""Vector quantization: latents to the numbers of the nearest codes, and back.

B images, L latents, K codes of C numbers.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from titokzip.tokenizers.layers import table


class Quantizer(nn.Module):
    """Latents to the numbers of the nearest codes, and back; in float32 even under autocast."""

    def __init__(self, codebook: int, channels: int, *, normalized: bool) -> None:
        super().__init__()
        self.normalized = normalized
        self.codebook = table(codebook, channels)

    def forward(self, latents: Tensor) -> Tensor:
        """Find the tokens int32 [B, L] of latents [B, L, C]."""
        with torch.autocast(device_type=latents.device.type, enabled=False):
            z, codes = self._metric(latents).flatten(0, 1), self._metric(self.codebook)
            distance = z.square().sum(1, keepdim=True) + codes.square().sum(1) - 2 * z @ codes.T
            return distance.argmin(1).view(latents.shape[:2]).int()

    def lookup(self, tokens: Tensor) -> Tensor:
        """Give the codes [B, k, C] of tokens [B, k]."""
        return self._metric(self.codebook[tokens.long()])

    def _metric(self, x: Tensor) -> Tensor:
        return F.normalize(x.float(), dim=-1) if self.normalized else x.float()
