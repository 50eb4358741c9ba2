"""The loss of the perceptual variant: squared errors, a perceptual distance, and a discriminator.

The discriminator tells decoded images from originals by the features that the perceptual network
has of both. Its heads are small, so it learns within minutes: a projected GAN (Sauer et al. 2021,
arXiv:2111.01007) with the hinge loss and spectral normalization.

B crops, C channels, h x w the size of a map of features.
"""

from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from titokzip.tokenizers.embedded.network import Refined, RefinementNetwork
from titokzip.training.embedded.batches import Batch
from titokzip.training.embedded.objective import loss_of
from titokzip.training.embedded.perceptual_network import TinyDarknet

DISTANCE: Final = 0.5  # weight of the perceptual distance
GENERATOR: Final = 0.02  # weight of the generator loss
GENERATOR_FROM: Final = 200  # steps that the discriminator learns alone
RATE, MOMENTA = 3e-4, (0.0, 0.99)  # of the discriminator's optimizer
_WIDTHS = (32, 64)  # channels of a head, the least and the most
_SLOPE = 0.2

Maps = list[Tensor]  # [B, C, h, w] each


class Perceptual:
    """The loss, and the discriminator that learns beside the network."""

    def __init__(self, features: TinyDarknet, seed: int) -> None:
        self.features = features
        channels = [weights.shape[0] for weights in _seen(features)]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.discriminator = Discriminator(channels)
        device = next(features.parameters()).device
        self.discriminator.to(device)
        self.optimizer = torch.optim.AdamW(
            self.discriminator.parameters(), lr=RATE, betas=MOMENTA, foreach=True
        )
        self.steps = 0

    def loss_of(self, network: RefinementNetwork, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Give the loss of a batch and its parts; the discriminator takes a step."""
        refined = network(batch.decoded, batch.step, batch.size)
        total, terms = loss_of(refined, batch), {}
        terms["error"] = float(total.detach())
        decoded, originals = self._maps(refined, batch)
        for scale, (fake, real) in enumerate(zip(decoded, originals, strict=True), 1):
            apart = distance(fake, real)
            total = total + DISTANCE * apart / len(decoded)
            terms[f"distance_{scale}"] = float(apart.detach())
            if self.steps >= GENERATOR_FROM:
                total = total - GENERATOR * self._judged(fake) / len(decoded)
        terms["discriminator"] = self._learn(decoded, originals)
        self.steps += 1
        return total, terms

    def _maps(self, refined: Refined, batch: Batch) -> tuple[list[Maps], list[Maps]]:
        """Give the features of decoded images and of originals, at one or two scales."""
        pairs = [(refined.working, batch.original)]
        if len(batch.double):
            pairs.append((refined.double[batch.has_double], batch.double))
        decoded = [self.features((fake / 255).clamp(0, 1)) for fake, _ in pairs]
        with torch.no_grad():
            return decoded, [self.features(real / 255) for _, real in pairs]

    def _judged(self, fake: Maps) -> Tensor:
        """Give the mean logit of decoded images; the discriminator gets no gradient."""
        self.discriminator.requires_grad_(False)
        return torch.stack([logits.mean() for logits in self.discriminator(fake)]).mean()

    def _learn(self, decoded: list[Maps], originals: list[Maps]) -> float:
        """Take one step towards telling the two apart; gives the hinge loss."""
        self.discriminator.requires_grad_(True)
        losses = []
        for fake, real in zip(decoded, originals, strict=True):
            fakes = self.discriminator([maps.detach() for maps in fake])
            reals = self.discriminator(real)
            losses += [F.relu(1 + f).mean() for f in fakes] + [F.relu(1 - r).mean() for r in reals]
        loss = torch.stack(losses).mean()
        if torch.isfinite(loss):
            self.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
        return float(loss.detach())

    def state(self) -> dict[str, Any]:
        """Gather what a resumed run needs."""
        return {
            "discriminator": self.discriminator.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "steps": self.steps,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gathered."""
        self.discriminator.load_state_dict(state["discriminator"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.steps = state["steps"]


class Discriminator(nn.Module):
    """One small convolutional head on each map of features; logits above 0 mean an original."""

    def __init__(self, channels: list[int]) -> None:
        super().__init__()
        self.heads = nn.ModuleList(_head(count) for count in channels)

    def forward(self, maps: Maps) -> list[Tensor]:
        """Judge maps [B, C, h, w] patch by patch; each is scaled to a root mean square of 1."""
        return [
            head(one / one.detach().square().mean((1, 2, 3), keepdim=True).add(1e-6).sqrt())
            for head, one in zip(self.heads, maps, strict=True)
        ]


def distance(fake: Maps, real: Maps) -> Tensor:
    """Sum the squared distances of features, each position's of unit length, over the maps."""
    total = fake[0].new_zeros(())
    for ours, theirs in zip(fake, real, strict=True):
        lengths = (_dot(ours, ours) * _dot(theirs, theirs)).clamp(min=1e-12).sqrt()
        total = total + 2 * (1 - _dot(ours, theirs) / lengths).mean()
    return total


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum(dim=1)


def _seen(features: TinyDarknet) -> list[Tensor]:
    with torch.no_grad():
        device = next(features.parameters()).device
        return [maps[0] for maps in features(torch.zeros(1, 3, 32, 32, device=device))]


def _head(channels: int) -> nn.Sequential:
    least, most = _WIDTHS
    width = min(most, max(least, channels // 2))
    return nn.Sequential(
        spectral_norm(nn.Conv2d(channels, width, 3, stride=2, padding=1)),
        nn.LeakyReLU(_SLOPE),
        spectral_norm(nn.Conv2d(width, width, 3, stride=2, padding=1)),
        nn.LeakyReLU(_SLOPE),
        spectral_norm(nn.Conv2d(width, 1, 1)),
    )
