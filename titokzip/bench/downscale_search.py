"""The search of a baseline's best file for a number of bytes, over downscales and qualities.

At a few hundred bytes no classical codec fits a whole image, so every baseline may shrink it first.
On each of `SCALES` the finest quality that fits is found, and of those results the best PSNR wins;
Lanczos enlarges it again. A lossless mode wins where it fits. The decoder receives the size of the
original as free side information.
"""

import io
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from titokzip.bench.cache import Cache, hash_of, hash_of_pixels
from titokzip.bench.containers import codestream_bytes
from titokzip.bench.image_codec import CodecFailed, Encoded, Size
from titokzip.bench.metrics import Pixels, psnr

SCALES = (1, 0.75, 0.625, 0.5, 0.375, 0.25, 0.1875, 0.125, 0.09, 0.0625, 0.045, 0.032)
_LIKELY_DOUBLING = 0.1  # of the range of qualities, for a file of twice the bytes
_LIKELY_BPP = 0.2  # of a coded pixel, at the scale that wins
End = tuple[Size | None, str]  # coded size and setting that a search found; None if nothing fits
# Budgets that an image takes as a PNG, or by a codec's quick lossless mode: it is not tried then.
_HOPELESS, _HOPELESS_QUICKLY = 100, 3


@dataclass(frozen=True)
class Searched:
    """A codec with a dial of qualities, smallest file first, behind a search over downscales."""

    name: str
    suffix: str
    note: str
    qualities: tuple[float, ...]
    save: Callable[[Image.Image, float], bytes]
    load: Callable[[bytes, Size, bool], Image.Image]
    bare: bool = True  # budgets limit the codestream, else the whole file
    cache: Cache = field(default_factory=Cache)
    exact: Callable[[Image.Image, bool], bytes] | None = None  # lossless: quickly, or at its best

    def encode(self, image: Image.Image, budgets: Sequence[int]) -> list[Encoded | None]:
        """Search scales and qualities for the best PSNR within each budget.

        Raises:
            CodecFailed: it fails at every scale.
        """
        keys = self._keys(image, budgets)
        kept = {budget: self.cache.get(key) for budget, key in keys.items()}
        missing = [budget for budget, found in kept.items() if found is None]
        for budget, best in (_search(self, image, missing) if missing else {}).items():
            kept[budget] = _packed(best)
            self.cache.put(keys[budget], kept[budget] or b"")
        return [_unpacked(kept[budget] or b"", image.mode == "L") for budget in budgets]

    def repeat(self, image: Image.Image, ends: Mapping[int, End]) -> None:
        """Let the search for each budget end where another has, if that file fits again."""
        for budget, key in self._keys(image, ends).items():
            if self.cache.get(key) is None:
                self._end(image, budget, key, *ends[budget])

    def _end(
        self, image: Image.Image, budget: int, key: str, coded: Size | None, setting: str
    ) -> None:
        if coded is None:
            self.cache.put(key, _packed(None))
            return
        if setting == "lossless":
            data = self.lossless(image, budget)
        else:
            quality = next((q for q in self.qualities if f"{q:g}" == setting), None)
            small = image.resize(coded, Image.Resampling.LANCZOS)
            data = None if quality is None else self.file(small, quality)
        if data is not None and self.compared_bytes(data) <= budget:
            self.cache.put(key, _packed(Encoded(data, coded, image.mode == "L", setting)))

    def _keys(self, image: Image.Image, budgets: Iterable[int]) -> dict[int, str]:
        """Hash what the results of a search depend on, by budget."""
        asked = (self.name, self.note, self.qualities, self.bare, SCALES, hash_of_pixels(image))
        return {budget: hash_of("best", *asked, budget) for budget in sorted(set(budgets))}

    def decode(self, encoded: Encoded, size: Size) -> Image.Image:
        """Decode, and enlarge to the size of the original with Lanczos."""
        small = self.load(encoded.data, encoded.coded, encoded.grey)
        small = small.convert("L" if encoded.grey else "RGB")
        return small if small.size == size else small.resize(size, Image.Resampling.LANCZOS)

    def compared_bytes(self, data: bytes) -> int:
        """Count the bytes that a budget limits."""
        return codestream_bytes(data) if self.bare else len(data)

    def file(self, image: Image.Image, quality: float) -> bytes:
        """Encode an image that may be in the cache."""
        key = hash_of("file", self.name, self.note, quality, hash_of_pixels(image))
        return self._kept(key, lambda: self.save(image, quality))

    def lossless(self, image: Image.Image, budget: int) -> bytes | None:
        """Encode an image without loss, where that may fit into a budget."""
        exact = self.exact
        if exact is None:
            return None
        file = io.BytesIO()
        image.save(file, "PNG")
        if len(file.getvalue()) > _HOPELESS * budget:
            return None
        key = hash_of("lossless", self.name, self.note, hash_of_pixels(image))
        try:
            known = self.cache.get(key) is not None
            if not known and len(exact(image, True)) > _HOPELESS_QUICKLY * budget:
                return None
            return self._kept(key, lambda: exact(image, False))
        except CodecFailed:  # it may be too large
            return None

    def _kept(self, key: str, make: Callable[[], bytes]) -> bytes:
        """Give what the cache has, or make it."""
        data = self.cache.get(key)
        if data is None:
            data = make()
            self.cache.put(key, data)
        return data


