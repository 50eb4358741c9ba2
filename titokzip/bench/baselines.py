"""The baselines that this machine can run: in-process by a library, or by programs."""

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, features

from titokzip.bench import program_codec, programs, trivial_baselines
from titokzip.bench.cache import Cache
from titokzip.bench.downscale_search import Searched
from titokzip.bench.image_codec import CodecFailed, ImageCodec, Size, Trivial
from titokzip.bench.programs import Program

BASELINES = (
    "vvc", "av1", "hevc", "avif", "heic", "jxl", "webp", "jpeg2000", "jpeg", "thumbnail",
    "blurhash",
)  # fmt: skip
_PILLOW_HAS = "use Pillow's own wheel, which comes with it"
HOW_TO_GET = dict.fromkeys(BASELINES, _PILLOW_HAS) | {
    "jxl": "pip install imagecodecs, or put cjxl and djxl on the PATH",
    "heic": "pip install pillow-heif",
}
_PERCENT = tuple(float(level) for level in range(101))
Save = Callable[[Image.Image, float], bytes]
Load = Callable[[bytes, Size, bool], Image.Image]
Exact = Callable[[Image.Image, bool], bytes]


@dataclass(frozen=True)
class Available:
    """The baselines that are here, and why others are not."""

    codecs: dict[str, ImageCodec]
    missing: dict[str, str]


def available(
    cache: Cache,
    folders: Sequence[Path] = (),
    bare: bool = True,
    extra: Sequence[Program] = (),
) -> Available:
    """Make every baseline that this machine can run, and the `extra` programs.

    Budgets limit codestreams where `bare` is set, else whole files. A program of `extra` takes the
    place of a baseline of its name.
    """
    codecs: dict[str, ImageCodec] = {}
    missing: dict[str, str] = {}
    codecs |= {codec.name: codec for codec in _in_process(cache, bare)}
    codecs |= {codec.name: codec for codec in _trivial()}
    own = [one for one in programs.own() if one.name not in codecs]
    for program in (*own, *extra):
        absent = program.missing(folders)
        if absent:
            get = f", from {program.source}" if program.source else ""
            missing[program.name] = f"{' and '.join(absent)} not on the PATH{get}"
        else:
            codecs[program.name] = program_codec.codec(program, cache, folders, bare)
    for name in BASELINES:
        if name not in codecs:
            missing.setdefault(name, HOW_TO_GET[name])
    return Available(codecs, missing)


def _in_process(cache: Cache, bare: bool) -> Iterator[Searched]:
    def searched(
        name: str, suffix: str, note: str, save: Save, load: Load, exact: Exact | None = None
    ) -> Searched:
        return Searched(name, suffix, note, _PERCENT, save, load, bare, cache, exact)

    pillow = f"Pillow {version('pillow')}"
    for name, kind, suffix, feature, options, words in _PILLOW:
        if features.check(feature):
            note = f"{pillow}, {feature} {features.version(feature)}, {words}"
            exact = _webp_exact if name == "webp" else None
            yield searched(name, suffix, note, partial(_save, kind, options), _load, exact)
    if find_spec("imagecodecs"):
        words = "effort 9, distance 25 to 0.5, lossless where that fits"
        note = f"imagecodecs {version('imagecodecs')}, {words}"
        yield searched("jxl", ".jxl", note, _jxl_save, _jxl_load, _jxl_exact)
    if find_spec("pillow_heif"):
        note = f"pillow-heif {version('pillow-heif')}, x265, preset placebo, tune psnr"
        yield searched("heic", ".heic", note, _heic_save, _heic_load)


def _trivial() -> Iterator[Trivial]:
    words, own = "cells of 5 bits a channel, bicubic", trivial_baselines
    yield Trivial("thumbnail", ".thumb", words, own.thumbnail, own.enlarged)
    yield Trivial("blurhash", ".blurhash", "own, by its formula", own.blurhash, own.unhashed)


def _jpeg_options(level: float) -> dict[str, Any]:
    return {"quality": max(int(level), 1), "optimize": True, "progressive": True, "subsampling": 2}


def _webp_options(level: float) -> dict[str, Any]:
    return {"quality": int(level), "method": 6}


def _avif_options(level: float) -> dict[str, Any]:
    options = {"codec": "aom", "advanced": {"tune": "psnr"}, "max_threads": 1}
    return {"quality": int(level), "speed": 4, **options}


def _jpeg2000_options(level: float) -> dict[str, Any]:
    ratio = 2 ** ((100 - level) / 10)  # to 1 from 1,024
    return {"quality_mode": "rates", "quality_layers": [ratio], "irreversible": True}


_PILLOW: list[tuple[str, str, str, str, Callable[[float], dict[str, Any]], str]] = [
    ("jpeg", "JPEG", ".jpg", "jpg", _jpeg_options, "4:2:0, optimised, progressive"),
    ("webp", "WEBP", ".webp", "webp", _webp_options, "method 6, lossless where that fits"),
    ("avif", "AVIF", ".avif", "avif", _avif_options, "aom, speed 4, tune psnr, 4:2:0, 8 bits"),
    ("jpeg2000", "JPEG2000", ".jp2", "jpg_2000", _jpeg2000_options, "9/7 wavelet"),
]


def _save(
    kind: str, options: Callable[[float], dict[str, Any]], image: Image.Image, level: float
) -> bytes:
    file = io.BytesIO()
    try:
        image.save(file, kind, **options(level))
    except (OSError, ValueError) as error:  # too small, too large
        raise CodecFailed(f"{kind}: {error}") from error
    return file.getvalue()


def _webp_exact(image: Image.Image, quickly: bool) -> bytes:
    effort = {"quality": 75, "method": 4} if quickly else {"quality": 100, "method": 6}
    return _save("WEBP", lambda _: {"lossless": True, **effort}, image, 100)


def _load(data: bytes, _: Size, grey: bool) -> Image.Image:
    with Image.open(io.BytesIO(data)) as image:
        return image.convert("L" if grey else "RGB")


def _jxl_save(image: Image.Image, level: float) -> bytes:
    import imagecodecs

    distance = 25 * float(0.02 ** (level / 100))
    data = imagecodecs.jpegxl_encode(
        np.asarray(image), distance=distance, effort=9, lossless=False, usecontainer=False
    )
    return bytes(data)


def _jxl_exact(image: Image.Image, quickly: bool) -> bytes:
    import imagecodecs

    data = imagecodecs.jpegxl_encode(
        np.asarray(image), effort=5 if quickly else 9, lossless=True, usecontainer=False
    )
    return bytes(data)


def _jxl_load(data: bytes, _: Size, grey: bool) -> Image.Image:
    import imagecodecs

    return Image.fromarray(imagecodecs.jpegxl_decode(data).squeeze())


def _heic_save(image: Image.Image, level: float) -> bytes:
    import pillow_heif

    file = io.BytesIO()
    options = {"preset": "placebo", "tune": "psnr"}
    try:
        pillow_heif.from_pillow(image).save(file, quality=int(level), enc_params=options)
    except (RuntimeError, ValueError) as error:  # x265 takes no image below 8 pixels
        raise CodecFailed(f"heic: {error}") from error
    return file.getvalue()


def _heic_load(data: bytes, _: Size, grey: bool) -> Image.Image:
    import pillow_heif

    image: Image.Image = pillow_heif.open_heif(data).to_pillow()
    return image.convert("L" if grey else "RGB")
