"""LPIPS and DISTS in plain torch, from torchvision's weights but without torchvision."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from titokzip.errors import ModelError

State = dict[str, Tensor]
# Layers: torchvision's index, stride, padding, and whether a pooling comes before it.
ALEXNET = ((0, 4, 2, False), (3, 1, 2, True), (6, 1, 1, True), (8, 1, 1, False), (10, 1, 1, False))
VGG16 = tuple(
    (index, 1, 1, index in (5, 10, 17, 24))
    for index in (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
)
_VGG_TAPS = (2, 7, 14, 21, 28)  # the last convolution of each of its five stages
Layers = list[tuple[int, Tensor, Tensor, int, int, bool]]


def convolutions(state: State, table: Sequence[tuple[int, int, int, bool]]) -> Layers:
    """Take the convolutions of a table out of torchvision's state dictionary.

    Raises:
        ModelError: they are of another network.
    """
    keys = [f"features.{row[0]}.{kind}" for row in table for kind in ("weight", "bias")]
    missing = [key for key in keys if key not in state]
    if missing:
        raise ModelError(f"not the weights that torchvision has: {missing[0]} is not in there")
    return [
        (
            index,
            state[f"features.{index}.weight"],
            state[f"features.{index}.bias"],
            stride,
            pad,
            pool,
        )
        for index, stride, pad, pool in table
    ]


def lpips(trunk: Layers, heads: Sequence[Tensor], x: Tensor, y: Tensor) -> Tensor:
    """Learned perceptual distance of AlexNet's features (Zhang et al., CVPR 2018, version 0.1)."""
    mean = x.new_tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1)
    deviation = x.new_tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1)
    x, y = ((2 * image - 1 - mean) / deviation for image in (x, y))
    total = x.new_zeros(())
    for (_, weight, bias, stride, pad, pool), head in zip(trunk, heads, strict=True):
        if pool:
            x, y = F.max_pool2d(x, 3, 2), F.max_pool2d(y, 3, 2)
        x, y = (F.relu(F.conv2d(image, weight, bias, stride, pad)) for image in (x, y))
        gap = (_normed(x) - _normed(y)).square()
        total = total + F.conv2d(gap, head).mean()
    return total


def _normed(x: Tensor) -> Tensor:
    return x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10)


def dists(blocks: Layers, mix: State, x: Tensor, y: Tensor) -> Tensor:
    """Distance of VGG's structure and texture (Ding et al., TPAMI 2020)."""
    pairs = list(zip(_vgg_taps(blocks, x), _vgg_taps(blocks, y), strict=True))
    widths = [a.shape[1] for a, _ in pairs]
    total = mix["alpha"].sum() + mix["beta"].sum()
    alphas, betas = (torch.split(mix[key].view(-1) / total, widths) for key in ("alpha", "beta"))
    likeness = x.new_zeros(())
    for (a, b), alpha, beta in zip(pairs, alphas, betas, strict=True):
        a, b = a[0].flatten(1), b[0].flatten(1)
        ma, mb = a.mean(1), b.mean(1)
        va, vb = ((v - m[:, None]).square().mean(1) for v, m in ((a, ma), (b, mb)))
        covariance = (a * b).mean(1) - ma * mb
        likeness = likeness + (alpha * (2 * ma * mb + 1e-6) / (ma**2 + mb**2 + 1e-6)).sum()
        likeness = likeness + (beta * (2 * covariance + 1e-6) / (va + vb + 1e-6)).sum()
    return 1 - likeness


def _vgg_taps(blocks: Layers, x: Tensor) -> list[Tensor]:
    taps = [x]
    h = (x - x.new_tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)) / x.new_tensor(
        [0.229, 0.224, 0.225]
    ).view(1, 3, 1, 1)
    for index, weight, bias, stride, pad, pool in blocks:
        if pool:
            h = _hanning_pool(h)
        h = F.relu(F.conv2d(h, weight, bias, stride, pad))
        if index in _VGG_TAPS:
            taps.append(h)
    return taps


def _hanning_pool(x: Tensor) -> Tensor:
    """Pool by the root of blurred squares, which does not alias."""
    window = torch.hann_window(5, periodic=False, dtype=x.dtype, device=x.device)[1:-1]
    kernel = torch.outer(window, window)
    kernel = (kernel / kernel.sum()).expand(x.shape[1], 1, 3, 3)
    return (F.conv2d(x.square(), kernel, stride=2, padding=1, groups=x.shape[1]) + 1e-12).sqrt()
