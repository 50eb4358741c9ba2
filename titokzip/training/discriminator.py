"""A critic that tells painted tiles from photos by what a frozen network sees in both.

It judges features instead of pixels, so it is small, learns within minutes, and costs little where
a perceptual loss has seen the same features already: a projected GAN (Sauer et al. 2021,
arXiv:2111.01007) with the hinge loss and spectrally normalised heads.

B pictures, C channels, h and w the size of a map of features.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from titokzip.training import parallel

LEARNING_RATE = 3e-4
MOMENTA = (0.0, 0.99)
WIDTHS = (32, 64)  # channels of a head, the least and the most
_SLOPE = 0.2


class Critic(nn.Module):
    """One small convolutional head on each map of features."""

    def __init__(self, typical: list[Tensor]) -> None:
        """Make heads for maps such as `typical` [B, C, h, w], whose scales it learns."""
        super().__init__()
        self.heads = nn.ModuleList(_head(features.shape[1]) for features in typical)
        scales = torch.stack([features.float().square().mean().sqrt() for features in typical])
        self.register_buffer("scales", scales)
        self.scales: Tensor
        self.optimizer = torch.optim.AdamW(self.parameters(), lr=LEARNING_RATE, betas=MOMENTA)

    def forward(self, seen: list[Tensor]) -> list[Tensor]:
        """Judge maps of features [B, C, h, w] patch by patch; scores above 0 mean a photo."""
        pairs = zip(self.heads, seen, self.scales, strict=True)
        half = seen[0].dtype == torch.bfloat16
        with torch.autocast(self.scales.device.type, torch.bfloat16, enabled=half):
            return [head(features / scale).float() for head, features, scale in pairs]

    def realism(self, painted: list[Tensor]) -> Tensor:
        """Score what was painted, averaged over patches and heads: what the painter maximises."""
        self.requires_grad_(False)
        return torch.stack([scores.mean() for scores in self(painted)]).mean()

    def learn(self, painted: list[Tensor], photos: list[Tensor]) -> None:
        """Take one step towards telling the two apart."""
        self.requires_grad_(True)
        fakes = self([features.detach() for features in painted])
        reals = self([features.detach() for features in photos])
        loss = torch.stack(
            [F.relu(1 + f).mean() + F.relu(1 - r).mean() for f, r in zip(fakes, reals, strict=True)]
        ).mean()
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        parallel.average(p.grad for p in self.parameters() if p.grad is not None)
        self.optimizer.step()

    def state(self) -> dict[str, Any]:
        """Gather everything that a resumed run needs."""
        return {"critic": self.state_dict(), "optimizer": self.optimizer.state_dict()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gathered."""
        self.load_state_dict(state["critic"])
        self.optimizer.load_state_dict(state["optimizer"])


def _head(channels: int) -> nn.Sequential:
    least, most = WIDTHS
    width = min(most, max(least, channels // 2))
    return nn.Sequential(
        spectral_norm(nn.Conv2d(channels, width, 3, stride=2, padding=1)),
        nn.LeakyReLU(_SLOPE),
        spectral_norm(nn.Conv2d(width, width, 3, stride=2, padding=1)),
        nn.LeakyReLU(_SLOPE),
        spectral_norm(nn.Conv2d(width, 1, 1)),
    )
