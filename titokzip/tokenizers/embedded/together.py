"""Work on many images at once: what is alike is done together, as NumPy is quicker with much.

An encoder is a generator that asks for quantisations and goes on with their results. Those that
images of one size ask for are done side by side; none depends on the others.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Final, TypeVar

from titokzip.entropy.context_model import ContextModel
from titokzip.errors import TitokzipError
from titokzip.tokenizers.embedded.quantizer import (
    Quantising,
    Quantization,
    Quantized,
    quantize_many,
)

T = TypeVar("T")

Shape = tuple[int, int, int]  # planes, and rows and columns of blocks
_MOST_BLOCKS: Final = 2**14  # of images that are coded side by side


def encode_together(works: Sequence[Quantising[T]], model: ContextModel) -> list[T | TitokzipError]:
    """Run encoders to their ends; one that fails gives its error."""
    ends: dict[int, T | TitokzipError] = {}
    asked: dict[int, Quantization] = {}

    def go_on(number: int, quantized: Quantized | None) -> None:
        try:
            work = works[number]
            asked[number] = next(work) if quantized is None else work.send(quantized)
        except StopIteration as end:
            ends[number] = end.value
        except TitokzipError as error:
            ends[number] = error

    for number in range(len(works)):
        go_on(number, None)
    while asked:
        numbers = _most_alike(asked)
        images = [asked.pop(number) for number in numbers]
        for number, quantized in zip(numbers, quantize_many(images, model), strict=True):
            go_on(number, quantized)
    return [ends[number] for number in range(len(works))]


def _most_alike(asked: dict[int, Quantization]) -> list[int]:
    """Choose which images are quantised next: as many of one size as may go side by side."""
    alike = defaultdict[Shape, list[int]](list)
    for number, one in asked.items():
        alike[one.shape].append(number)
    shape, numbers = max(alike.items(), key=lambda item: len(item[1]))
    return numbers[: most_together(shape)]


def most_together(shape: Shape) -> int:
    """Give how many images of a shape are coded side by side at the most."""
    _, rows, columns = shape
    return max(1, _MOST_BLOCKS // (rows * columns))
