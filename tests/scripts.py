"""TorchScript files of small networks: an autoencoder, a perceptual distance, features."""

import warnings

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Shuffle(nn.Module):
    """An autoencoder that loses nothing: every square of 2 x 2 pixels is a cell of 12 channels."""

    @torch.jit.export
    def encode(self, pixels: Tensor) -> Tensor:
        return F.pixel_unshuffle(pixels, 2) - 0.5

    @torch.jit.export
    def decode(self, cells: Tensor) -> Tensor:
        return F.pixel_shuffle(cells + 0.5, 2)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.decode(self.encode(pixels))


class Distance(nn.Module):
    """The mean absolute difference of blurred images."""

    def forward(self, images: Tensor, others: Tensor) -> Tensor:
        return (F.avg_pool2d(images, 2) - F.avg_pool2d(others, 2)).abs().mean()


class Features(nn.Module):
    """Colours of squares of four pixels, as six channels."""

    def forward(self, images: Tensor) -> Tensor:
        means = F.avg_pool2d(images, 4)
        return torch.cat([means, 1 - means], dim=1)


def write(module, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.script(module).save(str(path))
    return path
