"""The loss of the perceptual variant: squared errors and LPIPS over VGG16.

LPIPS sees the image at twice the working size where the photo has it, else the working image.

B crops, S pixels a side.
"""

from typing import Final

import torch
from torch import Tensor

from titokzip.tokenizers.embedded.network import RefinementNetwork
from titokzip.training.embedded.batches import Batch
from titokzip.training.embedded.objective import loss_of
from titokzip.training.losses.lpips import LPIPS

WEIGHT: Final = 2.0  # of LPIPS, whose values are about a half
STAGES: Final = 4  # of VGG16's five; a position of the last sees more than a crop


class Perceptual:
    """The loss around a frozen network."""

    def __init__(self, lpips: LPIPS) -> None:
        """Take LPIPS over VGG16; it is cut to its first stages, frozen and converted."""
        lpips.stages, lpips.heads = lpips.stages[:STAGES], lpips.heads[:STAGES]
        lpips.requires_grad_(False).to(torch.bfloat16)
        self.lpips = lpips.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def loss_of(self, network: RefinementNetwork, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """Give the loss of a batch, and its parts."""
        refined = network(batch.decoded, batch.step, batch.size)
        error = loss_of(refined, batch)
        double = batch.has_double
        pairs = (
            (refined.double[double], batch.double),
            (refined.working[~double], batch.original[~double]),
        )
        distance = error.new_zeros(())
        for decoded, original in pairs:
            if len(decoded):
                share = len(decoded) / len(batch.decoded)
                distance = distance + share * self.lpips(*map(_converted, (decoded, original)))
        parts = {"error": float(error.detach()), "lpips": float(distance.detach())}
        return error + WEIGHT * distance, parts


def _converted(images: Tensor) -> Tensor:
    """Convert images of 0..255 to 0..1, in the precision of the network."""
    return (images / 255).to(torch.bfloat16).contiguous(memory_format=torch.channels_last)
