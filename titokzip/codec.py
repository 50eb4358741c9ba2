"""Images to .ttk files and back.

    image -> layout -> tokens -> entropy coding -> layers -> bitstream -> file

A layout turns images into layers of coded tokens: the transform of the whole image (the embedded
model), or square tiles (released tokenizers). The bitstream wraps them in a header and CRCs.
`loading` makes a codec of a model; `api` has the functions for one-off use.
"""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from titokzip.bitstream import container
from titokzip.bitstream.container import Contents
from titokzip.bitstream.header import FINGERPRINT_BYTES
from titokzip.errors import FormatError, TitokzipError, VerificationError
from titokzip.images import InputImage
from titokzip.layouts.protocol import Layout, Size
from titokzip.rate_control import Rate

if TYPE_CHECKING:
    from titokzip.layouts.cutting import Cut, DecodedTiles

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Codec:
    """One model, ready to compress and decompress; compared and hashed by identity."""

    name: str
    fingerprint: bytes
    layout: Layout

    def with_batch(self, batch: int) -> "Codec":
        """Make the same codec with another batch."""
        return replace(self, layout=self.layout.with_batch(batch))

    def compress(self, image: InputImage, rate: Rate | None = None) -> bytes:
        """Compress an image to the bytes of a .ttk file.

        Raises:
            RateError: no setting reaches the size that `rate` asks for.
            FormatError: a side is longer than a file can store.
            ImageError: the model cannot hold its transparency.
        """
        return _raised(next(self.compress_many([image], rate or Rate())))

    def compress_many(
        self, images: "Iterable[InputImage | Cut]", rate: Rate, verify: bool = False
    ) -> Iterator[bytes | TitokzipError]:
        """Compress images in order, batched across images; one that fails gives its error.

        They may be cut already, by the cutter of the layout. `verify` decodes the tokens of every
        file again.
        """
        for encoded in self.layout.encode(images, rate):
            if isinstance(encoded, TitokzipError):
                yield encoded
                continue
            data = container.pack(encoded.header, encoded.payloads)
            yield (self._mismatch(data, encoded.tokens) if verify else None) or data

    def decompress(
        self,
        data: bytes,
        *,
        native: bool = False,
        size: Size | None = None,
        partial: bool = False,
        max_pixels: int | None = None,
    ) -> Image.Image:
        """Decode the image in a .ttk file; the inverse of `compress`.

        `native` keeps the size of the decoder's output; `size` asks for another size than the
        image's own. `partial` accepts a truncated file.

        Raises:
            FormatError: the bytes are damaged, have too many pixels, or are of another model.
        """
        contents = container.unpack(data, max_pixels, partial)
        return _raised(next(self.decompress_many([contents], native, size)))

    def decompress_many(
        self, files: Iterable[Contents], native: bool = False, size: Size | None = None
    ) -> Iterator[Image.Image | TitokzipError]:
        """Decode files in order, batched across files; one that fails gives its error.

        Raises:
            FormatError: another model made one of them.
        """

        yield from self.layout.decode(self._sized(files, native, size))

    def decompress_tiles(
        self, files: Iterable[Contents], native: bool = False, size: Size | None = None
    ) -> "Iterator[DecodedTiles | TitokzipError]":
        """Decode files as `decompress_many` does, as far as the network of a tokenizer is needed.

        `DecodedTiles.image` makes their images, in this process or in another.
        """
        assert self.layout.tiles, "this model decodes no tiles"
        yield from self.layout.tiles.decode_tiles(self._sized(files, native, size))

    def _sized(
        self, files: Iterable[Contents], native: bool, size: Size | None
    ) -> Iterator[tuple[Contents, Size | None]]:
        for contents in files:
            own = contents.header.width, contents.header.height
            yield self.checked(contents), None if native else size or own

    def tokens(self, contents: Contents) -> NDArray[np.int32]:
        """Decode the tokens of a file's intact layers; runs no network.

        Raises:
            FormatError: they do not decode, or are of another model.
        """
        return self.layout.tokens(self.checked(contents))

    def checked(self, contents: Contents) -> Contents:
        """Return the contents of a file if this model made it.

        Raises:
            FormatError: another model did.
        """
        made, own = contents.header.model, self.fingerprint[:FINGERPRINT_BYTES]
        if made != own:
            raise FormatError(f"compressed with model {made.hex()}, not with {own.hex()}")
        return contents

    def _mismatch(self, data: bytes, tokens: NDArray[np.int32]) -> VerificationError | None:
        """Decode the tokens of a file again and compare."""
        try:
            equal = np.array_equal(self.tokens(container.unpack(data, sys.maxsize)), tokens)
        except TitokzipError as error:
            return VerificationError(f"the file does not decode ({error}); please report this bug")
        if equal:
            return None
        return VerificationError("the file decodes to other tokens; please report this bug")


def _raised(result: T | TitokzipError) -> T:
    if isinstance(result, TitokzipError):
        raise result
    return result