class _Scale:
    """What is known of one downscale of one image."""

    def __init__(self, codec: Searched, original: Pixels, small: Image.Image, size: Size) -> None:
        self.codec, self.original, self.small, self.size = codec, original, small, size
        self.sizes: dict[int, int] = {}  # bytes by level
        self.quality: dict[int, float] = {}  # PSNR by level
        enlarged = small.resize(size, Image.Resampling.LANCZOS)
        self.bound = psnr(original, np.asarray(enlarged))  # dB that no file of it surpasses
        self.error: CodecFailed | None = None

    def distance(self, budget: int) -> float:
        """Tell how far it is from the scale that usually wins, which is tried first."""
        return abs(math.log(8 * budget / _LIKELY_BPP / (self.small.width * self.small.height)))

    def finest(self, budget: int) -> int | None:
        """Find the highest level that fits, taking sizes to grow with the level."""
        levels = len(self.codec.qualities)
        low = max((level for level, size in self.sizes.items() if size <= budget), default=-1)
        high = min((i for i, s in self.sizes.items() if s > budget and i > low), default=levels)
        steps = 0
        while high - low > 1:
            middle = self._guess(low, high, budget) if steps < 4 else (low + high) // 2
            steps += 1
            if self._bytes(middle) <= budget:
                low = middle
            else:
                high = middle
        return None if low < 0 else low

    def _guess(self, low: int, high: int, budget: int) -> int:
        """Guess the last level that fits, taking the logarithm of sizes to be linear in it."""
        if low < 0:
            return 0
        levels = len(self.codec.qualities)
        if high < levels:
            doublings = math.log2(max(self.sizes[high], 1) / max(self.sizes[low], 1))
            rate = doublings / (high - low)
        else:
            rate = 1 / max(_LIKELY_DOUBLING * levels, 1)
        ahead = math.log2(budget / max(self.sizes[low], 1)) / max(rate, 1e-6)
        return min(max(low + max(round(min(ahead, levels)), 1), low + 1), high - 1)

    def _bytes(self, level: int) -> int:
        if level not in self.sizes:
            data = self.codec.file(self.small, self.codec.qualities[level])
            self.sizes[level] = self.codec.compared_bytes(data)
        return self.sizes[level]

    def at(self, level: int) -> tuple[float, Encoded]:
        """Decode the file of a level, and compare it with the original."""
        quality = self.codec.qualities[level]
        data = self.codec.file(self.small, quality)
        encoded = Encoded(data, self.small.size, self.small.mode == "L", f"{quality:g}")
        if level not in self.quality:
            decoded = self.codec.decode(encoded, self.size)
            self.quality[level] = psnr(self.original, np.asarray(decoded))
        return self.quality[level], encoded


def _search(
    codec: Searched, image: Image.Image, budgets: Sequence[int]
) -> dict[int, Encoded | None]:
    """Find the best file for each budget, the largest budget first.

    A scale is passed over only where it cannot win: its PSNR without any coding loss, or with the
    bytes of a larger budget, is no better than what another scale has reached.
    """
    original = np.asarray(image)
    scales = [_Scale(codec, original, small, image.size) for small in downscaled(image)]
    found: dict[int, Encoded | None] = {}
    lossless = codec.lossless(image, max(budgets))
    for budget in sorted(budgets, reverse=True):
        if lossless and codec.compared_bytes(lossless) <= budget:
            found[budget] = Encoded(lossless, image.size, image.mode == "L", "lossless")
            continue
        best: tuple[float, Encoded] | None = None
        for scale in sorted(scales, key=lambda scale: scale.distance(budget)):
            if scale.error or (best and scale.bound <= best[0]):
                continue
            reached = _reached(scale, budget)
            if reached is None:
                continue
            scale.bound = min(scale.bound, reached[0])
            if best is None or reached[0] > best[0]:
                best = reached
        if all(scale.error for scale in scales):
            raise scales[0].error or CodecFailed(codec.name)
        found[budget] = best[1] if best else None
    return found


def _reached(scale: _Scale, budget: int) -> tuple[float, Encoded] | None:
    try:
        level = scale.finest(budget)
        return None if level is None else scale.at(level)
    except CodecFailed as error:  # an image may be too small for a program
        scale.error = error
        return None


def downscaled(image: Image.Image) -> list[Image.Image]:
    """Shrink an image to every scale, smallest first, each size once."""
    made: dict[Size, Image.Image] = {}
    for scale in SCALES:
        size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
        if size not in made:
            made[size] = image.resize(size, Image.Resampling.LANCZOS)
    return list(reversed(made.values()))


def _packed(best: Encoded | None) -> bytes:
    if best is None:
        return b"-"
    return f"{best.coded[0]} {best.coded[1]} {best.setting}\n".encode() + best.data


def _unpacked(kept: bytes, grey: bool) -> Encoded | None:
    head, separator, data = kept.partition(b"\n")
    if not separator:
        return None
    width, height, setting = head.decode().split(" ")
    return Encoded(data, (int(width), int(height)), grey, setting)
