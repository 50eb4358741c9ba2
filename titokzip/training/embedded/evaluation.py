"""What the network gains over the transform alone, on held-out images."""

from collections.abc import Callable
from typing import Final

import numpy as np
import torch
from torch import Tensor

from titokzip.tokenizers.embedded.network import RefinementNetwork, enlarged
from titokzip.training.embedded.batches import conditions, evenly, to_tensor
from titokzip.training.embedded.parts import Items, Record

FINE: Final = 80.0  # steps below are those of large files
_FLOOR = 0.3  # squared levels, under every error: a PSNR is at most 53 dB


def _usual(record: Record) -> bool:
    return record.is_photo and record.step >= FINE


_TWICE: Final = "photos at twice the working size"
GROUPS: Final[dict[str, Callable[[Record], bool]]] = {
    "photos, short side below 80": lambda r: _usual(r) and min(r.h, r.w) < 80,
    "photos, short side 80 to 160": lambda r: _usual(r) and 80 <= min(r.h, r.w) < 160,
    "photos, short side 160 or more": lambda r: _usual(r) and min(r.h, r.w) >= 160,
    "photos, fine steps": lambda r: r.is_photo and r.step < FINE,
    "graphics": lambda r: not r.is_photo,
    _TWICE: lambda r: _usual(r) and r.double is not None,
}


@torch.inference_mode()
def gains(network: RefinementNetwork, items: Items, count: int) -> dict[str, float]:
    """Give mean gains in PSNR (dB) over groups of `count` items.

    At twice the working size they are gains over the decoded image enlarged by a cubic filter.
    """
    device = network.colours.weight.device
    found: dict[str, list[float]] = {group: [] for group in GROUPS}
    for record in evenly(items, count):
        original, decoded = (to_tensor(i)[None].to(device) for i in items.images(record))
        step, size = (torch.tensor([value], device=device) for value in conditions(record))
        refined = network(decoded, step, size)
        gain = psnr(refined.working, original) - psnr(decoded, original)
        for group, belongs in GROUPS.items():
            if belongs(record) and group != _TWICE:
                found[group].append(gain)
        if GROUPS[_TWICE](record):
            double = to_tensor(items.double(record))[None].to(device)
            found[_TWICE].append(psnr(refined.double, double) - psnr(enlarged(decoded), double))
    return {group: round(float(np.mean(values)), 4) for group, values in found.items() if values}


def psnr(image: Tensor, original: Tensor) -> float:
    """Give the PSNR (dB) of images 0 to 255, at most 53."""
    error = (image.clamp(0, 255) - original).square().mean().item()
    return float(10 * np.log10(255**2 / (error + _FLOOR)))
