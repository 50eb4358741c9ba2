"""The integers of files, those of one size together."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from titokzip.bitstream.container import Contents
from titokzip.bitstream.header import Header, TransformLayout
from titokzip.entropy import coder
from titokzip.entropy.context_model import ContextModel
from titokzip.errors import FormatError, TitokzipError
from titokzip.tokenizers.embedded.together import Shape, most_together
from titokzip.transform.lapped import SIDE
from titokzip.transform.pyramid import Integers
from titokzip.transform.working_size import working_blocks

LEAST_PIXELS: Final = 2**14  # that an image counts where several are held


def integers_of(files: Sequence[Contents], model: ContextModel) -> list[Integers | TitokzipError]:
    """Decode the integers of files; one that cannot be decoded, or has none, gives its error."""
    found: dict[int, Integers | TitokzipError] = {}
    alike = defaultdict[Shape, list[int]](list)
    for number, contents in enumerate(files):
        try:
            alike[_shape(contents.header)].append(number)
        except TitokzipError as error:
            found[number] = error
    for shape, numbers in alike.items():
        most = most_together(shape)
        for start in range(0, len(numbers), most):
            some = numbers[start : start + most]
            stored = [_stored(files[number]) for number in some]
            found |= zip(some, coder.decode_many(stored, *shape, model), strict=True)
    return [found[number] for number in range(len(files))]


def pixels_of_header(header: Header) -> int:
    """Count the pixels that decoding an image takes, those of its blocks among them."""
    pixels = max(header.width * header.height, LEAST_PIXELS)
    try:
        _, rows, columns = _shape(header)
    except FormatError:  # a palette, or damaged
        return pixels
    return max(pixels, rows * columns * SIDE**2)


def transform_layout(header: Header) -> TransformLayout:
    """Give the layout of an image under the transform.

    Raises:
        FormatError: it has another.
    """
    if not isinstance(header.layout, TransformLayout):
        raise FormatError("damaged: this model's files hold no tiles")
    return header.layout


def _shape(header: Header) -> Shape:
    blocks = transform_layout(header).blocks
    return header.channels, *working_blocks(header.width, header.height, blocks)


def _stored(contents: Contents) -> coder.Stored:
    header = contents.header
    return coder.Stored(contents.payloads, transform_layout(header).step, header.layers)
