"""All measures of a decoded image, from the cache where the same pair was measured before."""

import struct
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np
from PIL import Image

from titokzip.bench.cache import Cache, hash_of, hash_of_pixels
from titokzip.bench.distances import Distance
from titokzip.bench.metrics import Pixels, ms_ssim, psnr
from titokzip.bench.plan import Plan

BEST_PSNR = 60.0  # dB; nobody sees more, and averages of infinities say nothing (as in libvmaf)


class Measures:
    """What one original is compared with; its features are computed once, where needed."""

    def __init__(self, plan: Plan, name: str, original: Image.Image) -> None:
        """Take the original, an RGB image."""
        self._plan, self._name = plan, name
        self._pixels, self._hash = np.asarray(original), hash_of_pixels(original)
        self._features: dict[str, Any] = {}

    def of(
        self, decoded: Image.Image, known: Mapping[str, float] = MappingProxyType({})
    ) -> dict[str, float | None]:
        """Measure a decoded RGB image; None for what cannot be measured on images like it.

        What is `known` of an image with the same PSNR, to the last bit, is taken.
        """
        pixels = np.asarray(decoded)
        pair = (self._hash, hash_of_pixels(decoded))
        quality = min(psnr(self._pixels, pixels), BEST_PSNR)
        found: dict[str, float | None] = {"psnr": quality}
        known = known if known.get("psnr") == quality < BEST_PSNR else {}
        kept = partial(_cached, self._plan.cache, known)
        words: tuple[object, ...] = ("ms_ssim", *pair)
        found["ms_ssim"] = kept("ms_ssim", words, lambda: ms_ssim(self._pixels, pixels))
        for one in self._plan.distances:
            found[one.name] = None
            if one.measures(self._name, self._pixels):
                words = ("distance", one.name, one.sha256, one.box(self._name), *pair)
                found[one.name] = kept(one.name, words, partial(self._distance, one, pixels))
        for program in self._plan.programs:
            found[program.name] = None
            if program.measures(self._pixels):
                words = ("program", program.name, program.sha256, *pair)
                found[program.name] = kept(
                    program.name, words, partial(program, self._pixels, pixels)
                )
        return found

    def _distance(self, one: Distance, pixels: Pixels) -> float:
        if one.name not in self._features:
            self._features[one.name] = one.features(self._name, self._pixels)
        return one.between(self._features[one.name], one.features(self._name, pixels))


def _cached(
    cache: Cache,
    known: Mapping[str, float],
    name: str,
    parts: tuple[object, ...],
    measure: Callable[[], float | None],
) -> float | None:
    key = hash_of(*parts)
    kept = cache.get(key)
    if kept is not None:
        return float(struct.unpack("<d", kept)[0])
    value = known[name] if name in known else measure()
    if value is not None:
        cache.put(key, struct.pack("<d", value))
    return value
