"""What `arms.py` compares our model with and nothing ships: other heads, losses, quantizers.

B pictures, S side of a tile, P patches, D width, L tokens, K codes of C numbers, n overlap.
"""

import math
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from titokzip.tokenizers.config import ViTConfig
from titokzip.tokenizers.flextok.fsq import FSQ
from titokzip.tokenizers.titok.config import TiTokConfig
from titokzip.tokenizers.titok.network import TiTok

# 128 tokens of 12 bits: about what the range coder makes of the 256 tokens of xs.
VQ_XS = TiTokConfig(
    encoder=ViTConfig(width=256, depth=2, heads=4),
    decoder=ViTConfig(width=256, depth=4, heads=4),
    length=128,
    is_legacy=False,
    vqgan=None,
    prefix_decodable=True,
)
# Tiles of 64 pixels, 48 bytes each: small enough to learn something within minutes.
VQ_64PX = replace(
    VQ_XS,
    encoder=ViTConfig(width=128, depth=2, heads=2),
    decoder=ViTConfig(width=128, depth=4, heads=2),
    length=32,
    size=64,
    patch=8,
)
FSQ_LEVELS = (8, 8, 8, 8)  # 12 bits too
FSQ_XS = replace(VQ_XS, channels=len(FSQ_LEVELS))
FSQ_64PX = replace(VQ_64PX, channels=len(FSQ_LEVELS))
COMMITMENT = 0.25
DECAY = 0.95  # of how often each code was chosen, a step
RARE = 0.02  # choices a step below which a code is replaced by a latent


class LinearEnd(nn.Module):
    """Patch features to pixels by one matrix; at first it adds nothing."""

    def __init__(self, width: int, patch: int) -> None:
        super().__init__()
        self.patch = patch
        self.paint = nn.Linear(width, 3 * patch**2)
        nn.init.zeros_(self.paint.weight)
        nn.init.zeros_(self.paint.bias)

    def forward(self, features: Tensor, blurred: Tensor) -> Tensor:
        """Paint features [B, P, D] over blurred pixels [B, 3, S, S]."""
        side = math.isqrt(features.shape[1])
        x = self.paint(features).mT.unflatten(2, (side, side))
        return blurred + F.pixel_shuffle(x, self.patch)


def new_titok(config: TiTokConfig, levels: tuple[int, ...]) -> TiTok:
    """Make a TiTok that paints grey, with a table of codes or, given their levels, FSQ digits."""
    titok = TiTok(config)
    nn.init.constant_(titok.pixel_decoder.bias, 0.5)  # so that first steps need not brighten all
    if levels:
        del titok.quantizer
        titok.quantizer = FSQ(levels)
    return titok


class Discrete(nn.Module):
    """A TiTok as training sees it: gradients through its quantizer, and codes kept in use.

    A table of codes follows the latents it stands for (VQ-VAE, van den Oord et al. 2017, with
    moving averages); codes that are rarely chosen start anew at a latent. FSQ needs none of it.
    """

    counts: Tensor  # [K] how often each code was chosen, on average
    sums: Tensor  # [K, C] of the latents that chose it

    def __init__(self, model: TiTok) -> None:
        super().__init__()
        self.model = model
        if not isinstance(model.quantizer, FSQ):
            codes = model.quantizer.codebook.requires_grad_(False)
            self.register_buffer("counts", torch.zeros(len(codes)))
            self.register_buffer("sums", torch.zeros_like(codes))

    def forward(self, pixels: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Encode pixels [B, 3, S, S], B even, and decode as many tokens as the first two ask for.

        Returns the painted pixels, and how far latents are from their codes.
        """
        kind = self.model.decoder.mask_token.dtype
        codes, far = self._quantize(self.model.encoder(pixels.to(kind)).float())
        halves = [codes[i::2, : int(lengths[i])] for i in (0, 1)]
        painted = [self.model.decode_pixels(self.model.decoder(half)) for half in halves]
        return torch.stack(painted, dim=1).flatten(0, 1), far

    def _quantize(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """Snap latents [B, L, C] to codes, with gradients as if nothing had happened."""
        quantizer = self.model.quantizer
        tokens = quantizer(latents)
        codes = quantizer.look_up(tokens)
        if isinstance(quantizer, FSQ):
            bounded = latents.tanh()
            return bounded + (codes - bounded).detach(), latents.new_zeros(())
        unit = F.normalize(latents, dim=-1)
        self._follow(unit.detach().flatten(0, 1), tokens.flatten())
        far = (unit - codes).square().sum(dim=-1).mean()
        return unit + (codes - unit).detach(), COMMITMENT * far

    @torch.no_grad()
    def _follow(self, latents: Tensor, tokens: Tensor) -> None:
        """Move codes towards the latents [N, C] that chose them, `tokens` [N]."""
        chosen = F.one_hot(tokens.long(), len(self.counts)).to(latents.dtype)
        self.counts.lerp_(chosen.sum(dim=0), 1 - DECAY)
        self.sums.lerp_(chosen.mT @ latents, 1 - DECAY)
        rare = self.counts < RARE
        share = len(latents) / len(self.counts)
        drawn = torch.randint(len(latents), (int(rare.sum()),))
        self.counts[rare], self.sums[rare] = share, share * latents[drawn]
        self.model.quantizer.codebook.copy_(self.sums / self.counts[:, None])


def squared_error(painted: Tensor, pixels: Tensor) -> Tensor:
    """Average the squared error."""
    return (painted.float() - pixels).square().mean()


def absolute_error(painted: Tensor, pixels: Tensor) -> Tensor:
    """Average the absolute error, rounded off at zero (Charbonnier et al. 1994)."""
    return ((painted.float() - pixels).square() + 1e-6).sqrt().mean()


def full_rows(count: int, longest: int, random: torch.Generator) -> Tensor:
    """Draw no prefixes: lengths [count], all of them full."""
    return torch.full((count,), longest)


def uniform_rows(count: int, longest: int, random: torch.Generator) -> Tensor:
    """Draw prefix lengths [count], all uniform in 1..longest."""
    return torch.randint(1, longest + 1, (count,), generator=random)
