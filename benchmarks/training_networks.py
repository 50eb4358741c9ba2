"""Write small networks as the TorchScript files that `titokzip train` takes.

    python benchmarks/training_networks.py NETWORKS OUT [--bfloat16]

NETWORKS is a folder with the weights and loaders networks.py names: SqueezeNet 1.1 and TAEF2.
OUT gets `squeezenet.pt`, a perceptual distance for --perceptual, and `taef2.pt`, an autoencoder of
32 channels at an eighth for --autoencoder. Nothing that was trained by them is measured by them.
With --bfloat16 the autoencoder encodes in bfloat16, a fifth of the time on a processor that has
matrix units for it; its latents move by a hundredth of their deviation.
"""

import argparse
import copy
import importlib.util
import sys
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

SIDE = 128  # of the images that are traced with; others go through as well


class Distance(nn.Module):
    """How far apart two batches are for SqueezeNet: its maps, each position of unit length."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor, others: Tensor) -> Tensor:
        """Compare images [B, 3, H, W] in 0..1."""
        total = images.new_zeros(())
        for a, b in zip(self.network.feats(255 * images), self.network.feats(255 * others),
                        strict=True):  # fmt: skip
            total = total + (unit(a) - unit(b)).square().sum(dim=1).mean()
        return total / 7


class Autoencoder(nn.Module):
    """TAEF2, pixels in 0..1."""

    def __init__(self, network: Any, bfloat16: bool = False) -> None:
        super().__init__()
        self.network = self.encoder = network
        self.dtype = torch.float32
        if bfloat16:
            self.dtype = torch.bfloat16
            self.encoder = copy.deepcopy(network).to(self.dtype, memory_format=torch.channels_last)

    def encode(self, pixels: Tensor) -> Tensor:
        pixels = pixels.to(self.dtype, memory_format=torch.channels_last)
        return self.encoder.encode(pixels).float().contiguous()

    def decode(self, latents: Tensor) -> Tensor:
        return self.network.decode(latents)


def unit(maps: Tensor) -> Tensor:
    maps = maps.float()
    return maps / (maps.square().sum(dim=1, keepdim=True) + 1e-8).sqrt()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("networks", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--bfloat16", action="store_true")
    args = parser.parse_args()
    spec = importlib.util.spec_from_file_location("networks", args.networks / "networks.py")
    assert spec is not None
    assert spec.loader is not None
    networks = importlib.util.module_from_spec(spec)
    sys.modules["networks"] = networks
    spec.loader.exec_module(networks)
    args.out.mkdir(parents=True, exist_ok=True)
    images = torch.rand(2, 3, SIDE, SIDE)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        distance = Distance(networks.SqueezeNet11()).eval()
        torch.jit.trace(distance, (images, images.flip(0))).save(str(args.out / "squeezenet.pt"))
        autoencoder = Autoencoder(networks.TAEF2(), args.bfloat16).eval()
        inputs = {"encode": images, "decode": autoencoder.encode(images)}
        torch.jit.trace_module(autoencoder, inputs).save(str(args.out / "taef2.pt"))


if __name__ == "__main__":
    main()
