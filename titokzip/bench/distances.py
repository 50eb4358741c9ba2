"""Perceptual distances between two images: LPIPS, DISTS, ST-LPIPS, any network's, and faces'."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from titokzip.bench import perceptual
from titokzip.bench.metrics import Pixels
from titokzip.bench.networks import Files, beside, inside, sha256, state
from titokzip.bench.perceptual import ALEXNET, VGG16, convolutions
from titokzip.errors import ModelError
from titokzip.tokenizers.torchscript import read_script

Box = tuple[int, int, int, int]  # left, top, right, bottom
_FACE_SIDE = 150


@dataclass(frozen=True)
class Distance:
    """A perceptual distance between two images; less is nearer."""

    name: str
    network: str  # whose features it compares
    sha256: tuple[str, ...]  # of its files
    prepare: Callable[[Tensor], Any]  # [1, 3, H, W] in 0..1 to what `compare` takes
    compare: Callable[[Any, Any], Tensor]
    smallest: int = 1  # side of an image that it can measure
    device: str = "cpu"
    boxes: Mapping[str, Box] | None = None  # what it looks at, by image name; None is all

    def measures(self, image: str, pixels: Pixels) -> bool:
        """Tell whether it can measure an image."""
        large = int(min(pixels.shape[:2])) >= self.smallest
        return large and (self.boxes is None or self.box(image) is not None)

    def box(self, image: str) -> Box | None:
        """Find what it looks at of an image, by its name with or without a suffix."""
        boxes = self.boxes or {}
        return boxes.get(image) or boxes.get(Path(image).stem)

    def features(self, image: str, pixels: Pixels) -> Any:
        """Compute what is compared of an image, or of the box in it."""
        if (box := self.box(image)) is not None:
            left, top, right, bottom = box
            pixels = pixels[top:bottom, left:right]
        with torch.inference_mode():
            batch = torch.from_numpy(pixels.copy()).to(self.device).permute(2, 0, 1)[None]
            return self.prepare(batch / 255)

    def between(self, original: Any, decoded: Any) -> float:
        """Compare the features of two images."""
        with torch.inference_mode():
            return float(self.compare(original, decoded))

    def __call__(self, original: Pixels, decoded: Pixels, image: str = "") -> float:
        """Measure one image against its original."""
        return self.between(self.features(image, original), self.features(image, decoded))


def distances(files: Files, device: str = "cpu") -> list[Distance]:
    """Make the perceptual distances whose networks are here, the most quoted first.

    Raises:
        ModelError: a file is missing, or does not fit.
    """
    return list(_distances(files, device))


def _distances(files: Files, device: str) -> Iterator[Distance]:
    if files.alexnet is not None:
        heads, layers = _heads("alex"), convolutions(state(files.alexnet, device), ALEXNET)
        yield _lpips("lpips", "AlexNet", files.alexnet, heads, layers, device)
    if files.vgg16 is not None:
        layers = convolutions(state(files.vgg16, device), VGG16)
        yield _dists(files.vgg16, layers, device)
        yield _lpips("lpips-vgg", "VGG16", files.vgg16, _heads("vgg"), layers, device)
    if (weights := inside("stlpips_pytorch", "weights/vST0.0/alex_shift_tolerant.pth")) is not None:
        yield _st_lpips(weights, device)
    if files.perceptual is not None:
        yield _scripted(files.perceptual, device)
    if files.face_network is not None:
        yield _faces(files.face_network, files.faces, device)


def _lpips(
    name: str, network: str, file: Path, heads: Path, layers: perceptual.Layers, device: str
) -> Distance:
    weights = [v for _, v in sorted(state(heads, device).items())]
    features = perceptual.alexnet_features if network == "AlexNet" else perceptual.vgg_features
    return Distance(
        name,
        network,
        (sha256(file), sha256(heads)),
        lambda x: features(layers, x),
        lambda x, y: perceptual.lpips(weights, x, y),
        smallest=31 if network == "AlexNet" else 16,
        device=device,
    )


def _dists(file: Path, layers: perceptual.Layers, device: str) -> Distance:
    mix = beside("torchmetrics", "functional/image/dists_models/weights.pt")
    weights = state(mix, device)
    return Distance(
        "dists",
        "VGG16",
        (sha256(file), sha256(mix)),
        lambda x: perceptual.dists_features(layers, x),
        lambda x, y: perceptual.dists(weights, x, y),
        smallest=16,
        device=device,
    )


def _st_lpips(file: Path, device: str) -> Distance:
    weights = state(file, device)
    layers = perceptual.st_lpips_layers(weights)
    heads = [weights[f"lin{i}.model.1.weight"] for i in range(len(layers))]
    return Distance(
        "st-lpips",
        "AlexNet of ST-LPIPS",
        (sha256(file),),
        lambda x: perceptual.st_lpips_features(layers, x),
        lambda x, y: perceptual.lpips(heads, x, y),
        smallest=40,
        device=device,
    )


def _scripted(file: Path, device: str) -> Distance:
    module = read_script(file, device)
    name = f"pd-{file.stem}"
    return Distance(name, file.stem, (sha256(file),), lambda x: x, module, device=device)


def _faces(file: Path, boxes: Path | None, device: str) -> Distance:
    """Compare the descriptors of faces, of the same box in both images."""
    if boxes is None:
        raise ModelError("a face network needs the boxes of the faces, a JSON file")
    module = read_script(file, device)

    def described(x: Tensor) -> Tensor:
        face = torch.nn.functional.interpolate(
            255 * x, (_FACE_SIDE, _FACE_SIDE), mode="bilinear", antialias=True
        )
        found: Tensor = module(face)
        return found

    return Distance(
        "face",
        file.stem,
        (sha256(file), sha256(boxes)),
        described,
        lambda x, y: (x - y).square().sum().sqrt(),
        device=device,
        boxes=_boxes(boxes),
    )


def _boxes(path: Path) -> dict[str, Box]:
    try:
        found = json.loads(path.read_text("utf-8"))
        return {
            str(name): (int(box[0]), int(box[1]), int(box[2]), int(box[3]))
            for name, box in found.items()
        }
    except (OSError, ValueError, AttributeError, TypeError, LookupError) as error:
        raise ModelError(f"{path}: not boxes by image name, [left, top, right, bottom]") from error


def _heads(network: str) -> Path:
    """Find LPIPS' heads in the package that published them, else in torchmetrics."""
    own = inside("lpips", f"weights/v0.1/{network}.pth")
    return own or beside("torchmetrics", f"functional/image/lpips_models/{network}.pth")
