"""Images as grids of square tiles, for the released tokenizers.

    image -> grid of tiles [N, S, S, 3] -> tokens [N, L] -> packed layers

Tiles of all images at hand go through the networks in batches; memory grows with the batch.
"""

from collections.abc import Iterable, Iterator
from itertools import chain, islice

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from titokzip import entropy, rate_control, zoo
from titokzip.bitstream import container
from titokzip.bitstream.container import Contents
from titokzip.bitstream.header import FINGERPRINT_BYTES, Header, TileLayout
from titokzip.entropy import Tokens
from titokzip.errors import FormatError, PixelLimitError, TitokzipError, Transparent
from titokzip.images import InputImage
from titokzip.layouts.protocol import Encoded, Size
from titokzip.rate_control import Rate, TileTokens
from titokzip.runtime.batching import batch_size, decode_features, encode_tiles, group_images
from titokzip.runtime.compilation import compile_tokenizer
from titokzip.runtime.device import choose
from titokzip.runtime.fork import survive_forks
from titokzip.runtime.precision import resolve
from titokzip.runtime.tiled_decoding import decode_tiles
from titokzip.tiling import Grid, Tiles, join, resample, split
from titokzip.tokenizers.protocol import Tokenizer

_NETWORKS = ("encode", "decode_features", "decode_pixels")
_Tokenized = tuple[Contents, Size | None, Tokens]


class Tiled:
    """The `Layout` of tile tokenizers."""

    keeps_alpha = False

    def __init__(
        self,
        fingerprint: bytes,
        tokenizer: Tokenizer,
        device: str,
        batch: int,
        truncate: bool = False,
    ) -> None:
        self.fingerprint, self.tokenizer = fingerprint, tokenizer
        self.device, self.batch, self.truncate = device, batch, truncate
        self.about = TileTokens(tokenizer.length, tokenizer.vocabulary, tokenizer.prefix_decodable)

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

    def encode(self, images: Iterable[InputImage], rate: Rate) -> Iterator[Encoded | TitokzipError]:
        """Encode images in order, their tiles batched together."""
        planned = (self._planned(image, rate) for image in images)
        for group in group_images(planned, self.batch, tiles=lambda one: _grid_tiles(one[1])):
            good = [(image, plan) for image, plan in group if isinstance(plan, Header)]
            rows = chain.from_iterable(self._cut(*one) for one in good)
            tokens = encode_tiles(self.tokenizer, rows, self.batch, self.device)
            parts = iter(
                np.split(tokens, np.cumsum([_layout(plan).grid.tiles for _, plan in good]))
            )
            for _, plan in group:
                yield self._encoded(plan, next(parts)) if isinstance(plan, Header) else plan

    def decode(
        self, files: Iterable[tuple[Contents, Size | None]]
    ) -> Iterator[Image.Image | TitokzipError]:
        """Decode files in order, their tiles batched together."""
        tokenized = (self._tokenized(*one) for one in files)
        for group in group_images(tokenized, self.batch, tiles=_tiles_of):
            good = [one for one in group if not isinstance(one, TitokzipError)]
            tokens = chain.from_iterable(tokens for _, _, tokens in good)
            features = decode_features(self.tokenizer, tokens, self.batch)
            grids = [_layout(contents.header).grid for contents, _, _ in good]
            rows = decode_tiles(self.tokenizer, features, grids, self.batch)
            for one in group:
                yield one if isinstance(one, TitokzipError) else self._image(*one[:2], rows)

    def tokens(self, contents: Contents) -> NDArray[np.int32]:
        """Decode the tokens int32 [N, k] of the intact layers."""
        layout = _layout(contents.header)
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

    def _planned(self, image: InputImage, rate: Rate) -> tuple[InputImage, Header | TitokzipError]:
        try:
            if image.alpha is not None:
                raise Transparent("it is transparent, and this model has no alpha channel")
            size, grey = image.size, image.grey
            unplanned = Header(self.fingerprint, *size, TileLayout(Grid(1, 1), 1), grey)
            return image, rate_control.plan_tiles(rate, unplanned, self.about)
        except TitokzipError as error:
            return image, error

    def _cut(self, image: InputImage, plan: Header) -> Iterator[Tiles]:
        grid, size = _layout(plan).grid, self.tokenizer.size
        resampled = resample(image.image, grid.columns * size, grid.rows * size)
        return split(np.asarray(resampled), size)

    def _encoded(self, plan: Header, tokens: Tokens) -> Encoded:
        layout = _layout(plan)
        kept = tokens[:, : layout.tokens]
        boundaries = layout.boundaries(plan.layers)
        return Encoded(plan, entropy.pack(kept, boundaries, self.tokenizer.vocabulary), kept)

    def _tokenized(self, contents: Contents, size: Size | None) -> _Tokenized | TitokzipError:
        try:
            pixels = _layout(contents.header).grid.tiles * self.tokenizer.size**2
            if pixels > contents.max_pixels:
                raise PixelLimitError(
                    f"its grid of {pixels:,} pixels is more than the limit of"
                    f" {contents.max_pixels:,}"
                )
            return contents, size, self.tokens(contents)
        except TitokzipError as error:
            return error

    def _image(self, contents: Contents, size: Size | None, rows: Iterator[Tiles]) -> Image.Image:
        grid = _layout(contents.header).grid
        own = islice(rows, grid.rows)
        image = Image.fromarray(join(own, grid, self.tokenizer.size, self.truncate))
        if size is not None:
            image = resample(image, *size)
        return image.convert("L") if contents.header.grey else image


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


def _layout(header: Header) -> TileLayout:
    if not isinstance(header.layout, TileLayout):
        raise FormatError("damaged: this model's files hold tiles")
    return header.layout


def _grid_tiles(plan: Header | TitokzipError) -> int:
    return _layout(plan).grid.tiles if isinstance(plan, Header) else 0


def _tiles_of(one: _Tokenized | TitokzipError) -> int:
    return 0 if isinstance(one, TitokzipError) else len(one[2])
