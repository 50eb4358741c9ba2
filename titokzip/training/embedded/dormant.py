"""Units of the decoder network that never fire, and how they are made anew.

A rectified unit that is negative wherever it looks has no gradient, so it stays as it is for good.
Muon moves every unit as far as every other, also those of little use, and one after another drifts
there. Such a unit is recycled as ReDo does (Sokar et al. 2023, arXiv:2302.12902): its incoming
weights are drawn anew and its outgoing ones are zero, so the network computes what it did.

B crops, C channels.
"""

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from titokzip.tokenizers.embedded.network import RefinementNetwork, ResidualBlock
from titokzip.training.embedded.batches import Batch


@dataclass
class Activity:
    """What a residual block has seen; its methods are hooks."""

    peaks: Tensor  # [C], the largest value of every hidden unit, 0 if it never fired
    square: float = 0.0  # of its input, the mean of the latest

    @property
    def dormant(self) -> Tensor:
        """Which hidden units never fired, bool [C]."""
        return self.peaks <= 0

    def entered(self, _: nn.Module, given: tuple[Tensor, ...]) -> None:
        """See what enters the block."""
        self.square = float(given[0].float().square().mean())

    def fired(self, _: nn.Module, given: tuple[Tensor, ...]) -> None:
        """See what its hidden units give."""
        self.peaks = torch.maximum(self.peaks, given[0].amax((0, 2, 3)))


@torch.no_grad()
def watch(network: RefinementNetwork, batches: Iterable[Batch]) -> dict[ResidualBlock, Activity]:
    """Run a network over batches, and give what its blocks have seen."""
    found: dict[ResidualBlock, Activity] = {}
    with ExitStack() as hooks:
        for block in network.modules():
            if isinstance(block, ResidualBlock):
                weight = block.first.weight
                activity = found[block] = Activity(weight.new_zeros(len(weight)))
                hooks.enter_context(block.register_forward_pre_hook(activity.entered))
                hooks.enter_context(block.second.register_forward_pre_hook(activity.fired))
        for batch in batches:
            network(batch.decoded, batch.step, batch.size)
    return found


@torch.no_grad()
def recycle(network: RefinementNetwork, batches: Iterable[Batch]) -> int:
    """Make the units anew that fire nowhere in some batches; give their number.

    On these batches the network computes what it did.
    """
    count = 0
    for block, activity in watch(network, batches).items():
        dormant, weight = activity.dormant, block.first.weight
        deviation = (2 / (weight[0].numel() * max(activity.square, 1e-6))) ** 0.5
        weight[dormant] = deviation * torch.randn_like(weight[dormant])
        for parameter in (block.first.bias, block.condition.weight, block.condition.bias):
            if parameter is not None:
                parameter[dormant] = 0
        block.second.weight[:, dormant] = 0
        count += int(dormant.sum())
    return count
