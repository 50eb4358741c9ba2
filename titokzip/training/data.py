"""Photos in memory, and random tiles of them as the codec would cut them."""

import io
import json
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from titokzip import images
from titokzip.errors import ImageError
from titokzip.tiling import lapped_filter

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".ppm", ".bmp", ".tif", ".tiff"}
SHORT_SIDE = 288  # photos are kept at this size: a tile of 256 and what the lapped filter reaches
LONG_SIDE = 432
SMALLEST_CROP = 56  # pixels of such a photo that are blown up to a tile, at the least
VALIDATE_EVERY = 87  # one photo in so many is held out to watch the training


@dataclass(frozen=True)
class Photos:
    """Photos as uint8 tensors [3, H, W], and those held out to watch the training."""

    training: list[Tensor]
    validation: list[Tensor]


def load(path: Path, limit: int | None = None) -> Photos:
    """Read every photo in a folder or its tar shards; those that can't be read are left out."""
    files = _files(path)
    with ThreadPoolExecutor() as pool:
        photos = [p for p in pool.map(_read, _first(files, limit)) if p is not None]
    if not photos:
        raise ImageError(f"{path}: no photos here, nor tar files of photos")
    validation = photos[::VALIDATE_EVERY]
    training = [p for i, p in enumerate(photos) if i % VALIDATE_EVERY] or validation
    return Photos(training, validation)


def _first(files: Iterator[bytes], limit: int | None) -> Iterator[bytes]:
    for i, data in enumerate(files):
        if i == limit:
            return
        yield data


def _files(path: Path) -> Iterator[bytes]:
    for file in sorted(path.rglob("*") if path.is_dir() else [path]):
        if file.suffix == ".tar":
            yield from _shard(file)
        elif file.suffix.lower() in SUFFIXES and file.is_file():
            yield file.read_bytes()


def _shard(path: Path) -> Iterator[bytes]:
    try:
        with tarfile.open(path) as shard:
            for member in shard:
                handle = shard.extractfile(member)
                if handle and Path(member.name).suffix.lower() in SUFFIXES:
                    yield handle.read()
    except tarfile.TarError as error:
        raise ImageError(f"{path}: damaged, or no tar file") from error


def _read(data: bytes) -> Tensor | None:
    try:
        photo = images.read(io.BytesIO(data), background="white").image
    except (ImageError, OSError):
        return None
    short = min(photo.size)
    long = short * LONG_SIDE // SHORT_SIDE
    photo = photo.crop((0, 0, min(photo.width, long), min(photo.height, long)))
    if short != SHORT_SIDE:
        width, height = (round(s * SHORT_SIDE / short) for s in photo.size)
        photo = photo.resize((width, height), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.asarray(photo).copy()).permute(2, 0, 1).contiguous()


class Sampler:
    """Draws tiles at random: any photo, place and zoom, mirrored or not, lapped or not."""

    def __init__(self, photos: list[Tensor], size: int, overlap: int, seed: int) -> None:
        self.photos, self.size, self.overlap = photos, size, overlap
        self.random = np.random.default_rng(seed)
        self.filter = torch.from_numpy(lapped_filter(overlap))
        self.order: list[int] = []

    def batch(self, count: int) -> Tensor:
        """Draw tiles [count, 3, S, S] in 0..1, on the device that holds the photos."""
        crops = torch.stack([self._crop() for _ in range(count)])
        return self._lap(crops.float() / 255)

    def state(self) -> dict[str, Any]:
        """Gather what a resumed run needs to draw on without repeating."""
        return {"random": json.dumps(self.random.bit_generator.state), "order": list(self.order)}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gathered."""
        self.random.bit_generator.state = json.loads(state["random"])
        self.order = list(state["order"])

    def _crop(self) -> Tensor:
        if not self.order:  # every photo once before any comes again
            self.order = self.random.permutation(len(self.photos)).tolist()
        photo = self.photos[self.order.pop()]
        side = self.size + 2 * self.overlap
        _, height, width = photo.shape
        region = min(height, width)
        if self.random.random() < 0.5:
            least = min(SMALLEST_CROP, region)
            region = round(least * (region / least) ** self.random.random())
        top = int(self.random.integers(height - region + 1))
        left = int(self.random.integers(width - region + 1))
        crop = photo[:, top : top + region, left : left + region]
        if region != side:
            crop = _resize(crop, side)
        return crop.flip(2) if self.random.random() < 0.5 else crop

    def _lap(self, crops: Tensor) -> Tensor:
        """Filter the borders of crops [B, 3, S + 2n, S + 2n] as if other tiles lay beyond."""
        n, inner = self.overlap, slice(self.overlap, self.overlap + self.size)
        alone = self.random.random(len(crops)) < 0.25
        matrix = self.filter.to(crops.device)
        for axis in (2, 3):
            crops = crops.transpose(axis, 3)
            for side in (slice(None, 2 * n), slice(-2 * n, None)):
                lapped = torch.from_numpy(~alone & (self.random.random(len(crops)) < 0.8))
                chosen = lapped.to(crops.device)[:, None, None, None]
                pixels = crops[..., side]
                crops[..., side] = torch.where(chosen, pixels @ matrix.mT, pixels)
            crops = crops.transpose(axis, 3)
        return crops[:, :, inner, inner]


def _resize(crop: Tensor, side: int) -> Tensor:
    if crop.is_cpu:  # bytes in, bytes out: thirty times faster than floats there
        return F.interpolate(crop[None], (side, side), mode="bicubic", antialias=True)[0]
    resized = F.interpolate(crop[None].float(), (side, side), mode="bicubic", antialias=True)[0]
    return resized.clamp(0, 255).round().to(torch.uint8)


def centre_tiles(photos: list[Tensor], size: int) -> Tensor:
    """Cut the centre of each photo; tiles [B, 3, S, S] in 0..1, not lapped."""
    tiles = []
    for photo in photos:
        top, left = ((s - size) // 2 for s in photo.shape[1:])
        tiles.append(photo[:, top : top + size, left : left + size])
    return torch.stack(tiles).float() / 255
