"""Tiny Darknet, a small ImageNet classifier, whose features a perceptual loss compares.

The weights are a .npz of sixteen convolutions named 01_w, 01_b and so on, batch norm folded in.
They are for training only; nothing of them ships. Redmon, https://pjreddie.com/darknet/tiny-darknet
(public domain).
"""

from pathlib import Path
from typing import Final
from zipfile import BadZipFile

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from titokzip.errors import ModelError

SEEN: Final = (1, 2, 6, 10, 14)  # convolutions whose output is compared
POOLED: Final = (1, 2, 6, 10)  # convolutions followed by a 2 x 2 max pooling
_SLOPE = 0.1


class TinyDarknet(nn.Module):
    """The convolutions of Tiny Darknet up to the fourteenth, frozen.

    Raises:
        ModelError: the file is not its weights.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        try:
            with np.load(path, allow_pickle=False) as arrays:
                self.convolutions = nn.ModuleList(
                    _convolution(arrays[f"{i:02d}_w"], arrays[f"{i:02d}_b"])
                    for i in range(1, max(SEEN) + 1)
                )
        except (OSError, EOFError, LookupError, RuntimeError, ValueError, BadZipFile) as error:
            reason = " ".join(str(error).split())
            raise ModelError(f"{path}: not the weights of Tiny Darknet ({reason})") from error
        self.requires_grad_(False)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Map images [B, 3, H, W] in 0..1 to maps at 1, 1/2, 1/4, 1/8 and 1/16 of their size."""
        seen, x = [], images.contiguous(memory_format=torch.channels_last)
        for i, convolution in enumerate(self.convolutions, 1):
            x = F.leaky_relu(convolution(x), _SLOPE)
            if i in SEEN:
                seen.append(x)
            if i in POOLED:
                x = F.max_pool2d(x, 2, ceil_mode=True)
        return seen


def _convolution(weight: NDArray[np.float32], bias: NDArray[np.float32]) -> nn.Conv2d:
    outputs, inputs, side, _ = weight.shape
    layer = nn.Conv2d(inputs, outputs, side, padding="same")
    layer.load_state_dict({"weight": torch.from_numpy(weight), "bias": torch.from_numpy(bias)})
    return layer.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
