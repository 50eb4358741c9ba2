"""What the codec asks of a layout; the wall between tile tokenizers and the transform codec."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from titokzip.bitstream.container import Contents
from titokzip.bitstream.header import Header
from titokzip.errors import TitokzipError
from titokzip.rate_control import Rate

if TYPE_CHECKING:
    import torch

    from titokzip.layouts.cutting import Cutter, DecodedTiles

Size = tuple[int, int]  # width and height in pixels


class Encoded(NamedTuple):
    """An image after a layout."""

    header: Header
    payloads: list[bytes]  # one for each layer
    tokens: NDArray[np.int32]  # that they hold, as `Layout.tokens` decodes them


class TileNetwork(Protocol):
    """What a layout does around its network, for those who do it in other processes."""

    @property
    def cutter(self) -> "Cutter":
        """Cuts images before the network."""
        ...

    @property
    def batch(self) -> int:
        """Tiles that the network sees at once, at the most."""
        ...

    def decode_tiles(
        self, files: Iterable[tuple[Contents, Size | None]]
    ) -> "Iterator[DecodedTiles | TitokzipError]":
        """Decode files as far as the network is needed; `DecodedTiles.image` does the rest."""
        ...


class Layout(Protocol):
    """Images to layers of entropy-coded tokens, and back."""

    @property
    def device(self) -> str:
        """Where the networks run."""
        ...

    @property
    def keeps_alpha(self) -> bool:
        """Whether it stores transparency; if not, images must be flattened before."""
        ...

    @property
    def takes_best(self) -> bool:
        """Whether `Rate.best` can be asked of it."""
        ...

    @property
    def tiles(self) -> "TileNetwork | None":
        """How images share batches of the network; None where each is coded by itself."""
        ...

    @property
    def dtype(self) -> "torch.dtype":
        """Precision of the decoder network."""
        ...

    def with_batch(self, batch: int) -> Self:
        """Make the same layout with another batch."""
        ...

    def network_calls(self) -> list[tuple[object, str]]:
        """List the methods that run networks, for those who time them."""
        ...

    def encode(self, images: Iterable[Any], rate: Rate) -> Iterator[Encoded | TitokzipError]:
        """Encode images in order; one that cannot be encoded gives its error.

        They are of type InputImage, or what the cutter of `tiles` makes of these.
        """
        ...

    def decode(
        self, files: Iterable[tuple[Contents, Size | None]]
    ) -> Iterator[Image.Image | TitokzipError]:
        """Decode files in order, each resampled to a size; None leaves its native one.

        A file that cannot be decoded gives its error.
        """
        ...

    def tokens(self, contents: Contents) -> NDArray[np.int32]:
        """Decode the tokens of the intact layers; runs no network.

        Raises:
            FormatError: they do not decode.
        """
        ...
