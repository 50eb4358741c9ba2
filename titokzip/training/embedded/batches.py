"""Batches of crops in random orientations, drawn from coded images and their originals.

B crops of S x S pixels, S a multiple of 8.
"""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from titokzip.errors import ImageError
from titokzip.training.embedded.parts import Items, Pixels, Record
from titokzip.transform.orientations import ORIENTATIONS, turned

SIDES: Final = (192, 128, 96, 64, 48, 32)  # of crops


class Batch(NamedTuple):
    """Crops and what is known about the images they are from."""

    decoded: Tensor  # [B, 3, S, S] float32, 0 to 255 but not clipped
    original: Tensor  # [B, 3, S, S] float32
    double: Tensor  # [D, 3, 2 S, 2 S] float32, originals at twice the size
    has_double: Tensor  # [B] bool, D of them
    step: Tensor  # [B] log2
    size: Tensor  # [B] log2 of the side of a square of as many pixels
    error: Tensor  # [B] mean squared error of the whole image, as the transform decodes it

    def to(self, device: str) -> Self:
        """Move it to a device."""
        return type(self)(*(tensor.to(device) for tensor in self))


class Batches:
    """An endless row of batches; their state is the random generator's."""

    def __init__(self, items: Items, seed: int) -> None:
        self.items, self.random = items, np.random.default_rng(seed)
        self._side = 0
        self._bins: dict[int, list[Record]] = {}

    def draw(self, side: int, pixels: int) -> Batch:
        """Draw crops of `side` pixels, of at most `pixels` together.

        From smaller images they have a smaller side of SIDES. All crops of a batch have the same
        side; every image is as likely as every other.

        Raises:
            ImageError: no image is as large as the smallest crop.
        """
        if side != self._side:
            self._side, self._bins = side, _by_crop(self.items.records, side)
        shares = np.array([len(found) for found in self._bins.values()], float)
        if not shares.size:
            raise ImageError(f"no coded image has sides of {SIDES[-1]} pixels")
        chosen = list(self._bins)[self.random.choice(len(shares), p=shares / shares.sum())]
        found = self._bins[chosen]
        picks = self.random.integers(len(found), size=max(1, pixels // chosen**2))
        return _collated([self._crop(found[pick], chosen) for pick in picks])

    def _crop(self, record: Record, side: int) -> "Crop":
        y, x = (
            8 * int(self.random.integers((length - side) // 8 + 1))
            for length in (record.h, record.w)
        )
        original, decoded = self.items.images(record)
        window = (slice(None), slice(y, y + side), slice(x, x + side))
        orientation = int(self.random.integers(ORIENTATIONS))
        double = None
        if record.double is not None:
            y, x = 2 * y, 2 * x
            double = self.items.double(record)[:, y : y + 2 * side, x : x + 2 * side]
            double = turned(double, orientation)
        original, decoded = original[window], decoded[window]
        return turned(original, orientation), turned(decoded, orientation), double, record

    def state(self) -> dict[str, Any]:
        """Gather what a resumed run needs."""
        return dict(self.random.bit_generator.state)

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gathered."""
        self.random.bit_generator.state = state


Crop = tuple[Pixels, NDArray[np.float16], Pixels | None, Record]


def conditions(record: Record) -> tuple[float, float]:
    """Give what the network is told about an image: log2 of its step, and its size."""
    return float(np.log2(record.step)), float(np.log2(record.h * record.w) / 2)


def evenly(items: Items, count: int) -> Iterator[Record]:
    """Give `count` records, evenly spaced."""
    total = len(items.records)
    for k in range(min(count, total)):
        yield items.records[k * total // min(count, total)]


def _by_crop(records: list[Record], side: int) -> dict[int, list[Record]]:
    """Sort records by the side of the crops that they allow; the smallest images are left out."""
    bins: dict[int, list[Record]] = {}
    for record in records:
        least = min(record.h, record.w, side)
        if least >= SIDES[-1]:
            bins.setdefault(next(s for s in SIDES if s <= least), []).append(record)
    return bins


def _collated(crops: list[Crop]) -> Batch:
    originals, decoded, doubles, records = zip(*crops, strict=True)
    found = [double for double in doubles if double is not None]
    side = originals[0].shape[-1]
    known = np.array([(*conditions(r), 255**2 / 10 ** (r.psnr / 10)) for r in records], np.float32)
    step, size, error = (torch.from_numpy(column.copy()) for column in known.T)
    return Batch(
        to_tensor(np.stack(decoded)),
        to_tensor(np.stack(originals)),
        to_tensor(np.stack(found)) if found else torch.empty(0, 3, 2 * side, 2 * side),
        torch.tensor([double is not None for double in doubles]),
        step,
        size,
        error,
    )


def to_tensor(pixels: NDArray[Any]) -> Tensor:
    """Copy pixels to a float32 tensor."""
    return torch.from_numpy(pixels.astype(np.float32))
