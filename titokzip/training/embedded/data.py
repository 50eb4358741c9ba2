"""Training data of the decoder network: images coded by the codec, beside their originals."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from titokzip.entropy import context_model
from titokzip.entropy.context_model import ContextModel
from titokzip.errors import ImageError
from titokzip.tokenizers.embedded.quantizer import dequantize, quantize, step_size
from titokzip.training.embedded import parts
from titokzip.training.embedded.images import Drawn, Images
from titokzip.training.embedded.parallel import mapped
from titokzip.training.embedded.parts import Item, Pixels, Record
from titokzip.training.embedded.weights import Arrays
from titokzip.transform import planes as conversion
from titokzip.transform import resample
from titokzip.transform.pyramid import analyse, synthesise

PART: Final = 500  # images
_DOUBLE: Final = 1.95  # pixels of the source a working pixel, along each axis, that make a double


@dataclass(frozen=True)
class Part:
    """Images with successive numbers, and the file that they go to; any process can make it."""

    stem: Path  # without a suffix
    numbers: range
    draw: Images
    context: Arrays

    def __call__(self) -> int:
        """Make it, if it is not there yet; gives the number of its images."""
        if self.stem.with_suffix(".json").exists():
            return 0
        model = context_model.from_arrays(self.context)
        return parts.write(self.stem, items(self.numbers, self.draw, model))


def make(
    folder: Path, draw: Images, first: int, count: int, context: Arrays, processes: int = 1
) -> Iterator[int]:
    """Make `count` images from number `first` on, part by part; gives how many each part has.

    Parts that are there already are kept, so a run that was stopped can be started again. Parts
    are numbered on from 1,000 times the salt of the images' settings.
    """
    starts = range(first, first + count, PART)
    base = 1000 * draw.settings.salt
    found = [
        Part(folder / f"{base + i:05d}", range(n, min(n + PART, first + count)), draw, context)
        for i, n in enumerate(starts)
    ]
    yield from mapped(Part.__call__, found, processes)


def items(numbers: range, draw: Images, model: ContextModel) -> Iterator[Item]:
    """Code images; those whose photos cannot be read are left out."""
    for number in numbers:
        try:
            drawn = draw(number)
        except ImageError:
            continue
        yield code(drawn, model)


def code(drawn: Drawn, model: ContextModel) -> Item:
    """Code one image as the encoder does, and decode it but for the network."""
    planes = drawn.working_planes()
    integers = quantize(analyse(planes), drawn.step, model).integers
    decoded = conversion.to_channels(synthesise(dequantize(integers, drawn.step)))
    original = _levels(conversion.to_channels(planes))
    error = float(np.square(decoded.clip(0, 255) - original).mean())
    height, width = original.shape[1:]
    psnr = 10 * np.log10(255**2 / max(error, 1e-6))
    record = Record(
        drawn.name, drawn.is_photo, height, width, step_size(drawn.step), round(float(psnr), 4)
    )
    return Item(record, original, decoded.astype(np.float16), _double(drawn, height, width))


def _double(drawn: Drawn, height: int, width: int) -> Pixels | None:
    """Give the original at twice the working size, if the source is about as large."""
    source = drawn.image
    if min(source.width / width, source.height / height) < _DOUBLE:
        return None
    pixels = np.asarray(source, np.float32).transpose(2, 0, 1)
    return _levels(resample.reduce(pixels, 2 * height, 2 * width))


def _levels(channels: NDArray[np.float32]) -> Pixels:
    return channels.round().clip(0, 255).astype(np.uint8)
