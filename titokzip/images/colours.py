"""Colours to sRGB, as what comes with an image says which they are.

What counts, first to last, as in PNG's third edition: `cICP` (the code points of ITU-T H.273, which
AVIF has too), a colour profile, `sRGB`, and `gAMA` with `cHRM`. An image with none of them is taken
for sRGB.
"""

import io
from collections.abc import Callable
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

Convert = Callable[[Image.Image], Image.Image]  # of any mode without transparency to RGB
Primaries = tuple[tuple[float, float], ...]  # x, y of red, green, blue and white

_D65: Final = (0.3127, 0.3290)
_SRGB: Final[Primaries] = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), _D65)
_PRIMARIES: Final[dict[int, Primaries]] = {  # H.273, table 2
    1: _SRGB,
    4: ((0.67, 0.33), (0.21, 0.71), (0.14, 0.08), (0.310, 0.316)),
    5: ((0.64, 0.33), (0.29, 0.60), (0.15, 0.06), _D65),
    6: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), _D65),
    7: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), _D65),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), _D65),
    11: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.314, 0.351)),
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _D65),
}
# H.273, table 3: exponents. Video's curves are shown on screens as sRGB's is, and taken for it.
_LIKE_SRGB: Final = (1, 2, 6, 13, 14, 15)
_EXPONENTS: Final = {4: 2.2, 5: 2.8, 8: 1.0}
_HIGH_RANGE: Final = {16: "PQ", 18: "HLG"}
_UNKNOWN: Final = 2
_NEAR: Final = 0.05  # libpng's: a gamma as near to 1/2.2 as this is sRGB's


def conversion(image: Image.Image, mode: str) -> tuple[Convert, str]:
    """Choose how an image becomes sRGB, and say what of its colours is passed over.

    `mode` is what its pixels have become: L, RGB, CMYK or LAB.
    """
    cicp = image.info.get("cicp")  # from `formats`: Pillow passes the chunk over
    if cicp is not None:
        return _by_code_points(*cicp)
    profile = image.info.get("icc_profile")
    if profile and (transform := _by_profile(mode, profile)):
        return transform, ""
    if mode == "LAB":
        lab = ImageCms.createProfile("LAB")
        return _applied(ImageCms.buildTransform(lab, _srgb_profile(), "LAB", "RGB")), ""
    if image.format == "PNG" and "srgb" not in image.info:
        return _by_gamma(image.info.get("gamma"), image.info.get("chromaticity")), ""
    return _to_rgb, ""


def _to_rgb(image: Image.Image) -> Image.Image:
    return image if image.mode == "RGB" else image.convert("RGB")


def _by_code_points(primaries: int, transfer: int, *_: int) -> tuple[Convert, str]:
    if transfer in _HIGH_RANGE:
        return _to_rgb, f"high dynamic range ({_HIGH_RANGE[transfer]}) taken for sRGB"
    gamut = _SRGB if primaries == _UNKNOWN else _PRIMARIES.get(primaries)
    exponent = None if transfer in _LIKE_SRGB else _EXPONENTS.get(transfer)
    if gamut is None or (exponent is None and transfer not in _LIKE_SRGB):
        return _to_rgb, f"colours of code points {primaries}/{transfer} taken for sRGB"
    return _by_numbers(exponent, gamut), ""


def _by_gamma(gamma: float | None, chromaticity: Any) -> Convert:
    """Follow `gAMA`, and `cHRM` where that is there too; a gamma beyond reason is none."""
    if gamma is None or not 0.1 <= gamma <= 10:
        return _to_rgb
    exponent = None if abs(gamma * 2.2 - 1) <= _NEAR else 1 / gamma
    gamut = _SRGB
    if chromaticity and all(y > 0 for y in chromaticity[1::2]):
        white, *colours = zip(chromaticity[::2], chromaticity[1::2], strict=True)
        gamut = (*colours, white)
    return _by_numbers(exponent, gamut)


def _by_profile(mode: str, profile: bytes) -> Convert | None:
    """Follow a colour profile, unless it does not fit its image: viewers ignore it then, too."""
    if mode not in ("RGB", "CMYK", "L", "LAB"):
        return None
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        transform = ImageCms.buildTransform(source, _srgb_profile(), mode, "RGB")
    except (ImageCms.PyCMSError, OSError):
        return None
    return _applied(transform)


def _srgb_profile() -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def _applied(transform: ImageCms.ImageCmsTransform) -> Convert:
    return transform.apply


def _by_numbers(exponent: float | None, gamut: Primaries) -> Convert:
    """Convert from an exponent (none: sRGB's curve) and primaries."""
    matrix = _matrix(gamut)
    same = matrix is None or np.abs(matrix - np.eye(3)).max() < 0.004  # a rounded sRGB
    if matrix is None or (exponent is None and same):
        return _to_rgb
    codes = np.arange(256, dtype=np.float64) / 255
    light = (_linear(codes) if exponent is None else codes**exponent).astype(np.float32)
    weights = (np.eye(3) if same else matrix).T.astype(np.float32)

    def convert(image: Image.Image) -> Image.Image:
        levels, encoded = light[np.asarray(_to_rgb(image))] @ weights, _encoded_levels()
        index = np.rint(levels.clip(0, 1) * (len(encoded) - 1)).astype(np.uint16)
        return Image.fromarray(np.asarray(encoded[index]))

    return convert


def _linear(codes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Undo sRGB's curve; in and out 0..1."""
    return np.where(codes <= 0.04045, codes / 12.92, ((codes + 0.055) / 1.055) ** 2.4)


@cache
def _encoded_levels() -> NDArray[np.uint8]:
    """List sRGB's levels of 65,536 amounts of light; the inverse of `_linear`."""
    light = np.linspace(0, 1, 2**16)
    codes = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.asarray(np.rint(255 * codes).astype(np.uint8))


def _matrix(gamut: Primaries) -> NDArray[np.float64] | None:
    """From linear light of these primaries to that of sRGB; None if they span no gamut."""
    own, srgb = _to_xyz(gamut), _to_xyz(_SRGB)
    if own is None or srgb is None:
        return None
    whites = [_xyz(primaries[3]) for primaries in (gamut, _SRGB)]
    return np.asarray(np.linalg.inv(srgb) @ _adaptation(*whites) @ own)


def _xyz(point: tuple[float, float]) -> NDArray[np.float64]:
    x, y = point
    return np.array([x / y, 1, (1 - x - y) / y])


def _to_xyz(primaries: Primaries) -> NDArray[np.float64] | None:
    columns = np.stack([_xyz(point) for point in primaries[:3]], axis=1)
    if abs(np.linalg.det(columns)) < 1e-6:
        return None
    return np.asarray(columns * np.linalg.solve(columns, _xyz(primaries[3])))


def _adaptation(source: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """From one white to another, by Bradford's cones."""
    cones = np.array(
        [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
    )
    return np.asarray(np.linalg.inv(cones) @ np.diag(cones @ target / (cones @ source)) @ cones)
