"""Vector quantization with gradients: straight through, with commitment and codebook losses.

B images, L latents, K codes of C numbers.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from titokzip.tokenizers.titok.quantizer import Quantizer
from titokzip.training import distributed

_DECAY: Final = 0.99  # of how often codes are used
_SHARPNESS: Final = 10.0  # how rarely a code must be used to be moved


@dataclass(frozen=True)
class Quantization:
    """Weights of the quantizer's loss."""

    weight: float = 1.0
    commitment: float = 0.25
    clustering: bool = False  # move codes that are rarely used to the latents nearest to them


class Quantized(NamedTuple):
    """What became of latents."""

    codes: Tensor  # [B, L, C], with the gradient of the latents
    tokens: Tensor  # int32 [B, L]
    commitment: Tensor  # mean squared distance, latents learning; weighted
    codebook: Tensor  # the same, codes learning


def quantize(quantizer: Quantizer, latents: Tensor, commitment: float) -> Quantized:
    """Snap latents [B, L, C] to their nearest codes, in float32."""
    with torch.autocast(latents.device.type, enabled=False):
        latents = latents.float()
        tokens = quantizer(latents.detach())
        codes = quantizer.look_up(tokens)
        if quantizer.normalized:
            latents = F.normalize(latents, dim=-1)
        return Quantized(
            latents + (codes - latents).detach(),
            tokens,
            commitment * F.mse_loss(latents, codes.detach()),
            F.mse_loss(codes, latents.detach()),
        )


class Clustering(nn.Module):
    """Keeps all codes in use (Zheng and Vedaldi 2023, arXiv:2307.15139).

    A code that is rarely used moves to the latent of the batch that is nearest to it.
    """

    usage: Tensor  # [K], running mean of the share of latents that take a code

    def __init__(self, quantizer: Quantizer) -> None:
        super().__init__()
        self._quantizer = (quantizer,)  # not a submodule: its parameters are another's
        self.register_buffer("usage", torch.zeros(len(quantizer.codebook)))
        self._seen: tuple[Tensor, Tensor] | None = None

    def see(self, latents: Tensor, tokens: Tensor) -> None:
        """Note latents [B, L, C] and the tokens that they became."""
        self._seen = (latents.detach().float().flatten(0, 1), tokens.flatten().long())

    @torch.no_grad()
    def before_step(self) -> None:
        """Move the codes; every process moves them alike."""
        if self._seen is None:
            return
        (latents, tokens), self._seen = self._seen, None
        codebook = self._quantizer[0].codebook
        share = codebook.new_zeros(len(codebook))
        share.index_add_(0, tokens, share.new_full((len(tokens),), 1 / len(tokens)))
        self.usage.lerp_(distributed.mean(share), 1 - _DECAY)
        nearest = self._nearest(latents)
        move = (-self.usage * len(codebook) * _SHARPNESS / (1 - _DECAY) - 1e-3).exp()[:, None]
        codebook.data = codebook.data.lerp(nearest, move)

    def _nearest(self, latents: Tensor) -> Tensor:
        """Find the latent nearest to every code, of all processes; [K, C]."""
        quantizer = self._quantizer[0]
        z, codes = latents, quantizer.codebook.detach()
        if quantizer.normalized:
            z, codes = F.normalize(z, dim=-1), F.normalize(codes, dim=-1)
        distance = z.square().sum(1, keepdim=True) + codes.square().sum(1) - 2 * z @ codes.T
        least, rows = distance.min(dim=0)
        least_of_all = torch.stack(distributed.gathered_tensors(least))  # [processes, K]
        candidates = torch.stack(distributed.gathered_tensors(latents[rows]))
        best = least_of_all.argmin(dim=0)
        return candidates[best, torch.arange(len(best), device=best.device)]
