"""Vector quantization: latents to the indices of their nearest codes, and back.

B images, L latents, K codes of C numbers.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from titokzip.tokenizers.layers import embeddings


class Quantizer(nn.Module):
    """A codebook [K, C] in float32, compared by Euclidean distance, or on the unit sphere."""

    def __init__(self, codebook: int, channels: int, *, normalized: bool) -> None:
        super().__init__()
        self.normalized = normalized
        self.codebook = embeddings(codebook, channels)

    def forward(self, latents: Tensor) -> Tensor:
        """Quantize latents [B, L, C] to tokens int32 [B, L], the indices of the nearest codes."""
        z, codes = self._metric(latents).flatten(0, 1), self._metric(self.codebook)
        distance = z.square().sum(1, keepdim=True) + codes.square().sum(1) - 2 * z @ codes.T
        return distance.argmin(1).view(latents.shape[:2]).int()

    def look_up(self, tokens: Tensor) -> Tensor:
        """Return the codes [B, k, C] of tokens [B, k]; inverts `forward` up to quantization."""
        return self._metric(self.codebook[tokens.long()])

    def _metric(self, x: Tensor) -> Tensor:
        return F.normalize(x.float(), dim=-1) if self.normalized else x.float()
