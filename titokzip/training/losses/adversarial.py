"""The adversarial loss: a discriminator that learns beside the model, and what the model pays.

Hinge loss for the discriminator, with LeCam regularization (Tseng et al. 2021, arXiv:2104.03310),
and the negative mean of its logits for the model.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from titokzip.training import distributed
from titokzip.training.losses.discriminator import Discriminator


@dataclass(frozen=True)
class Adversarial:
    """When and how strongly a discriminator acts."""

    weight: float = 0.1  # of the model's loss; 0 is no discriminator
    start: int = 20_000  # first step at which it learns and acts
    lecam: float = 0.001
    lecam_decay: float = 0.999  # of the running means of logits
    rate: float = 1e-4
    width: int = 128  # channels of the first convolution
    stages: int = 3


class Adversary(nn.Module):
    """A discriminator and its loss."""

    real_mean: Tensor  # running means of the logits
    fake_mean: Tensor

    def __init__(self, how: Adversarial) -> None:
        super().__init__()
        self.how = how
        self.discriminator = Discriminator(how.width, how.stages, min(32, how.width))
        self.register_buffer("real_mean", torch.zeros(1))
        self.register_buffer("fake_mean", torch.zeros(1))
        self._next: tuple[Tensor, Tensor] | None = None

    def acts(self, step: int) -> bool:
        """Tell whether the discriminator learns and is pleased at a step."""
        return step >= self.how.start

    def judge(self, images: Tensor) -> Tensor:
        """Give the logits of what the model made; the discriminator gets no gradient."""
        self.requires_grad_(False)
        logits: Tensor = self.discriminator(images).float()
        return logits

    def forward(self, real: Tensor, fake: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the discriminator's loss, and its parts for the log."""
        self.requires_grad_(True)
        real, fake = real.detach().float(), fake.detach().float()
        real_logits, fake_logits = (self.discriminator(x).float() for x in (real, fake))
        hinge = 0.5 * (F.relu(1 - real_logits).mean() + F.relu(1 + fake_logits).mean())
        real_mean, fake_mean = (distributed.mean(x.mean()) for x in (real_logits, fake_logits))
        lecam = F.relu(real_mean - self.fake_mean).square().mean()
        lecam = self.how.lecam * (lecam + F.relu(self.real_mean - fake_mean).square().mean())
        self._next = (real_mean.detach(), fake_mean.detach())
        terms = {
            "discriminator": hinge.detach(),
            "lecam": lecam.detach(),
            "logits_real": real_mean.detach(),
            "logits_fake": fake_mean.detach(),
        }
        return hinge + lecam, terms

    @torch.no_grad()
    def before_step(self) -> None:
        """Take the last logits into their running means."""
        if self._next is not None:
            for mean, new in zip((self.real_mean, self.fake_mean), self._next, strict=True):
                mean.lerp_(new, 1 - self.how.lecam_decay)
            self._next = None
