"""How the decoder network runs: on an image at once, or in windows whose results are the same.

A window carries a halo as wide as the network sees, so that no window can be told from the picture.
"""

from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from titokzip.errors import ModelError
from titokzip.runtime import precision
from titokzip.runtime.device import choose
from titokzip.runtime.fork import survive_forks
from titokzip.tokenizers.embedded.network import RefinementNetwork
from titokzip.tokenizers.embedded.quantizer import step_size

WINDOW: Final = 768  # pixels along a window of a large image
HALO: Final = 128  # pixels around it; a multiple of eight, and more than the network sees

Channels = NDArray[np.float32]


class Refiner:
    """The decoder network on a device; channels in, channels out."""

    def __init__(self, network: RefinementNetwork, device: str, dtype: torch.dtype) -> None:
        self.device, self.dtype, self.config = device, dtype, network.config
        self.network = network.to(device, dtype).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.inference_mode()
    def __call__(self, channels: Channels, step: int, double: bool = False) -> Channels:
        """Refine channels [3, H, W], multiples of eight, decoded at a step index.

        With `double`, the result has twice the size: [3, 2 H, 2 W].

        Raises:
            ModelError: the network's values are not finite.
        """
        pixels = torch.from_numpy(channels.astype(np.float32))[None].to(self.device)
        scale = 2 if double else 1
        height, width = pixels.shape[2:]
        conditions = self._conditions(step, height * width)
        refined = pixels.new_empty(3, scale * height, scale * width)
        for top in range(0, height, WINDOW):
            for left in range(0, width, WINDOW):
                part = self._window(pixels, top, left, conditions, double)
                bottom, right = scale * top + part.shape[1], scale * left + part.shape[2]
                refined[:, scale * top : bottom, scale * left : right] = part
        found: Channels = refined.cpu().numpy()
        if not np.isfinite(found).all():
            raise ModelError("the decoder gives values that are not finite: it is damaged")
        return found

    def _conditions(self, step: int, pixels: int) -> tuple[Tensor, Tensor]:
        """Give log2 of the step, and half of log2 of the pixels of the whole working image."""
        values = np.log2(step_size(step)), np.log2(pixels) / 2
        return tuple(torch.tensor([float(v)], device=self.device) for v in values)  # type: ignore[return-value]

    def _window(self, pixels: Tensor, top: int, left: int, conditions: Any, double: bool) -> Tensor:
        """Refine one window, and cut its halo off: [3, h, w]."""
        above, before = min(top, HALO), min(left, HALO)
        rows = slice(top - above, top + WINDOW + HALO)
        columns = slice(left - before, left + WINDOW + HALO)
        with precision.tf32(False):
            found = self.network(pixels[:, :, rows, columns], *conditions)
        scale = 2 if double else 1
        part = (found.double if double else found.working)[0].float()
        own: Tensor = part[:, scale * above :, scale * before :]
        return own[:, : scale * WINDOW, : scale * WINDOW]


def load_refiner(
    network: RefinementNetwork, device: str, precision_name: str, compiled: bool
) -> Refiner:
    """Place a network on a device, in a precision; compiled for bulk work."""
    survive_forks()
    device = choose(device)
    refiner = Refiner(network, device, precision.resolve(precision_name, device))
    if compiled:
        refiner.network.compile()
    return refiner
