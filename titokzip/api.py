"""The functions of `import titokzip`: one call each, models loaded once.

An image is a path, the bytes of an image file, a uint8 array [H, W], [H, W, 3] or [H, W, 4], or a
PIL image.
"""

import io
from collections.abc import Iterable, Iterator
from itertools import chain
from os import PathLike
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from titokzip import entropy, images, loading, zoo
from titokzip.bitstream import container
from titokzip.bitstream.header import Header, TileLayout
from titokzip.codec import Codec
from titokzip.errors import ImageError, TitokzipError
from titokzip.files import read_bounded
from titokzip.images import InputImage
from titokzip.rate_control import Rate
from titokzip.tiling import Grid

Source = str | PathLike[str] | bytes | bytearray | NDArray[np.uint8] | Image.Image


def compress(
    image: Source,
    *,
    quality: float | None = None,
    bpp: float | None = None,
    max_bytes: int | None = None,
    tokens: int | None = None,
    tile: int | None = None,
    best: bool = False,
    background: str | None = None,
    model: str = zoo.DEFAULT,
    device: str = "auto",
) -> bytes:
    """Compress an image to the bytes of a .ttk file; `Rate` says how to set its size.

    `best` tries more, and decodes what it tries: up to ten times slower, and nearer to the image.
    `background` is a colour that transparent images are flattened on.

    Raises:
        OSError: the file cannot be opened.
        ImageError: the image cannot be read, or the model cannot hold its transparency.
        RateError: no setting reaches the size, or the model is not for `best`.
        ModelError: the model is not here.
    """
    rate = Rate(quality, bpp, max_bytes, tokens, tile, best)
    return _codec(model, device).compress(to_input(image, background), rate)


def decompress(
    data: bytes | str | PathLike[str],
    *,
    partial: bool = False,
    max_pixels: int | None = None,
    model: str | None = None,
    device: str = "auto",
    passes: int | None = None,
) -> Image.Image:
    """Decode the image in a .ttk file, given its bytes or its path; the inverse of `compress`.

    `partial` accepts a truncated file. `model` chooses among decoders of the same tokens; by
    default it is the one that `zoo.find_fingerprint` prefers. `passes` of the embedded model's
    network are averaged, by default 1 to 8 by the size of the image: more are slower and nearer.

    Raises:
        OSError: the file cannot be opened.
        TitokzipError: it is much too long to be a .ttk file.
        FormatError: it is not a .ttk file, is damaged, has more than `max_pixels` pixels, or was
            made with another model.
        ModelError: the model is not here.
        ValueError: `passes` is not 1 to 8.
    """
    if not isinstance(data, bytes):
        with Path(data).open("rb") as file:
            data = read_bounded(file, container.MAX_BYTES)
    codec = _codec_of(container.unpack(data, max_pixels, partial).header, model, device, passes)
    return codec.decompress(data, partial=partial, max_pixels=max_pixels)


def compress_many(
    sources: Iterable[Source],
    rate: Rate | None = None,
    *,
    background: str | None = None,
    model: str = zoo.DEFAULT,
    device: str = "auto",
) -> Iterator[bytes]:
    """Compress images in order, batched across images.

    Raises:
        TitokzipError: one of them cannot be compressed.
    """
    many = (to_input(source, background) for source in sources)
    for result in _codec(model, device).compress_many(many, rate or Rate()):
        if isinstance(result, TitokzipError):
            raise result
        yield result


def decompress_many(
    files: Iterable[bytes],
    *,
    model: str | None = None,
    device: str = "auto",
    passes: int | None = 1,
) -> Iterator[Image.Image]:
    """Decode .ttk files of one model in order, batched across files.

    `passes` is that of `decompress`, by default the fastest; None is by the size of each image.

    Raises:
        TitokzipError: one of them cannot be decoded.
    """
    contents = (container.unpack(data) for data in files)
    first = next(contents, None)
    if first is None:
        return
    codec = _codec_of(first.header, model, device, passes)
    for result in codec.decompress_many(chain([first], contents)):
        if isinstance(result, TitokzipError):
            raise result
        yield result


class Tokens(NamedTuple):
    """What a .ttk file holds, without its pixels."""

    tokens: NDArray[np.int32]  # [N, L] of N tiles, or [L] of an image that is coded as a whole
    grid: Grid | None  # of the tiles
    header: Header


def tokens(data: bytes, *, partial: bool = False) -> Tokens:
    """Decode the tokens of a .ttk file; runs no network, and loads none.

    Raises:
        FormatError: it is not a .ttk file, or is damaged.
        ModelError: its model is not known.
    """
    contents = container.unpack(data, partial=partial)
    header, layout = contents.header, contents.header.layout
    if isinstance(layout, TileLayout):
        boundaries = layout.boundaries(header.layers)
        vocabulary = zoo.vocabulary_of(header.model)
        found = entropy.unpack(contents.payloads, layout.grid.tiles, boundaries, vocabulary)
        return Tokens(found, layout.grid, header)
    return Tokens(_codec_of(header, None, "cpu").tokens(contents), None, header)


def to_input(source: Source, background: str | None = None) -> InputImage:
    """Read an image of any kind that `compress` takes; without a `background`, alpha is kept.

    Raises:
        ImageError: it cannot be read.
        ValueError: an array has another shape or type.
    """
    if isinstance(source, InputImage):
        return source
    if isinstance(source, Image.Image):
        return images.plain(source, background, keep_alpha=True)
    if isinstance(source, np.ndarray):
        if source.dtype != np.uint8 or source.ndim not in (2, 3) or source.shape[2:] not in _SHAPES:
            wanted = "uint8 [H, W], [H, W, 3] or [H, W, 4]"
            raise ValueError(f"an image array is {wanted}, not {source.dtype} {source.shape}")
        if not source.size:
            raise ImageError("it has no pixels")
        return images.plain(Image.fromarray(source), background, keep_alpha=True)
    file = io.BytesIO(source) if isinstance(source, bytes | bytearray) else Path(source)
    return images.read(file, background, keep_alpha=True)


_SHAPES = ((), (3,), (4,))


def _codec(model: str, device: str) -> Codec:
    return loading.cached(zoo.find(model), device, None)


def _codec_of(header: Header, model: str | None, device: str, passes: int | None = None) -> Codec:
    manifest = zoo.find(model) if model else zoo.find_fingerprint(header.model)
    return loading.cached(manifest, device, passes if manifest.kind == zoo.EMBEDDED else None)
