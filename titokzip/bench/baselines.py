"""The rivals that this machine can run, each by the library that is here, and how to get others."""

import io
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, features

from titokzip.bench import trivial_baselines
from titokzip.bench.downscale_search import Best, Floor, ImageCodec, Scaled

RIVALS = ("jpeg", "webp", "avif", "jpeg2000", "jxl", "heic", "thumbnail", "blurhash")
_PILLOW_HAS = "use Pillow's own wheel, which comes with it"
HOW_TO_GET = dict.fromkeys(RIVALS, _PILLOW_HAS) | {
    "jxl": "pip install imagecodecs, or put cjxl and djxl on the PATH",
    "heic": "pip install pillow-heif",
}


def rivals() -> dict[str, ImageCodec]:
    """Make every rival that this machine can run, by name."""
    found: list[ImageCodec] = []
    pillow = f"Pillow {version('pillow')}"
    for name, kind, suffix, feature, options, words in _PILLOW:
        if features.check(feature):
            note = f"{pillow}, {feature} {features.version(feature)}, {words}"
            save = partial(_save, kind, options)
            least = 0.0 if name == "jpeg2000" else Scaled.least_bpp  # it goes down to any rate
            found.append(Scaled(name, suffix, note, 101, save, _load, least))
    found += [*_jpeg_xl(), *_heic()]
    found.append(
        Floor(
            "thumbnail",
            ".thumb",
            "raw RGB cells, bicubic",
            trivial_baselines.thumbnail,
            trivial_baselines.enlarged,
        )
    )
    found.append(
        Floor(
            "blurhash",
            ".blurhash",
            "own, by its formula",
            trivial_baselines.blurhash,
            trivial_baselines.unhashed,
        )
    )
    return {codec.name: codec for codec in found}


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
    """JPEG XL by imagecodecs (BSD), else by pillow-jxl-plugin (GPL), else by cjxl and djxl."""
    if find_spec("imagecodecs"):
        note = f"imagecodecs {version('imagecodecs')}, effort 7, distance 25 to 0.5"
        yield Scaled("jxl", ".jxl", note, 101, _jxl_save, _jxl_load)
    elif find_spec("pillow_jxl"):
        import pillow_jxl  # noqa: F401  (registers with Pillow)

        note = f"pillow-jxl-plugin {version('pillow-jxl-plugin')}, effort 7"
        save = partial(_save, "JXL", lambda level: {"quality": level, "lossless_jpeg": False})
        yield Scaled("jxl", ".jxl", note, 101, save, _load)
    elif shutil.which("cjxl") and shutil.which("djxl"):
        said = subprocess.run(["cjxl", "--version"], capture_output=True, text=True, check=True)
        note = f"{said.stdout.splitlines()[0]}, --resampling 1 or 4, distance 25 to 0.5"
        ways = (
            Scaled("jxl", ".jxl", note, 101, partial(_cjxl, resampling), _djxl)
            for resampling in (1, 4)
        )
        yield Best("jxl", ".jxl", note, tuple(ways))


def _jxl_save(image: Image.Image, level: int) -> bytes:
    import imagecodecs

    distance = _distance(level)
    data = imagecodecs.jpegxl_encode(
        np.asarray(image), distance=distance, effort=7, lossless=False, usecontainer=False
    )
    return bytes(data)


def _jxl_load(data: bytes) -> Image.Image:
    import imagecodecs

    return Image.fromarray(imagecodecs.jpegxl_decode(data))


def _distance(level: int) -> float:
    return 25 * float(0.02 ** (level / 100))


def _cjxl(resampling: int, image: Image.Image, level: int) -> bytes:
    """Encode by the program, which shrinks the picture once more, as its decoder knows."""
    image = image.resize([max(side, 8 * resampling) for side in image.size])  # it takes no smaller
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "in.png"), Path(folder, "out.jxl")
        image.save(source)
        words = ["--distance", f"{_distance(level):.3f}", f"--resampling={resampling}"]
        _call("cjxl", source, target, *words, "--container=0", "--num_threads=0")
        return target.read_bytes()


def _djxl(data: bytes) -> Image.Image:
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "in.jxl"), Path(folder, "out.png")
        source.write_bytes(data)
        _call("djxl", source, target, "--num_threads=0")
        with Image.open(target) as image:
            return image.convert("RGB")


def _call(*words: str | Path) -> None:
    subprocess.run(words, capture_output=True, check=True)


def _heic() -> Iterator[ImageCodec]:
    """HEIC by pillow-heif, whose wheel is under the GPL for x265."""
    if find_spec("pillow_heif"):
        note = f"pillow-heif {version('pillow-heif')}, x265"
        yield Scaled("heic", ".heic", note, 101, _heic_save, _heic_load)


def _heic_save(image: Image.Image, level: int) -> bytes:
    import pillow_heif

    file = io.BytesIO()
    pillow_heif.from_pillow(image).save(file, quality=level)
    return file.getvalue()


def _heic_load(data: bytes) -> Image.Image:
    import pillow_heif

    image: Image.Image = pillow_heif.open_heif(data).to_pillow()
    return image
