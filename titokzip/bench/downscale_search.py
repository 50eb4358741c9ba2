"""Every rival behind one protocol: a picture and numbers of bytes to files.

At a few dozen bytes no classical codec fits a whole picture, so every rival shrinks it first: over
scales, the finest quality whose file fits, and of those the best PSNR; Lanczos brings it back. Its
decoder is told the size of the original for nothing, which its bytes do not pay for.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Protocol

import numpy as np
from PIL import Image

from titokzip.bench.metrics import psnr

SCALES = (1, 0.75, 0.5, 0.375, 0.25, 0.1875, 0.125, 0.09, 0.0625, 0.045, 0.032)
Size = tuple[int, int]  # width, height
Save = Callable[[int, int], bytes]  # a file of a scale at a level


class ImageCodec(Protocol):
    """What the bench asks of a codec."""

    @property
    def name(self) -> str:
        """As it is called in tables."""
        ...

    @property
    def suffix(self) -> str:
        """Of its files."""
        ...

    @property
    def note(self) -> str:
        """Library, version and settings, for the result."""
        ...

    def encode(self, image: Image.Image, budgets: Sequence[int]) -> list[bytes | None]:
        """Make the best file of at most so many bytes for each budget; None where none fits."""
        ...

    def decode(self, data: bytes, size: Size) -> Image.Image:
        """Decode to RGB of that size; the inverse of `encode`, but for what was lost."""
        ...


@dataclass(frozen=True)
class Scaled:
    """A codec with a dial of `levels`, smallest file first, behind a search over downscales."""

    name: str
    suffix: str
    note: str
    levels: int
    save: Callable[[Image.Image, int], bytes]
    load: Callable[[bytes], Image.Image]
    least_bpp: float = 0.04  # of a shrunken picture, below which its lowest level does not come

    def encode(self, image: Image.Image, budgets: Sequence[int]) -> list[bytes | None]:
        """Search scales and levels for the best PSNR within each budget.

        Budgets share what they try: the same scales, and mostly the same levels.
        """
        small = list(_downscaled(image))

        @cache
        def save(scale: int, level: int) -> bytes:
            return self.save(small[scale], level)

        areas = [one.width * one.height for one in small]
        return [self._best(image, areas, save, budget) for budget in budgets]

    def _best(self, image: Image.Image, areas: list[int], save: Save, budget: int) -> bytes | None:
        """PSNR rises with smaller scales and falls again; the search ends when it fell twice."""
        best: tuple[float, bytes] | None = None
        pixels, fallen = np.asarray(image), 0
        for scale, area in enumerate(areas):
            if 8 * budget < self.least_bpp * area:
                continue
            data = self._finest(save, scale, budget)
            if data is None:
                continue
            found = psnr(pixels, np.asarray(self.decode(data, image.size)))
            if best is None or found > best[0]:
                best, fallen = (found, data), 0
            else:
                fallen += 1
            if fallen == 2:
                break
        return best[1] if best else None

    def decode(self, data: bytes, size: Size) -> Image.Image:
        """Decode, and bring back to the size of the original with Lanczos."""
        return self.load(data).convert("RGB").resize(size, Image.Resampling.LANCZOS)

    def _finest(self, save: Save, scale: int, budget: int) -> bytes | None:
        """Find the highest level that fits, taking sizes to grow with it."""
        best, low, high = None, 0, self.levels - 1
        middle = 0
        while low <= high:
            data = save(scale, middle)
            if len(data) <= budget:
                best, low = data, middle + 1
            else:
                high = middle - 1
            middle = (low + high) // 2
        return best


@dataclass(frozen=True)
class Best:
    """A codec that can be used in several ways: for each picture the best of them, by PSNR."""

    name: str
    suffix: str
    note: str
    ways: tuple[Scaled, ...]

    def encode(self, image: Image.Image, budgets: Sequence[int]) -> list[bytes | None]:
        """Try all ways."""
        pixels = np.asarray(image)

        def quality(data: bytes) -> float:
            return psnr(pixels, np.asarray(self.decode(data, image.size)))

        made = zip(*(way.encode(image, budgets) for way in self.ways), strict=True)
        return [max(filter(None, files), key=quality, default=None) for files in made]

    def decode(self, data: bytes, size: Size) -> Image.Image:
        """Decode as any of them does."""
        return self.ways[0].decode(data, size)


@dataclass(frozen=True)
class Floor:
    """A placeholder whose only dial is its number of cells or waves."""

    name: str
    suffix: str
    note: str
    save: Callable[[Image.Image, int], bytes | None]
    load: Callable[[bytes, Size], Image.Image]

    def encode(self, image: Image.Image, budgets: Sequence[int]) -> list[bytes | None]:
        """Fill the bytes as far as they go."""
        return [self.save(image, budget) for budget in budgets]

    def decode(self, data: bytes, size: Size) -> Image.Image:
        """Paint it at that size."""
        return self.load(data, size)


def _downscaled(image: Image.Image) -> Iterator[Image.Image]:
    seen = set()
    for scale in SCALES:
        size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
        if size not in seen:
            seen.add(size)
            yield image.resize(size, Image.Resampling.LANCZOS)
