"""The networks of the context model while they are fitted, in floats that are rounded late.

They compute what `titokzip.entropy.integer_network` computes. In the last part of a fit weights
and activations are rounded as integers will be, with gradients as if they were not.

n rows, I inputs, E classes of bands, H hidden units, K hidden units of the second layer.
"""

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

HIDDEN, SECOND, FLAG_HIDDEN = 64, 24, 16  # H, K, hidden units for flags
STEP_CENTRE, SIZE_CENTRE = 176, 128  # of the conditions, as in integer_network
STEP_SCALE, SIZE_SCALE = 24, 16
INPUT_SCALE: Final = 16  # inputs are integers, in sixteenths
WEIGHT_SCALE, WEIGHT_LIMIT = 64, 127  # weights are integers, in 64ths
HIDDEN_SCALE, HIDDEN_LIMIT = 32, 255
LOGIT_SCALE, LOGIT_LIMIT = 16, 192
SPREAD: Final = 0.75  # of the logistic distribution of size classes
_LN2 = 0.6931


class Layers(nn.Module):
    """What both networks share: the first layer under conditions, and rounding."""

    hard = False  # rounds as integers will be

    def __init__(self, inputs: int, classes: int, hidden: int, seed: int, spread: float) -> None:
        super().__init__()
        self.random = torch.Generator().manual_seed(seed)
        self.first = self.drawn(spread, hidden, inputs)
        biases = torch.randn(classes, hidden, generator=self.random) * 0.1
        self.conditions = nn.Parameter(torch.cat([biases, torch.zeros(classes, 2 * hidden)], 1))

    def drawn(self, spread: float, *shape: int) -> nn.Parameter:
        """Draw a parameter."""
        return nn.Parameter(torch.randn(*shape, generator=self.random) * spread)

    def weights(self, parameter: Tensor) -> Tensor:
        """Round weights, if it is time."""
        if not self.hard:
            return parameter
        rounded = (parameter * WEIGHT_SCALE).round().clamp(-WEIGHT_LIMIT, WEIGHT_LIMIT)
        return _through(parameter, rounded / WEIGHT_SCALE)

    def activated(self, sums: Tensor) -> Tensor:
        """Clamp activations, and round them down if it is time."""
        clamped = sums.clamp(0, HIDDEN_LIMIT / HIDDEN_SCALE)
        if not self.hard:
            return clamped
        return _through(clamped, (clamped * HIDDEN_SCALE).floor() / HIDDEN_SCALE)

    def logits(self, sums: Tensor) -> Tensor:
        """Clamp logits, and round them to the middles of sixteenths if it is time."""
        clamped = sums.clamp(-(LOGIT_LIMIT - 1) / LOGIT_SCALE, (LOGIT_LIMIT - 1) / LOGIT_SCALE)
        if not self.hard:
            return clamped
        return _through(clamped, ((clamped * LOGIT_SCALE).floor() + 0.5) / LOGIT_SCALE)

    def hidden(self, inputs: Tensor, conditions: Tensor) -> Tensor:
        """Give the activations [n, H] of the first layer."""
        chosen = F.embedding(conditions[:, 0].long(), self.conditions)
        bias, of_step, of_size = chosen.chunk(3, dim=1)
        step = (conditions[:, 1:2].float() - STEP_CENTRE) / STEP_SCALE
        size = (conditions[:, 2:3].float() - SIZE_CENTRE) / SIZE_SCALE
        sums = (inputs.float() / INPUT_SCALE) @ self.weights(self.first).T
        return self.activated(sums + bias + of_step * step + of_size * size)


