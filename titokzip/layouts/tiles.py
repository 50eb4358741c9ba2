"""Images as grids of square tiles, for the released tokenizers.

    image -> grid of tiles [N, S, S, 3] -> tokens [N, L] -> packed layers

Tiles of all images at hand go through the networks in batches; memory grows with the batch.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain, islice

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from titokzip import entropy, zoo
from titokzip.bitstream import container
from titokzip.bitstream.container import Contents
from titokzip.bitstream.header import FINGERPRINT_BYTES, Header, TileLayout
from titokzip.entropy import Tokens
from titokzip.errors import FormatError, PixelLimitError, TitokzipError
from titokzip.images import InputImage
from titokzip.layouts.cutting import Cut, Cutter, DecodedTiles, tile_layout
from titokzip.layouts.protocol import Encoded, Size
from titokzip.rate_control import Rate, TileTokens
from titokzip.runtime.batching import (
    Batch,
    batch_size,
    decode_features,
    encode_tiles,
    group_images,
)
from titokzip.runtime.compilation import compile_tokenizer
from titokzip.runtime.device import choose
from titokzip.runtime.fork import survive_forks
from titokzip.runtime.precision import resolve
from titokzip.runtime.tiled_decoding import decode_tiles
from titokzip.tiling import Grid, Pixels
from titokzip.tokenizers.protocol import Tokenizer

_BATCHES = 4  # of files that are decoded together on CUDA: the last of them leaves it idle
_NETWORKS = ("encode", "decode_features", "decode_pixels")
_Tokenized = tuple[Contents, Size | None, Tokens]


class Tiled:
    """The `Layout` of tile tokenizers."""

    keeps_alpha = takes_best = False

    def __init__(
        self,
        fingerprint: bytes,
        tokenizer: Tokenizer,
        device: str,
        batch: int,
        truncate: bool = False,
    ) -> None:
        self.fingerprint, self.tokenizer = fingerprint, tokenizer
        self.device, self.truncate = device, truncate
        self._batch = Batch(batch)
        self._batches = _BATCHES if device.startswith("cuda") else 1
        about = TileTokens(tokenizer.length, tokenizer.vocabulary, tokenizer.prefix_decodable)
        self.cutter = Cutter(fingerprint, about, tokenizer.size)

    @property
    def tiles(self) -> "Tiled":
        """Images share batches."""
        return self

    @property
    def batch(self) -> int:
        """Tiles that the network sees at once, at the most."""
        return self._batch.most

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the decoder."""
        first = next(iter(getattr(self.tokenizer, "parameters", list)()), None)
        return torch.float32 if first is None else first.dtype

    def with_batch(self, batch: int) -> "Tiled":
        """Make the same layout with another batch, in tiles."""
        return Tiled(self.fingerprint, self.tokenizer, self.device, batch, self.truncate)

    def network_calls(self) -> list[tuple[object, str]]:
        """List the methods that run networks."""
        return [(self.tokenizer, name) for name in _NETWORKS]

    def encode(
        self, images: Iterable[InputImage | Cut], rate: Rate
    ) -> Iterator[Encoded | TitokzipError]:
        """Encode images in order, or what the cutter made of them; their tiles share batches."""
        waiting: deque[Header | TitokzipError] = deque()

        def tiles() -> Iterator[Pixels]:
            for image in images:
                cut = self._cut(image, rate)
                waiting.append(cut if isinstance(cut, TitokzipError) else cut.header)
                if not isinstance(cut, TitokzipError):
                    yield cut.tiles

        tokens = np.empty((0, self.tokenizer.length), np.int32)
        batches = encode_tiles(self.tokenizer, tiles(), self._batch, self.device)
        for batch in chain(batches, [tokens]):
            tokens = np.concatenate([tokens, batch])
            while waiting and (count := _grid_tiles(waiting[0])) <= len(tokens):
                plan, own, tokens = waiting.popleft(), tokens[:count], tokens[count:]
                yield plan if isinstance(plan, TitokzipError) else self._encoded(plan, own)

    def decode(
        self, files: Iterable[tuple[Contents, Size | None]]
    ) -> Iterator[Image.Image | TitokzipError]:
        """Decode files in order, their tiles batched together."""
        for decoded in self.decode_tiles(files):
            yield decoded if isinstance(decoded, TitokzipError) else decoded.image()

    def decode_tiles(
        self, files: Iterable[tuple[Contents, Size | None]]
    ) -> Iterator[DecodedTiles | TitokzipError]:
        """Decode files in order, as far as the network is needed."""
        tokenized = (self._tokenized(*one) for one in files)
        for group in group_images(tokenized, self._batch.most * self._batches, _tiles_of):
            good = [one for one in group if not isinstance(one, TitokzipError)]
            tokens = chain.from_iterable(tokens for _, _, tokens in good)
            features = decode_features(self.tokenizer, tokens, self._batch)
            grids = [tile_layout(contents.header).grid for contents, _, _ in good]
            rows = decode_tiles(self.tokenizer, features, grids, self._batch, self.truncate)
            for one in group:
                yield one if isinstance(one, TitokzipError) else _decoded(*one[:2], rows)

    def tokens(self, contents: Contents) -> NDArray[np.int32]:
        """Decode the tokens int32 [N, k] of the intact layers."""
        layout = tile_layout(contents.header)
        if layout.tokens > self.tokenizer.length:
            raise FormatError(
                f"damaged: {layout.tokens} tokens per tile are more than the model has"
            )
        boundaries = layout.boundaries(contents.header.layers)
        tokens = entropy.unpack(
            contents.payloads, layout.grid.tiles, boundaries, self.tokenizer.vocabulary
        )
        if not self.tokenizer.prefix_decodable and tokens.shape[1] < self.tokenizer.length:
            raise FormatError("damaged: this model needs all tokens of a tile")
        return tokens

    def file_of(self, tokens: NDArray[np.int32]) -> bytes:
        """Write tokens [k] as the .ttk file of an image of one tile, S pixels square."""
        side = self.tokenizer.size
        layout = TileLayout(Grid(1, 1), len(tokens))
        payloads = entropy.pack(tokens[None], layout.boundaries(1), self.tokenizer.vocabulary)
        return container.pack(Header(self.fingerprint, side, side, layout), payloads)

    def _cut(self, image: InputImage | Cut, rate: Rate) -> Cut | TitokzipError:
        try:
            return image if isinstance(image, Cut) else self.cutter(image, rate)
        except TitokzipError as error:
            return error

    def _encoded(self, plan: Header, tokens: Tokens) -> Encoded:
        layout = tile_layout(plan)
        kept = tokens[:, : layout.tokens]
        boundaries = layout.boundaries(plan.layers)
        return Encoded(plan, entropy.pack(kept, boundaries, self.tokenizer.vocabulary), kept)

    def _tokenized(self, contents: Contents, size: Size | None) -> _Tokenized | TitokzipError:
        try:
            pixels = tile_layout(contents.header).grid.tiles * self.tokenizer.size**2
            if pixels > contents.max_pixels:
                raise PixelLimitError(
                    f"its grid of {pixels:,} pixels is more than the limit of"
                    f" {contents.max_pixels:,}"
                )
            return contents, size, self.tokens(contents)
        except TitokzipError as error:
            return error


def load_tiles(
    manifest: zoo.Manifest,
    device: str = "auto",
    batch: int | None = None,
    precision: str = "auto",
    compiled: bool = False,
    truncate: bool = False,
) -> Tiled:
    """Load a released tokenizer; see `titokzip.loading.load`."""
    survive_forks()
    device = choose(device)
    tokenizer = zoo.load_tokenizer(manifest, device)
    tokenizer.set_decoder_dtype(resolve(precision, device))
    if compiled:
        compile_tokenizer(tokenizer)
    fingerprint = manifest.fingerprint[:FINGERPRINT_BYTES]
    return Tiled(fingerprint, tokenizer, device, batch or batch_size(tokenizer, device), truncate)


def _decoded(contents: Contents, size: Size | None, rows: Iterator[Pixels]) -> DecodedTiles:
    own = islice(rows, tile_layout(contents.header).grid.rows)
    return DecodedTiles(contents.header, np.concatenate(list(own)), size)


def _grid_tiles(plan: Header | TitokzipError) -> int:
    return 0 if isinstance(plan, TitokzipError) else tile_layout(plan).grid.tiles


def _tiles_of(one: _Tokenized | TitokzipError) -> int:
    return 0 if isinstance(one, TitokzipError) else len(one[2])
