"""LPIPS, ST-LPIPS and DISTS in plain torch, from the published weights but without torchvision.

Each is in two steps, features of an image and a comparison of features, so that the original's are
computed once for all codecs. Images are [1, 3, H, W] in 0..1.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from titokzip.errors import ModelError

State = dict[str, Tensor]
Features = list[Tensor]
# Layers: torchvision's index, stride, padding, and whether a pooling comes before it.
ALEXNET = ((0, 4, 2, False), (3, 1, 2, True), (6, 1, 1, True), (8, 1, 1, False), (10, 1, 1, False))
VGG16 = tuple(
    (index, 1, 1, index in (5, 10, 17, 24))
    for index in (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
)
_VGG_TAPS = (2, 7, 14, 21, 28)  # the last convolution of each of its five stages
_ST_LAYERS = ("slice1.0", "slice2.5", "slice3.9", "slice4.11", "slice5.13")
Layers = list[tuple[int, Tensor, Tensor, int, int, bool]]


def convolutions(state: State, table: Sequence[tuple[int, int, int, bool]]) -> Layers:
    """Take the convolutions of a table out of torchvision's state dictionary.

    Raises:
        ModelError: they are of another network.
    """
    keys = [f"features.{row[0]}.{kind}" for row in table for kind in ("weight", "bias")]
    _expect(state, keys)
    return [
        (i, state[f"features.{i}.weight"], state[f"features.{i}.bias"], stride, pad, pool)
        for i, stride, pad, pool in table
    ]


def alexnet_features(layers: Layers, x: Tensor) -> Features:
    """Compute AlexNet's five feature maps as LPIPS takes them, of unit length at each place."""
    x, maps = _scaled(x), []
    for _, weight, bias, stride, pad, pool in layers:
        if pool:
            x = F.max_pool2d(x, 3, 2)
        x = F.relu(F.conv2d(x, weight, bias, stride, pad))
        maps.append(_unit(x))
    return maps


def vgg_features(layers: Layers, x: Tensor) -> Features:
    """Compute VGG16's five feature maps as LPIPS takes them, of unit length at each place."""
    maps = _vgg_maps(layers, _scaled(x), lambda x: F.max_pool2d(x, 2, 2))
    return [_unit(one) for one in maps]


def st_lpips_layers(state: State) -> list[tuple[Tensor, Tensor]]:
    """Take the convolutions out of the weights of ST-LPIPS' AlexNet.

    Raises:
        ModelError: they are of another network.
    """
    keys = [f"net.{layer}.{kind}" for layer in _ST_LAYERS for kind in ("weight", "bias")]
    _expect(state, [*keys, "lin0.model.1.weight"])
    return [(state[f"net.{n}.weight"], state[f"net.{n}.bias"]) for n in _ST_LAYERS]


def st_lpips_features(layers: list[tuple[Tensor, Tensor]], x: Tensor) -> Features:
    """Compute the feature maps of the shift-tolerant AlexNet (Ghildyal and Liu, ECCV 2022)."""
    x, maps = _scaled(x), []
    for i, (weight, bias) in enumerate(layers):
        if i in (1, 2):
            x = _blurred(F.max_pool2d(x, 3, 1))
        x = F.conv2d(x, weight, bias, padding=2 if i < 2 else 1)
        x = F.relu(_blurred(x) if i == 0 else x)
        maps.append(_unit(x))
    return maps


def lpips(heads: Sequence[Tensor], x: Features, y: Features) -> Tensor:
    """Compare feature maps by learned weights [1, C, 1, 1] (Zhang et al., CVPR 2018, v0.1)."""
    total = x[0].new_zeros(())
    for a, b, head in zip(x, y, heads, strict=True):
        total = total + F.conv2d((a - b).square(), head).mean()
    return total


def dists_features(layers: Layers, x: Tensor) -> Features:
    """Compute what DISTS compares: the image itself and VGG16's maps, pooled without aliasing."""
    mean = x.new_tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    deviation = x.new_tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    return [x, *_vgg_maps(layers, (x - mean) / deviation, _hanning_pool)]


def dists(mix: State, x: Features, y: Features) -> Tensor:
    """Compare the structure and texture of feature maps (Ding et al., TPAMI 2020)."""
    widths = [a.shape[1] for a in x]
    total = mix["alpha"].sum() + mix["beta"].sum()
    alphas, betas = (torch.split(mix[key].view(-1) / total, widths) for key in ("alpha", "beta"))
    likeness = x[0].new_zeros(())
    for one, other, alpha, beta in zip(x, y, alphas, betas, strict=True):
        a, b = one[0].flatten(1), other[0].flatten(1)
        ma, mb = a.mean(1), b.mean(1)
        va, vb = ((v - m[:, None]).square().mean(1) for v, m in ((a, ma), (b, mb)))
        covariance = (a * b).mean(1) - ma * mb
        likeness = likeness + (alpha * (2 * ma * mb + 1e-6) / (ma**2 + mb**2 + 1e-6)).sum()
        likeness = likeness + (beta * (2 * covariance + 1e-6) / (va + vb + 1e-6)).sum()
    return 1 - likeness


def _expect(state: State, keys: Sequence[str]) -> None:
    missing = [key for key in keys if key not in state]
    if missing:
        raise ModelError(f"not the published weights: {missing[0]} is not in there")


def _scaled(x: Tensor) -> Tensor:
    """Normalize as LPIPS does, after bringing 0..1 to -1..1."""
    mean = x.new_tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1)
    deviation = x.new_tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1)
    return (2 * x - 1 - mean) / deviation


def _unit(x: Tensor) -> Tensor:
    return x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10)


def _vgg_maps(layers: Layers, x: Tensor, pooled: Callable[[Tensor], Tensor]) -> Features:
    maps = []
    for index, weight, bias, stride, pad, pool in layers:
        if pool:
            x = pooled(x)
        x = F.relu(F.conv2d(x, weight, bias, stride, pad))
        if index in _VGG_TAPS:
            maps.append(x)
    return maps


def _hanning_pool(x: Tensor) -> Tensor:
    """Pool by the root of blurred squares, which does not alias."""
    window = torch.hann_window(5, periodic=False, dtype=x.dtype, device=x.device)[1:-1]
    kernel = torch.outer(window, window)
    kernel = (kernel / kernel.sum()).expand(x.shape[1], 1, 3, 3)
    return (F.conv2d(x.square(), kernel, stride=2, padding=1, groups=x.shape[1]) + 1e-12).sqrt()


def _blurred(x: Tensor) -> Tensor:
    """Blur with a binomial window of three, and keep every second place."""
    window = x.new_tensor([0.25, 0.5, 0.25])
    kernel = torch.outer(window, window).expand(x.shape[1], 1, 3, 3)
    return F.conv2d(F.pad(x, (2, 2, 2, 2), mode="reflect"), kernel, stride=2, groups=x.shape[1])
