"""Units of the decoder network that never fire, and how they are made anew.

A rectified unit that is negative wherever it looks has no gradient, so it stays as it is for good.
Muon moves every unit as far as every other, also those of little use, and one after another drifts
there. Such a unit is recycled as ReDo does (Sokar et al. 2023, arXiv:2302.12902): its incoming
weights are drawn anew and its outgoing ones are zero, so the network computes what it did.

B crops, C channels.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from titokzip.tokenizers.embedded.network import RefinementNetwork, ResidualBlock
from titokzip.training.embedded.batches import Batch


@dataclass
class Activity:
    """What a residual block has seen."""

    peaks: Tensor  # [C], the largest value of every hidden unit, 0 if it never fired
    square: float = 0.0  # of its input, the mean of the latest

    @property
    def dormant(self) -> Tensor:
        """Which hidden units never fired, bool [C]."""
        return self.peaks <= 0


@torch.no_grad()
def watch(network: RefinementNetwork, batches: Iterator[Batch]) -> dict[ResidualBlock, Activity]:
    """Run a network over batches, and give what its blocks have seen."""
    found = {block: Activity(torch.zeros(len(block.first.weight))) for block in _blocks(network)}
    with ExitStack() as hooks:
        for block, activity in found.items():
            hooks.enter_context(_watching(block, activity))
        for batch in batches:
            network(batch.decoded, batch.step, batch.size)
    return found


@torch.no_grad()
def recycle(network: RefinementNetwork, batches: Iterator[Batch]) -> int:
    """Make the units anew that fire nowhere in some batches; give their number.

    On these batches the network computes what it did.
    """
    count = 0
    for block, activity in watch(network, batches).items():
        dormant = activity.dormant.to(block.first.weight.device)
        inputs = block.first.weight[0].numel()
        deviation = (2 / (inputs * max(activity.square, 1e-6))) ** 0.5
        block.first.weight[dormant] = deviation * torch.randn_like(block.first.weight[dormant])
        for parameter in (block.first.bias, block.condition.weight, block.condition.bias):
            if parameter is not None:
                parameter[dormant] = 0
        block.second.weight[:, dormant] = 0
        count += int(dormant.sum())
    return count


def _blocks(network: RefinementNetwork) -> list[ResidualBlock]:
    return [module for module in network.modules() if isinstance(module, ResidualBlock)]


@contextmanager
def _watching(block: ResidualBlock, activity: Activity) -> Iterator[None]:
    def entered(_: nn.Module, given: Any) -> None:
        activity.square = float(given[0].float().square().mean())

    def hidden(_: nn.Module, given: Any) -> None:
        peaks = given[0].float().amax((0, 2, 3)).cpu()
        activity.peaks = torch.maximum(activity.peaks, peaks)

    handles = (
        block.register_forward_pre_hook(entered),
        block.second.register_forward_pre_hook(hidden),
    )
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
