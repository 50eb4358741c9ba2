"""Make TorchScript files of a small MobileNetV2 and of a face descriptor, for `titokzip bench`.

    python benchmarks/mobilenet.py NETWORKS OUT

NETWORKS is a folder with `teachers.py` and `networks.py`, the loaders of the weights beside them.
mobilenetv2.pt is for `--features`: 1,280 pooled features of images resized to 224.
mobilenetv2-maps.pt is for `--perceptual`: squared differences of unit feature vectors, averaged
over places and summed over six layers, as LPIPS does but without weights learned from people.
Neither is FID or LPIPS, and both are named so in results. face.pt is for `--face-network`: dlib's
descriptor of faces of 150 x 150 pixels, 128 numbers.
"""

import importlib.util
import sys
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Pooled(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> Tensor:
        resized = F.interpolate(
            pixels.float(), size=(224, 224), mode="bilinear", align_corners=False, antialias=True
        )
        return self.network(resized / 127.5 - 1)[0]


class MapDistance(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        total = torch.zeros(())
        for maps in self.network.feats(2 * torch.cat([x, y]) - 1):  # at once: a third faster
            unit = maps / (maps.square().sum(1, keepdim=True) + 1e-10).sqrt()
            total = total + (unit[0] - unit[1]).square().sum(0).mean()
        return total


def loaders(folder: Path, name: str) -> Any:
    """Import the loaders of a folder."""
    spec = importlib.util.spec_from_file_location(name, folder / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> None:
    networks, out = Path(sys.argv[1]), Path(sys.argv[2])
    mobilenet = loaders(networks, "teachers").MobileNetV2().eval()
    face = loaders(networks, "networks").FaceDescriptor().eval()
    out.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")
    one, other = torch.rand(2, 1, 3, 160, 192)
    faces = torch.rand(1, 3, 150, 150) * 255
    torch.jit.trace(Pooled(mobilenet), (one * 255).byte()).save(str(out / "mobilenetv2.pt"))
    maps = torch.jit.trace(MapDistance(mobilenet), (one, other))
    maps.save(str(out / "mobilenetv2-maps.pt"))
    torch.jit.trace(face, faces).save(str(out / "face.pt"))


if __name__ == "__main__":
    main()
