"""Our codec and its rivals behind one protocol: a picture and a number of bytes to a file.

At a few dozen bytes no classical codec fits a whole picture, so every rival shrinks it first: over
scales, the finest quality whose file fits, and of those the best PSNR; Lanczos brings it back. Its
decoder is told the size of the original for nothing, which its bytes do not pay for.
"""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np
from PIL import Image, features

from titokzip.bench import floors
from titokzip.bench.metrics import psnr

SCALES = (1, 0.75, 0.5, 0.375, 0.25, 0.1875, 0.125, 0.09, 0.0625, 0.045, 0.032)
Size = tuple[int, int]  # width, height


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

    def encode(self, image: Image.Image, budget: int) -> bytes | None:
        """Make the best file of at most `budget` bytes; None if none is that small."""
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

    def encode(self, image: Image.Image, budget: int) -> bytes | None:
        """Search scales and levels for the best PSNR within `budget` bytes.

        PSNR rises with smaller scales and falls again; the search ends when it has fallen twice.
        """
        best: tuple[float, bytes] | None = None
        pixels, fallen = np.asarray(image), 0
        for small in _downscaled(image):
            if 8 * budget < self.least_bpp * small.width * small.height:
                continue
            data = self._finest(small, budget)
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

    def _finest(self, image: Image.Image, budget: int) -> bytes | None:
        """Find the highest level that fits, taking sizes to grow with it."""
        best, low, high = None, 0, self.levels - 1
        middle = 0
        while low <= high:
            data = self.save(image, middle)
            if len(data) <= budget:
                best, low = data, middle + 1
            else:
                high = middle - 1
            middle = (low + high) // 2
        return best


@dataclass(frozen=True)
class Floor:
    """A placeholder whose only dial is its number of cells or waves."""

    name: str
    suffix: str
    note: str
    save: Callable[[Image.Image, int], bytes | None]
    load: Callable[[bytes, Size], Image.Image]

    def encode(self, image: Image.Image, budget: int) -> bytes | None:
        """Fill the bytes as far as they go."""
        return self.save(image, budget)

    def decode(self, data: bytes, size: Size) -> Image.Image:
        """Paint it at that size."""
        return self.load(data, size)


def rivals() -> dict[str, ImageCodec]:
    """Make every rival that this machine can run, by name."""
    found: list[ImageCodec] = []
    pillow = f"Pillow {_version('pillow')}"
    for name, kind, suffix, feature, options, words in _PILLOW:
        if features.check(feature):
            note = f"{pillow}, {feature} {features.version(feature)}, {words}"
            save = partial(_save, kind, options)
            least = 0.0 if name == "jpeg2000" else Scaled.least_bpp  # it goes down to any rate
            found.append(Scaled(name, suffix, note, 101, save, _load, least))
    found += list(_jpeg_xl())
    found.append(
        Floor("thumbnail", ".thumb", "raw RGB cells, bicubic", floors.thumbnail, floors.enlarged)
    )
    found.append(
        Floor("blurhash", ".blurhash", "own, by its formula", floors.blurhash, floors.unhashed)
    )
    return {codec.name: codec for codec in found}


RIVALS = ("jpeg", "webp", "avif", "jpeg2000", "jxl", "thumbnail", "blurhash")


def _jpeg_options(level: int) -> dict[str, Any]:
    return {"quality": max(level, 1), "optimize": True, "progressive": True, "subsampling": 2}


def _webp_options(level: int) -> dict[str, Any]:
    return {"quality": level, "method": 6}


def _avif_options(level: int) -> dict[str, Any]:
    return {"quality": level, "speed": 6, "max_threads": 1}


def _jpeg2000_options(level: int) -> dict[str, Any]:
    ratio = 2 ** ((100 - level) / 10)  # to 1 from 1,024
    return {
        "quality_mode": "rates",
        "quality_layers": [ratio],
        "irreversible": True,
        "no_jp2": True,
    }


_PILLOW: list[tuple[str, str, str, str, Callable[[int], dict[str, Any]], str]] = [
    ("jpeg", "JPEG", ".jpg", "jpg", _jpeg_options, "4:2:0, optimised, progressive"),
    ("webp", "WEBP", ".webp", "webp", _webp_options, "method 6"),
    ("avif", "AVIF", ".avif", "avif", _avif_options, "speed 6"),
    ("jpeg2000", "JPEG2000", ".j2k", "jpg_2000", _jpeg2000_options, "bare codestream, 9/7 wavelet"),
]


def _save(
    kind: str, options: Callable[[int], dict[str, Any]], image: Image.Image, level: int
) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options(level))
    return file.getvalue()


def _load(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def _jpeg_xl() -> Iterator[ImageCodec]:
    """JPEG XL by imagecodecs (BSD), or by pillow-jxl-plugin (GPL) where only that is installed."""
    if find_spec("imagecodecs"):
        note = f"imagecodecs {_version('imagecodecs')}, effort 7, distance 25 to 0.5"
        yield Scaled("jxl", ".jxl", note, 101, _jxl_save, _jxl_load)
    elif find_spec("pillow_jxl"):
        import pillow_jxl  # noqa: F401  (registers with Pillow)

        note = f"pillow-jxl-plugin {_version('pillow-jxl-plugin')}, effort 7"
        save = partial(_save, "JXL", lambda level: {"quality": level, "lossless_jpeg": False})
        yield Scaled("jxl", ".jxl", note, 101, save, _load)


def _jxl_save(image: Image.Image, level: int) -> bytes:
    import imagecodecs

    distance = 25 * 0.02 ** (level / 100)
    data = imagecodecs.jpegxl_encode(
        np.asarray(image), distance=distance, effort=7, lossless=False, usecontainer=False
    )
    return bytes(data)


def _jxl_load(data: bytes) -> Image.Image:
    import imagecodecs

    return Image.fromarray(imagecodecs.jpegxl_decode(data))


def _downscaled(image: Image.Image) -> Iterator[Image.Image]:
    seen = set()
    for scale in SCALES:
        size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
        if size not in seen:
            seen.add(size)
            yield image.resize(size, Image.Resampling.LANCZOS)


def _version(package: str) -> str:
    from importlib.metadata import version

    return version(package)
