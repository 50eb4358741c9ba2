"""Trivial baselines: a raw thumbnail, and BlurHash.

Their decoders receive the size of the original as free side information, as all baselines do.
"""

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Size = tuple[int, int]  # width, height
Array = NDArray[np.float64]

_BITS = 5  # a channel of a thumbnail's cell
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz#$%*+,-.:;=?@[]^_{|}~"
_MOST = 9  # components of BlurHash each way


def thumbnail(image: Image.Image, budget: int) -> bytes | None:
    """Average the image to as many cells as fit, 5 bits a channel; a byte tells the columns."""
    channels = len(image.getbands())
    cells = (budget - 1) * 8 // (channels * _BITS)
    if cells < 1:
        return None
    columns, rows = _shape(cells, image.width / image.height)
    small = np.asarray(image.resize((columns, rows), Image.Resampling.BOX))
    levels = np.rint(small / 255 * (2**_BITS - 1)).astype(np.uint8)
    bits = np.unpackbits(levels.reshape(-1, 1), axis=1)[:, 8 - _BITS :]
    return bytes([columns]) + np.packbits(bits).tobytes()


def enlarged(data: bytes, size: Size, grey: bool = False) -> Image.Image:
    """Enlarge a thumbnail; the inverse of `thumbnail`."""
    columns, channels = data[0], 1 if grey else 3
    bits = np.unpackbits(np.frombuffer(data[1:], np.uint8))
    rows = len(bits) // (columns * channels * _BITS)
    whole = bits[: rows * columns * channels * _BITS].reshape(-1, _BITS)
    levels = whole @ (1 << np.arange(_BITS)[::-1])
    shape = (rows, columns) if grey else (rows, columns, channels)
    small = np.rint(levels.reshape(shape) * 255 / (2**_BITS - 1)).astype(np.uint8)
    return Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)


def blurhash(image: Image.Image, budget: int) -> bytes | None:
    """Encode the image with as many cosine components as fit, in BlurHash's own characters.

    The format is https://github.com/woltapp/blurhash/blob/master/Algorithm.md: one character each
    for the number of components and for the largest, four for the mean colour, two a component, in
    base 83.
    """
    if budget < 6:
        return None
    columns, rows = _shape((budget - 4) // 2, image.width / image.height, _MOST)
    small = image.convert("RGB").resize((32, 32), Image.Resampling.BOX)
    waves = _waves(_linear(np.asarray(small) / 255), columns, rows)
    red, green, blue = np.rint(_gamma(waves[0]) * 255).astype(int)
    text = _digits(columns - 1 + (rows - 1) * 9, 1)
    others = waves[1:]
    largest = float(np.abs(others).max()) if len(others) else 0.0
    step = max(0, min(82, math.floor(largest * 166 - 0.5)))
    text += _digits(step, 1) + _digits(red << 16 | green << 8 | blue, 4)
    unit = others / ((step + 1) / 166)
    levels = np.floor(np.copysign(np.sqrt(np.abs(unit)), unit) * 9 + 9.5).clip(0, 18).astype(int)
    return (text + "".join(_digits(int(v @ [361, 19, 1]), 2) for v in levels)).encode()


def unhashed(data: bytes, size: Size, grey: bool = False) -> Image.Image:
    """Decode a BlurHash; the inverse of `blurhash`."""
    text = data.decode()
    shape = _number(text[0])
    columns, rows = shape % 9 + 1, shape // 9 + 1
    largest, mean = (_number(text[1]) + 1) / 166, _number(text[2:6])
    waves = np.zeros((rows * columns, 3))
    waves[0] = _linear(np.array([mean >> 16, mean >> 8 & 255, mean & 255]) / 255)
    for i in range(1, len(waves)):
        value = _number(text[4 + 2 * i : 6 + 2 * i])
        level = (np.array([value // 361, value // 19 % 19, value % 19]) - 9) / 9
        waves[i] = np.copysign(level**2, level) * largest
    x, y = _basis(columns, size[0]), _basis(rows, size[1])
    light = np.einsum("ry,cx,rcd->yxd", y, x, waves.reshape(rows, columns, 3))
    image = Image.fromarray(np.rint(_gamma(light) * 255).astype(np.uint8))
    return image.convert("L") if grey else image


def _shape(cells: int, aspect: float, most: int = 255) -> Size:
    """Choose columns and rows, at most `cells` in all, that are as square as the image."""
    columns = min(max(round(math.sqrt(cells * aspect)), 1), cells, most)
    return columns, min(cells // columns, most)


def _waves(light: Array, columns: int, rows: int) -> Array:
    """Project light [H, W, 3] on cosines, the constant first; [rows * columns, 3]."""
    height, width, _ = light.shape
    x, y = _basis(columns, width), _basis(rows, height)
    waves: Array = np.einsum("yxd,ry,cx->rcd", light, y, x).reshape(-1, 3) / (width * height)
    waves[1:] *= 2
    return waves


def _basis(count: int, length: int) -> Array:
    basis: Array = np.cos(np.pi * np.outer(np.arange(count), np.arange(length) + 0.5) / length)
    return basis


def _linear(value: Array) -> Array:
    """Turn sRGB 0..1 to linear light (IEC 61966-2-1)."""
    light: Array = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return light


def _gamma(light: Array) -> Array:
    """Turn linear light to sRGB 0..1, clamped; undoes `_linear`."""
    light = light.clip(0, 1)
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


def _digits(value: int, length: int) -> str:
    return "".join(_DIGITS[value // 83**i % 83] for i in reversed(range(length)))


def _number(text: str) -> int:
    value = 0
    for character in text:
        value = value * 83 + _DIGITS.index(character)
    return value
