"""ConvNeXt-S (Liu et al. 2022, arXiv:2201.03545), named as torchvision's weights name it.

Only its logits are compared, as TiTok's perceptual loss does.
"""

from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

DEPTHS: Final = (3, 3, 27, 3)  # blocks of each stage
WIDTHS: Final = (96, 192, 384, 768)
CLASSES: Final = 1000
_EPSILON = 1e-6


class LayerNorm2d(nn.LayerNorm):
    """A layer norm over the channels of maps."""

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, h, w] to the same shape."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Block(nn.Module):
    """A depthwise convolution and two maps of every position, beside a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.block = nn.ModuleDict(
            {
                "0": nn.Conv2d(width, width, 7, padding=3, groups=width),
                "2": nn.LayerNorm(width, eps=_EPSILON),
                "3": nn.Linear(width, 4 * width),
                "5": nn.Linear(4 * width, width),
            }
        )
        self.layer_scale = nn.Parameter(torch.ones(width, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, width, h, w] to the same shape."""
        y = self.block["2"](self.block["0"](x).permute(0, 2, 3, 1))
        y = self.block["5"](F.gelu(self.block["3"](y)))
        mixed: Tensor = x + self.layer_scale * y.permute(0, 3, 1, 2)
        return mixed


class ConvNeXt(nn.Module):
    """Images [B, 3, H, W], normalized, to logits [B, classes]; the defaults are ConvNeXt-S."""

    def __init__(
        self,
        depths: tuple[int, ...] = DEPTHS,
        widths: tuple[int, ...] = WIDTHS,
        classes: int = CLASSES,
    ) -> None:
        super().__init__()
        first, last = widths[0], widths[-1]
        layers: list[nn.Module] = [
            nn.Sequential(nn.Conv2d(3, first, 4, stride=4), LayerNorm2d(first, eps=_EPSILON))
        ]
        for stage, (depth, width) in enumerate(zip(depths, widths, strict=True)):
            layers.append(nn.Sequential(*(Block(width) for _ in range(depth))))
            if stage < len(depths) - 1:
                norm = LayerNorm2d(width, eps=_EPSILON)
                layers.append(nn.Sequential(norm, nn.Conv2d(width, widths[stage + 1], 2, stride=2)))
        self.features = nn.Sequential(*layers)
        head = {"0": LayerNorm2d(last, eps=_EPSILON), "2": nn.Linear(last, classes)}
        self.classifier = nn.ModuleDict(head)

    def forward(self, images: Tensor) -> Tensor:
        """Classify images."""
        pooled = self.features(images).mean(dim=(2, 3), keepdim=True)
        logits: Tensor = self.classifier["2"](self.classifier["0"](pooled).flatten(1))
        return logits