class CellNetwork(Layers):
    """Logits [n, 4] of magnitudes: nonzero, above 1, above 2, and where size classes lie."""

    # How it is fitted: peak rate, momenta, the share of steps from which it rounds, the norm that
    # gradients are clipped to, the decay of conditions, the most that a row weighs.
    rate, momenta, hard_from, clip, decay, most_weight = 5e-3, (0.9, 0.98), 0.55, 1.0, 1e-6, 30.0

    def __init__(self, inputs: int, classes: int, seed: int = 0) -> None:
        super().__init__(inputs, classes, HIDDEN, seed, 0.12)
        self.second = self.drawn(0.15, SECOND, HIDDEN)
        self.second_bias = nn.Parameter(torch.full((SECOND,), 0.1))
        self.last = self.drawn(0.2, 4, SECOND)
        self.last_bias = nn.Parameter(torch.tensor([-1.0, -1, -1, -4]))

    def forward(self, inputs: Tensor, conditions: Tensor) -> Tensor:
        """Predict rows [n, I] under conditions [n, 3]."""
        hidden = self.hidden(inputs, conditions)
        second = self.activated(hidden @ self.weights(self.second).T + self.second_bias)
        return self.logits(second @ self.weights(self.last).T + self.last_bias)

    def nats(self, logits: Tensor, magnitudes: Tensor) -> Tensor:
        """Give the cost [n] of magnitudes and their signs."""
        zero, one, two = logits[:, 0], logits[:, 1], logits[:, 2]
        cost = torch.where(magnitudes > 0, F.softplus(-zero) + _LN2, F.softplus(zero))
        cost = cost + (magnitudes > 1) * F.softplus(-one) + (magnitudes == 1) * F.softplus(one)
        cost = cost + (magnitudes > 2) * F.softplus(-two) + (magnitudes == 2) * F.softplus(two)
        large = (magnitudes > 2).nonzero()[:, 0]
        if not len(large):
            return cost
        return cost.index_add(0, large, size_nats(logits[large, 3], magnitudes[large]))


class FlagNetwork(Layers):
    """The logit [n] of a band that it is not empty."""

    rate, momenta, hard_from, clip, decay = 1e-2, (0.9, 0.999), 0.6, float("inf"), 1e-5
    most_weight = float("inf")

    def __init__(self, inputs: int, classes: int, seed: int = 3) -> None:
        super().__init__(inputs, classes, FLAG_HIDDEN, seed, 0.15)
        self.last = self.drawn(0.2, FLAG_HIDDEN)
        self.last_bias = nn.Parameter(torch.zeros(()))

    def forward(self, inputs: Tensor, conditions: Tensor) -> Tensor:
        """Predict rows [n, I] under conditions [n, 3]."""
        hidden = self.hidden(inputs, conditions)
        return self.logits(hidden @ self.weights(self.last) + self.last_bias)

    def nats(self, logits: Tensor, coded: Tensor) -> Tensor:
        """Give the cost [n] of flags."""
        return torch.where(coded > 0, F.softplus(-logits), F.softplus(logits))


def location(logits: Tensor) -> Tensor:
    """Give the middle of the distribution of size classes, in classes, of a fourth logit."""
    return 2 * logits + 10


def size_nats(logits: Tensor, magnitudes: Tensor) -> Tensor:
    """Give the cost [n] of size classes of magnitudes above 2, and of the bits within them.

    The distribution is a logistic one over the numbers of classes, two an octave.
    """
    rest = (magnitudes - 1).double()
    octave = torch.log2(rest + 0.01).floor()
    number = (2 * (octave - 1) + (rest / 2 ** (octave - 1)).floor() - 2).float()
    middle = location(logits)
    above = torch.sigmoid((number + 0.5 - middle) / SPREAD)
    below = torch.sigmoid((number - 0.5 - middle) / SPREAD)
    share = above - torch.where(number > 0, below, torch.zeros_like(below))
    return -torch.log(share.clamp(min=1e-7)) + (octave - 1).float() * _LN2


def _through(exact: Tensor, rounded: Tensor) -> Tensor:
    """Give rounded values, with the gradient of the exact ones."""
    return exact + (rounded - exact).detach()
