"""Make TorchScript files of a small MobileNetV2, for machines that have no Inception or AlexNet.

    python benchmarks/mobilenet.py TEACHERS_FOLDER OUT_FOLDER

mobilenetv2.pt is for `titokzip bench --features`: 1,280 pooled features of pictures resized to 224.
mobilenetv2-maps.pt is for `--perceptual`: squared gaps between unit feature vectors, averaged over
places and summed over six layers, as LPIPS does but with no weights learned from people.
Neither is FID or LPIPS, and both are named so in results.
"""

import importlib.util
import sys
import warnings
from pathlib import Path

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


class Gap(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        total = torch.zeros(())
        for maps in self.network.feats(2 * torch.cat([x, y]) - 1):  # at once: a third faster
            unit = maps / (maps.square().sum(1, keepdim=True) + 1e-10).sqrt()
            total = total + (unit[0] - unit[1]).square().sum(0).mean()
        return total


def main() -> None:
    teachers, out = Path(sys.argv[1]), Path(sys.argv[2])
    spec = importlib.util.spec_from_file_location("teachers", teachers / "teachers.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network = module.MobileNetV2().eval()
    out.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")
    one, other = torch.rand(2, 1, 3, 160, 192)
    torch.jit.trace(Pooled(network), (one * 255).byte()).save(str(out / "mobilenetv2.pt"))
    torch.jit.trace(Gap(network), (one, other)).save(str(out / "mobilenetv2-maps.pt"))


if __name__ == "__main__":
    main()
