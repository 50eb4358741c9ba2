"""LPIPS over VGG16 (Zhang et al. 2018, arXiv:1801.03924), to train by.

Weights are torchvision's VGG16 (`features.0.weight` and so on) and the heads of LPIPS 0.1
(`lin0.model.1.weight`). Nothing that was trained by it should be measured by it.
"""

from collections.abc import Mapping
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from titokzip.errors import ModelError

STAGES: Final = ((64, 64), (128, 128), (256,) * 3, (512,) * 3, (512,) * 3)  # convolutions
SHIFT: Final = (-0.030, -0.088, -0.188)  # of RGB in -1..1
SCALE: Final = (0.458, 0.448, 0.450)
_EPSILON = 1e-20  # inside the root: the gradient of a map of zeros stays finite


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
        total = images.new_zeros(())
        for a, b, head in zip(
            self._features(images), self._features(others), self.heads, strict=True
        ):
            total = total + (head * (_unit(a) - _unit(b)).square()).sum(dim=1).mean()
        return total

    def _features(self, images: Tensor) -> list[Tensor]:
        x = (2 * images - 1 - self.shift) / self.scale
        maps = []
        for i, stage in enumerate(self.stages):
            if i:
                x = F.max_pool2d(x, 2)
            for convolution in stage:  # type: ignore[attr-defined]
                x = F.relu(convolution(x))
            maps.append(x.float())
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


def _unit(maps: Tensor) -> Tensor:
    """Scale every position of maps [B, C, h, w] to unit length."""
    lengths = (maps.square().sum(dim=1, keepdim=True) + _EPSILON).sqrt()
    return maps / (lengths + 1e-10)
