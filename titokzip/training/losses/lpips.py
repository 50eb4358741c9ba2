"""LPIPS over VGG16 (Zhang et al. 2018, arXiv:1801.03924), to train by.

Weights are torchvision's VGG16 (`features.0.weight` and so on) and the heads of LPIPS 0.1
(`lin0.model.1.weight`). Nothing that was trained by it should be measured by it.
"""

from collections.abc import Mapping
from typing import Any, Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from titokzip.errors import ModelError

STAGES: Final = ((64, 64), (128, 128), (256,) * 3, (512,) * 3, (512,) * 3)  # convolutions
SHIFT: Final = (-0.030, -0.088, -0.188)  # of RGB in -1..1
SCALE: Final = (0.458, 0.448, 0.450)
_EPSILON = 1e-20  # inside the root, so that the length of a map of zeros is not 0


class LPIPS(nn.Module):
    """A distance of images [B, 3, H, W] in 0..1, averaged over the batch."""

    shift: Tensor
    scale: Tensor

    def __init__(self, stages: tuple[tuple[int, ...], ...] = STAGES) -> None:
        super().__init__()
        self.register_buffer("shift", torch.tensor(SHIFT)[:, None, None])
        self.register_buffer("scale", torch.tensor(SCALE)[:, None, None])
        self.stages = nn.ModuleList()
        inner = 3
        for widths in stages:
            inputs = (inner, *widths[:-1])
            pairs = zip(inputs, widths, strict=True)
            self.stages.append(nn.ModuleList(nn.Conv2d(i, o, 3, padding=1) for i, o in pairs))
            inner = widths[-1]
        self.heads = nn.ParameterList(torch.ones(1, widths[-1], 1, 1) for widths in stages)

    def forward(self, images: Tensor, others: Tensor) -> Tensor:
        """Measure how far apart two batches are; a scalar."""
        total = torch.zeros((), device=images.device)
        for a, b, head in zip(
            self._features(images), self._features(others), self.heads, strict=True
        ):
            total = total + _Distance.apply(a, b, head)  # type: ignore[no-untyped-call]
        return total

    def _features(self, images: Tensor) -> list[Tensor]:
        x = (2 * images - 1 - self.shift) / self.scale
        maps = []
        for i, stage in enumerate(self.stages):
            if i:
                x = F.max_pool2d(x, 2)
            for convolution in stage:  # type: ignore[attr-defined]
                x = F.relu(convolution(x))
            maps.append(x)
        return maps

    @classmethod
    def of(cls, vgg16: Mapping[str, Tensor], heads: Mapping[str, Tensor]) -> "LPIPS":
        """Build it around the two state dicts.

        Raises:
            ModelError: they are not those of VGG16 and of its heads.
        """
        lpips = cls()
        convolutions = [conv for stage in lpips.stages for conv in stage]  # type: ignore[attr-defined]
        weights = sorted(
            (int(name.split(".")[1]), name.removesuffix(".weight"))
            for name in vgg16
            if name.startswith("features.") and name.endswith(".weight")
        )
        found = [heads.get(f"lin{i}.model.1.weight") for i in range(len(STAGES))]
        try:
            for (_, name), conv in zip(weights, convolutions, strict=True):
                state = {part: vgg16[f"{name}.{part}"] for part in ("weight", "bias")}
                conv.load_state_dict(state)
            for own, given in zip(lpips.heads, found, strict=True):
                own.data.copy_(given)
        except (KeyError, ValueError, RuntimeError, TypeError) as error:
            raise ModelError("not the weights of VGG16 and the heads of LPIPS over it") from error
        return lpips


class _Distance(torch.autograd.Function):
    """The mean weighted squared distance of maps [B, C, h, w] that are scaled to unit length.

    It computes in float32, whatever the maps are in. Its gradient is written out because autograd
    reads and writes the maps three times as often.
    """

    @staticmethod
    def forward(ctx: Any, maps: Tensor, others: Tensor, head: Tensor) -> Tensor:
        units, lengths = zip(*(_unit(one.float()) for one in (maps, others)), strict=True)
        difference = units[0] - units[1]
        weighted = head.float() * difference
        needed = [one.to(maps.dtype) if needs else None
                  for one, needs in zip(units, ctx.needs_input_grad, strict=False)]  # fmt: skip
        ctx.save_for_backward(weighted.to(maps.dtype), *needed, *lengths)
        distance: Tensor = (weighted * difference).sum(dim=1).mean()
        return distance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        weighted, *saved = ctx.saved_tensors
        found: list[Tensor | None] = []
        for sign, unit, length in zip((2, -2), saved[:2], saved[2:], strict=True):
            if unit is None:
                found.append(None)
                continue
            across = weighted - unit * (unit * weighted).sum(dim=1, keepdim=True)
            found.append((across * (sign * gradient / length.numel() / length)).to(unit.dtype))
        return found[0], found[1], None


def _unit(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Scale every position of maps [B, C, h, w] to unit length; gives the lengths [B, 1, h, w]."""
    lengths = (maps.square().sum(dim=1, keepdim=True) + _EPSILON).sqrt() + 1e-10
    return maps / lengths, lengths
