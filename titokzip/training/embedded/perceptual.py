"""The loss of the perceptual variant: squared errors, LPIPS over VGG16, and a discriminator.

All but the first see the image at twice the working size where the photo has it, else the working
image. LPIPS alone teaches the network a fine mesh in step with its own levels, which VGG16 takes
for texture. What repeats from cell to cell of that grid is penalised, and the discriminator knows
that no photo has it.

B crops, S pixels a side.
"""

import math
from typing import Any, Final, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from titokzip.tokenizers.embedded.network import RefinementNetwork
from titokzip.training.embedded.batches import Batch
from titokzip.training.embedded.objective import error_of
from titokzip.training.losses.adversarial import Adversarial, Adversary
from titokzip.training.losses.lpips import LPIPS
from titokzip.training.trainer import Diverged

WEIGHT: Final = 10.0  # of LPIPS, whose values are about a quarter
STAGES: Final = 4  # of VGG16's five; a position of the last sees more than a crop
REPEATED: Final = 0.1  # weight of the detail that repeats, whose unit is a squared level
PERIOD: Final = 16  # pixels of it: the grid of the coarsest level, at twice the working size
SHIFTS: Final = 8  # pixels, fewer than which crops are moved against the grid of VGG16's poolings
ADVERSARIAL: Final = Adversarial(weight=0.3, start=0, lecam=0.0, rate=3e-4, width=24, stages=2)
_MOMENTA: Final = (0.5, 0.99)  # of the discriminator's optimizer


class Pair(NamedTuple):
    """Crops of one size, 0 to 1."""

    decoded: Tensor  # [b, 3, s, s]
    original: Tensor  # [b, 3, s, s]
    share: float  # of the batch


class Perceptual:
    """The loss around a frozen network and a discriminator that learns."""

    def __init__(
        self,
        lpips: LPIPS,
        adversarial: Adversarial = ADVERSARIAL,
        precision: torch.dtype = torch.bfloat16,
    ) -> None:
        """Take LPIPS over VGG16; it is cut to its first stages, frozen and converted."""
        lpips.stages, lpips.heads = lpips.stages[:STAGES], lpips.heads[:STAGES]
        lpips.requires_grad_(False).to(precision)
        self.lpips = lpips.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.adversary = Adversary(adversarial).to(next(lpips.parameters()).device)
        self.optimizer = torch.optim.AdamW(
            self.adversary.parameters(), adversarial.rate, _MOMENTA, weight_decay=0.0
        )
        self.precision = precision
        self._pairs: list[Pair] = []  # of the latest batch

    def loss_of(
        self, network: RefinementNetwork, batch: Batch, step: int
    ) -> tuple[Tensor, dict[str, float]]:
        """Give the loss of a batch, and its parts."""
        refined = network(batch.decoded, batch.step, batch.size)
        error, double = error_of(refined, batch), batch.has_double
        pairs = (
            (refined.double[double], batch.double),
            (refined.working[~double], batch.original[~double]),
        )
        self._pairs = [
            Pair(decoded / 255, original / 255, len(decoded) / len(batch.decoded))
            for decoded, original in pairs
            if len(decoded)
        ]
        distances = [
            pair.share * self.lpips(*_shifted(*pair[:2], precision=self.precision))
            for pair in self._pairs
        ]
        distance = torch.stack(distances).sum()
        repeats = torch.stack([pair.share * repeated(*pair[:2]) for pair in self._pairs]).sum()
        terms = {"error": error, "lpips": distance, "repeated": repeats}
        parts = {name: float(term.detach()) for name, term in terms.items()}
        loss = error + WEIGHT * distance + REPEATED * repeats
        if self.adversary.acts(step):
            logits = [
                pair.share * self.adversary.judge(pair.decoded).mean() for pair in self._pairs
            ]
            loss = loss - self.adversary.how.weight * torch.stack(logits).sum()
        return loss, parts

    def learn(self, step: int) -> dict[str, float]:
        """Teach the discriminator what the latest batch became; after the network's gradients.

        Raises:
            Diverged: its loss is not finite.
        """
        if not self.adversary.acts(step):
            return {}
        losses = [
            pair.share * self.adversary(pair.original, pair.decoded)[0] for pair in self._pairs
        ]
        loss = torch.stack(losses).sum()
        value = loss.item()
        if not math.isfinite(value):
            raise Diverged(f"the discriminator's loss of step {step} is {value}")
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.adversary.before_step()
        return {"discriminator": value}

    def state(self) -> dict[str, Any]:
        """Gather everything that a resumed run needs."""
        return {
            "adversary": self.adversary.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gathered.

        Raises:
            LookupError, RuntimeError, ValueError: it is another network's.
        """
        self.adversary.load_state_dict(state["adversary"])
        self.optimizer.load_state_dict(state["optimizer"])


def repeated(decoded: Tensor, original: Tensor) -> Tensor:
    """Measure the detail that decoded images add in step with a grid of PERIOD pixels.

    It is the mean product of the fine parts of the error at the same place of two different cells:
    about 0 for a texture without a grid. Nothing is gained below 0, where cells differ in sign, or
    the network would learn to draw that. Images are 0..1, the result is in squared levels.
    """
    error = 255 * (decoded - original)
    detail = error - F.avg_pool2d(error, 3, 1, 1, count_include_pad=False)
    count, colours, height, width = detail.shape
    down, across = height // PERIOD, width // PERIOD
    cells = detail.reshape(count, colours, down, PERIOD, across, PERIOD)
    number = down * across
    all_pairs = cells.mean((2, 4)).square().mean((1, 2, 3))  # of each image
    same = detail.square().mean((1, 2, 3))
    return F.relu((number * all_pairs - same) / (number - 1)).mean()


def _shifted(*images: Tensor, precision: torch.dtype) -> list[Tensor]:
    """Cut the first rows and columns [0, SHIFTS) off images of 0..1, the same from all of them."""
    y, x = torch.randint(SHIFTS, (2,)).tolist()
    cut = [image[:, :, y:, x:].to(precision) for image in images]
    return [image.contiguous(memory_format=torch.channels_last) for image in cut]
