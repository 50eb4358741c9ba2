"""The perceptual loss: how far apart two images are for frozen networks, read from files."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from titokzip.errors import ModelError
from titokzip.tokenizers.torchscript import read_script
from titokzip.tokenizers.weights_file import read_state_dict
from titokzip.training.losses.convnext import ConvNeXt
from titokzip.training.losses.lpips import LPIPS
from titokzip.training.recipe import Files

MEAN: Final = (0.485, 0.456, 0.406)  # of ImageNet's pixels
DEVIATION: Final = (0.229, 0.224, 0.225)
SIDE: Final = 224  # that ConvNeXt sees


@dataclass(frozen=True)
class Perceptual:
    """How much the networks count; those that have no file do not count at all."""

    weight: float = 1.1  # of the loss, beside the squared error
    lpips: float = 1.0  # shares of the loss, which is the weighted average of its networks
    convnext: float = 0.1
    network: float = 1.0  # any TorchScript


class PerceptualLoss(nn.Module):
    """The weighted average of the distances that networks measure, a scalar."""

    def __init__(self, networks: Mapping[str, tuple[float, nn.Module]]) -> None:
        """Take networks by name, each with its share; those of no share are left out."""
        super().__init__()
        counting = {name: pair for name, pair in networks.items() if pair[0]}
        self.shares = {name: share for name, (share, _) in counting.items()}
        self.networks = nn.ModuleDict({name: network for name, (_, network) in counting.items()})
        for network in self.networks.values():
            network.eval()
        for parameter in self.parameters():
            parameter.requires_grad_(False)

    def forward(self, images: Tensor, others: Tensor) -> Tensor:
        """Measure how far apart images [B, 3, H, W] in 0..1 are."""
        total = images.new_zeros(())
        for name, network in self.networks.items():
            total = total + self.shares[name] * network(images, others).mean()
        return total / sum(self.shares.values())

    def train(self, mode: bool = True) -> Self:
        """Stay as it is: networks that measure do not learn."""
        return self


def from_files(how: Perceptual, files: Files) -> PerceptualLoss | None:
    """Make the perceptual loss of a recipe; None if it has no weight.

    Raises:
        ModelError: no network is given, or a file is not what it should be.
    """
    if not how.weight:
        return None
    networks: dict[str, tuple[float, nn.Module]] = {}
    if files.vgg16:
        heads = read_state_dict(Path(files.lpips)) if files.lpips else {}
        networks["lpips"] = (how.lpips, LPIPS.of(read_state_dict(Path(files.vgg16)), heads))
    if files.convnext:
        networks["convnext"] = (how.convnext, LogitDistance.of(Path(files.convnext)))
    if files.perceptual:
        networks["network"] = (how.network, read_script(Path(files.perceptual)))
    loss = PerceptualLoss(networks)
    if not loss.shares:
        raise ModelError(
            "a perceptual loss needs a network: VGG16 with the heads of LPIPS, ConvNeXt-S or a"
            " TorchScript file; or set losses.perceptual.weight to 0"
        )
    return loss


class LogitDistance(nn.Module):
    """The mean squared difference of a classifier's logits."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None])
        self.register_buffer("deviation", torch.tensor(DEVIATION)[:, None, None])

    def forward(self, images: Tensor, others: Tensor) -> Tensor:
        """Compare images [B, 3, H, W] in 0..1."""
        return F.mse_loss(self._logits(images), self._logits(others))

    def _logits(self, images: Tensor) -> Tensor:
        seen = F.interpolate(images, (SIDE, SIDE), mode="bilinear", antialias=True)
        logits: Tensor = self.network((seen - self.mean) / self.deviation)
        return logits.float()

    @classmethod
    def of(cls, path: Path) -> "LogitDistance":
        """Build it around torchvision's ConvNeXt-S weights.

        Raises:
            ModelError: they are another network's.
        """
        with torch.device("meta"):
            network = ConvNeXt()
        try:
            network.load_state_dict(read_state_dict(path), assign=True)
        except RuntimeError as error:
            raise ModelError(f"{path}: not the weights of torchvision's ConvNeXt-S") from error
        return cls(network)
