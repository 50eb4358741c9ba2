"""Images as the raw video that video encoders read, and back: Y4M files and bare planes.

Colours are the full-range YCbCr of JPEG (ITU-T T.871) at 8 or 10 bits, 4:2:0 with centred chroma;
a greyscale image is 4:0:0. Sides are padded to even numbers, as 4:2:0 needs them, and the padding
is cropped again.
"""

import re
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Size = tuple[int, int]  # width, height
Plane = NDArray[np.float32]  # [H, W], 0..1
Depth = Literal[8, 10]

_TO_YCBCR = np.array(
    [[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]], np.float32
)
_TO_RGB = np.array([[1, 0, 1.402], [1, -0.344136, -0.714136], [1, 1.772, 0]], np.float32)
_HEADER = re.compile(rb"YUV4MPEG2 [^\n]*\n")


def to_yuv(image: Image.Image, depth: Depth) -> bytes:
    """Convert an RGB or greyscale image to planes of samples, two bytes each above 8 bits."""
    samples = [np.rint(plane.clip(0, 1) * (2**depth - 1)) for plane in _planes(image)]
    kind = np.uint8 if depth == 8 else np.dtype("<u2")
    return b"".join(plane.astype(kind).tobytes() for plane in samples)


def from_yuv(data: bytes, size: Size, depth: Depth, grey: bool) -> Image.Image:
    """Convert planes to an image of `size`; the inverse of `to_yuv`.

    Raises:
        ValueError: there are not as many samples as the size needs.
    """
    width, height = _even(size)
    samples = np.frombuffer(data, np.uint8 if depth == 8 else np.dtype("<u2"))
    chroma = (width // 2) * (height // 2)
    if len(samples) < width * height + (0 if grey else 2 * chroma):
        raise ValueError(f"{len(data)} bytes are too few for {width} x {height} pixels")
    whole = samples.astype(np.float32) / (2**depth - 1)
    luma = whole[: width * height].reshape(height, width)
    if grey:
        return _image(luma[: size[1], : size[0]])
    start = width * height
    halves = [
        whole[start + i * chroma : start + (i + 1) * chroma].reshape(height // 2, width // 2)
        for i in range(2)
    ]
    colours = [_resized(half - np.float32(_middle(depth)), (width, height)) for half in halves]
    pixels = np.stack([luma, *colours], axis=2) @ _TO_RGB.T
    return _image(pixels[: size[1], : size[0]])


def to_y4m(image: Image.Image, depth: Depth) -> bytes:
    """Write a video of one frame."""
    width, height = _even(image.size)
    chroma = "mono" if image.mode == "L" else "420jpeg" if depth == 8 else "420p"
    kind = chroma + (str(depth) if depth > 8 else "")
    return f"YUV4MPEG2 W{width} H{height} F25:1 Ip A1:1 C{kind}\nFRAME\n".encode() + to_yuv(
        image, depth
    )


def from_y4m(data: bytes, size: Size) -> Image.Image:
    """Read the first frame of a video, cropped to `size`; the inverse of `to_y4m`.

    Raises:
        ValueError: it is not a Y4M file of that size in 4:2:0 or 4:0:0.
    """
    header = _HEADER.match(data)
    fields = {word[:1]: word[1:] for word in header[0].split()[1:]} if header else {}
    width, height = (int(fields.get(key, b"0")) for key in (b"W", b"H"))
    chroma = fields.get(b"C", b"420")
    if header is None or (width, height) not in (size, _even(size)):
        raise ValueError(f"not a Y4M file of {size[0]} x {size[1]} pixels")
    if not chroma.startswith((b"420", b"mono")):
        raise ValueError(f"the chroma format {chroma.decode('ascii', 'replace')} is not supported")
    found = re.search(rb"(?:p|mono)(\d+)$", chroma)
    depth = int(found[1]) if found else 8
    if depth not in (8, 10):
        raise ValueError(f"{depth} bits a sample are not supported")
    frame = data.index(b"\n", header.end()) + 1
    return from_yuv(data[frame:], size, 8 if depth == 8 else 10, chroma.startswith(b"mono"))


def _planes(image: Image.Image) -> list[Plane]:
    """Split an image into Y, Cb and Cr, or a greyscale one into Y, with even sides."""
    pixels = np.asarray(image, np.float32) / np.float32(255)
    width, height = _even(image.size)
    edges = [(0, height - image.height), (0, width - image.width), (0, 0)]
    pixels = np.pad(pixels, edges[: pixels.ndim], mode="edge")
    if pixels.ndim == 2:
        return [pixels]
    luma, *colours = np.moveaxis(pixels @ _TO_YCBCR.T, 2, 0)
    halves = [_resized(c, (width // 2, height // 2)) + np.float32(0.5) for c in colours]
    return [luma.astype(np.float32), *halves]


def _middle(depth: Depth) -> float:
    """Value of a chroma sample that stands for no colour."""
    most = float(2**depth - 1)
    return round(0.5 * most) / most


def _resized(plane: Plane, size: Size) -> Plane:
    image = Image.fromarray(np.ascontiguousarray(plane))
    return np.asarray(image.resize(size, Image.Resampling.BICUBIC))


def _image(pixels: NDArray[np.float32]) -> Image.Image:
    return Image.fromarray(np.rint(pixels.clip(0, 1) * 255).astype(np.uint8))


def _even(size: Size) -> Size:
    return size[0] + size[0] % 2, size[1] + size[1] % 2
