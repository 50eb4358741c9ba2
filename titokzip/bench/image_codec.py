"""What the bench asks of a baseline: an image and numbers of bytes to files, and back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from PIL import Image

from titokzip.bench.cache import hash_of
from titokzip.errors import TitokzipError

Size = tuple[int, int]  # width, height


class CodecFailed(TitokzipError):
    """A baseline could not encode or decode an image."""


@dataclass(frozen=True)
class Encoded:
    """A file of a baseline, and the size of the image inside it."""

    data: bytes
    coded: Size  # before it is enlarged again
    grey: bool = False
    setting: str = ""  # the quality that was found

    @property
    def key(self) -> str:
        """Hash of all that its decoder sees."""
        return hash_of(self.data, self.coded, self.grey)


class ImageCodec(Protocol):
    """What the bench asks of a codec."""

    @property
    def name(self) -> str:
        """As it is called in tables."""
        ...

    @property
    def suffix(self) -> str:
        """Of its files."""
        ...

    @property
    def note(self) -> str:
        """Program or library, version and settings, for the result."""
        ...

    def encode(self, image: Image.Image, budgets: Sequence[int]) -> list[Encoded | None]:
        """Make the best file of at most so many bytes for each budget; None where none fits."""
        ...

    def decode(self, encoded: Encoded, size: Size) -> Image.Image:
        """Decode to RGB or greyscale of that size; the inverse of `encode`, but for the loss."""
        ...

    def compared_bytes(self, data: bytes) -> int:
        """Count the bytes that a budget limits."""
        ...


@dataclass(frozen=True)
class Trivial:
    """A placeholder whose only dial is its number of cells or waves."""

    name: str
    suffix: str
    note: str
    save: Callable[[Image.Image, int], bytes | None]
    load: Callable[[bytes, Size, bool], Image.Image]

    def encode(self, image: Image.Image, budgets: Sequence[int]) -> list[Encoded | None]:
        """Fill the bytes as far as they go."""
        grey = image.mode == "L"
        made = [self.save(image, budget) for budget in budgets]
        return [None if data is None else Encoded(data, image.size, grey) for data in made]

    def decode(self, encoded: Encoded, size: Size) -> Image.Image:
        """Decode it at that size."""
        return self.load(encoded.data, size, encoded.grey)

    def compared_bytes(self, data: bytes) -> int:
        """Count all of them."""
        return len(data)
