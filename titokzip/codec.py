"""Pictures to .ttk bytes and back.

    picture ─ tiling ─▶ tiles ─ tokenizer ─▶ tokens ─ entropy ─▶ layers ─ container ─▶ file

Every arrow is a module that does not know its neighbours; this one joins them.
N tiles of all pictures at hand go through the network in batches; memory grows with the batch.
"""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain, groupby, islice

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from titokzip import entropy, images, tiling, zoo
from titokzip.bitstream import container
from titokzip.bitstream.container import Contents
from titokzip.bitstream.header import FINGERPRINT_BYTES, Coder, Header
from titokzip.errors import FormatError, RateError, TitokzipError, VerifyError
from titokzip.images import InputImage
from titokzip.rate_control import Rate, fit
from titokzip.runtime import precision as precisions
from titokzip.runtime.batching import DEFAULT_BATCH, batch_size, group_images, rebatch
from titokzip.runtime.compilation import compile_tokenizer
from titokzip.runtime.device import choose
from titokzip.runtime.fork import survive_forks
from titokzip.runtime.tiled_decoding import mosaic
from titokzip.tiling import Grid
from titokzip.tiling.lapped import Tiles
from titokzip.tokenizers.protocol import Tokenizer

Size = tuple[int, int] | None
Row = NDArray[np.int32]  # the tokens of one tile


@dataclass(frozen=True)
class Codec:
    """One model, ready to compress and decompress."""

    model: zoo.Model
    device: str = "cpu"
    batch: int = DEFAULT_BATCH
    truncate: bool = False  # painted pixels to 8 bits, as TiTok's evaluator does; else rounded

    @classmethod
    def load(
        cls,
        name: str = zoo.DEFAULT,
        device: str = "auto",
        batch: int | None = None,
        precision: str = "float32",
        compiled: bool = False,
    ) -> "Codec":
        """Load a model by name or path, as `of` does that of a manifest.

        Raises:
            ModelError: it is not here, or damaged.
        """
        return cls.of(zoo.find(name), device, batch, precision, compiled)

    @classmethod
    def of(
        cls,
        manifest: zoo.Manifest,
        device: str = "auto",
        batch: int | None = None,
        precision: str = "float32",
        compiled: bool = False,
    ) -> "Codec":
        """Load the model of a manifest.

        `device` is auto, cpu, cuda or mps; `batch` is tiles that the networks see at once, by
        default what `runtime.batching` says; `precision` is what it paints in: auto, float32 or
        bfloat16; `compiled` is for bulk work, see `runtime.compilation`.

        Raises:
            ModelError: it is damaged.
            ValueError: there is no such precision.
        """
        survive_forks()
        device = choose(device)
        model = zoo.load(manifest, device)
        model.tokenizer.set_decoder_dtype(precisions.resolve(precision, device))
        if compiled:
            compile_tokenizer(model.tokenizer)
        return cls(model, device, batch or batch_size(model.tokenizer, device))

    # Pictures to bytes

    def compress(
        self, image: Image.Image, rate: Rate | None = None, background: str | None = None
    ) -> bytes:
        """Turn a picture into the bytes of a .ttk file.

        Raises:
            ImageError: it is of a kind that would lose something silently.
            RateError: no setting reaches the size that `rate` asks for.
            FormatError: it has more pixels along a side than a file can say.
        """
        picture = images.plain(image, background)
        data = next(self.compress_all([picture], rate or Rate()))
        if isinstance(data, TitokzipError):
            raise data
        return data

    def compress_all(
        self, many: Iterable[InputImage], rate: Rate, verify: bool = False
    ) -> Iterator[bytes | TitokzipError]:
        """Compress pictures in order, their tiles batched together; what fails is an error.

        `verify` decodes the tokens of each file again and compares.
        """
        for group in group_images(((p, rate.grid(*p.size)) for p in many), self.batch):
            tokens = self.tokenize(chain.from_iterable(self._cut(*one) for one in group))
            ends = np.cumsum([grid.tiles for _, grid in group])[:-1]
            for (picture, grid), own in zip(group, np.split(tokens, ends), strict=True):
                try:
                    data, coded = self._written(picture, grid, own, rate)
                    if verify:
                        self._verify(data, coded)
                except TitokzipError as error:
                    yield error
                    continue
                yield data

    def tokenize(self, rows: Iterable[Tiles]) -> entropy.Tokens:
        """Tokenize rows of tiles, each [n, S, S, 3]; [N, L]."""
        tokens = []
        for batch in rebatch(rows, self.batch):
            pixels = torch.from_numpy(batch).to(self.device).permute(0, 3, 1, 2)
            tokens.append(self._tokenizer.encode(pixels).cpu().numpy())
        return np.concatenate(tokens)

    def write(
        self, picture: InputImage, grid: Grid, tokens: entropy.Tokens, layers: int = 1
    ) -> bytes:
        """Code tokens [N, k] of a picture in the fewest bytes."""
        header = Header(
            self.model.fingerprint[:FINGERPRINT_BYTES],
            picture.width,
            picture.height,
            grid,
            tokens.shape[1],
            grey=picture.grey,
            layers=layers,
        )
        counts, stops = np.full(grid.tiles, tokens.shape[1]), header.stops
        choices = [(Coder.PACKED, entropy.pack(tokens, counts, stops, self._tokenizer.vocabulary))]
        if self.model.context_model is not None:
            coded = entropy.range_encode(tokens, counts, stops, grid, self.model.context_model)
            choices.append((Coder.RANGE, coded))
        coder, payloads = min(choices, key=lambda choice: sum(map(len, choice[1])))
        return container.pack(replace(header, coder=coder), payloads)

    def _verify(self, data: bytes, tokens: entropy.Tokens) -> None:
        """Decode what was just written; a difference would be our own bug."""
        rows = self.read(container.unpack(data, sys.maxsize))
        if not np.array_equal(rows, tokens):
            raise VerifyError("the file does not decode to its tokens; this is a bug of titokzip")

    def _written(
        self, picture: InputImage, grid: Grid, tokens: entropy.Tokens, rate: Rate
    ) -> tuple[bytes, entropy.Tokens]:
        """Code a picture as `rate` asks; the file, and the tokens that it holds."""
        limit = rate.limit(*picture.size)
        if limit is None:
            kept = tokens[:, : self._kept(rate.tokens)]
            return self._layered(picture, grid, kept), kept
        return fit(
            limit,
            picture.size,
            grid,
            tokens,
            prefix_decodable=self._tokenizer.prefix_decodable,
            tokenize=lambda grid: self.tokenize(self._cut(picture, grid)),
            write=lambda grid, tokens: self._layered(picture, grid, tokens),
        )

    def _kept(self, asked: int | None) -> int:
        length = self._tokenizer.length
        if asked is None:
            return length
        if asked > length or (asked < length and not self._tokenizer.prefix_decodable):
            raise RateError(f"this model has {length} tokens a tile, not {asked}")
        return asked

    def _layered(self, picture: InputImage, grid: Grid, tokens: entropy.Tokens) -> bytes:
        """Write as many layers as pay: each costs about six bytes, so a small file has one."""
        count = tokens.size if self._tokenizer.prefix_decodable else 0
        return self.write(picture, grid, tokens, 1 if count <= 512 else 2 if count <= 1024 else 3)

    def _cut(self, picture: InputImage, grid: Grid) -> Iterator[Tiles]:
        size = self._tokenizer.size
        image = tiling.resample(picture.image, grid.columns * size, grid.rows * size)
        return tiling.split(np.asarray(image), size, self._tokenizer.overlap)

    # Bytes to pictures

    def decompress(
        self,
        data: bytes,
        *,
        native: bool = False,
        partial: bool = False,
        size: Size = None,
        max_pixels: int | None = None,
    ) -> Image.Image:
        """Paint the picture in the bytes of a .ttk file; the inverse of `compress`.

        `native` leaves it at the size of its grid; `size` resamples to another than its own.

        Raises:
            FormatError: the bytes are damaged, of too many pixels, or not made by this model.
        """
        return self.paint(container.unpack(data, max_pixels, partial), native=native, size=size)

    def paint(self, contents: Contents, *, native: bool = False, size: Size = None) -> Image.Image:
        """Paint the picture of a file taken apart."""
        painted = self.paint_all([(contents.header, self.read(contents))], native, size)
        return next(painted)

    def paint_all(
        self,
        many: Iterable[tuple[Header, list[Row]]],
        native: bool = False,
        size: Size = None,
    ) -> Iterator[Image.Image]:
        """Paint pictures in order from their headers and tokens, tiles batched together."""
        for group in group_images(((one, one[0].grid) for one in many), self.batch):
            features = self._features(chain.from_iterable(tokens for (_, tokens), _ in group))
            for (header, _), grid in group:
                rows = mosaic(self._tokenizer, islice(features, grid.tiles), grid.columns)
                own = self._tokenizer
                pixels = tiling.join(rows, grid, own.size, own.overlap, self.truncate)
                image = Image.fromarray(pixels)
                if not native:
                    image = tiling.resample(image, *(size or (header.width, header.height)))
                yield image.convert("L") if header.grey else image

    def read(self, contents: Contents) -> list[Row]:
        """Decode the tokens of a file, a row of them for every tile.

        Raises:
            FormatError: they were not made by this model, or do not decode.
        """
        header, prior = contents.header, self.model.context_model
        own = self.model.fingerprint[:FINGERPRINT_BYTES]
        if header.model != own:
            made = header.model.hex()
            raise FormatError(f"compressed with model {made}, not with this one ({own.hex()})")
        painted = header.grid.tiles * self._tokenizer.size**2
        if painted > contents.max_pixels:
            raise FormatError(
                f"its grid of {painted:,} pixels is more than the limit of"
                f" {contents.max_pixels:,}; --max-pixels raises it"
            )
        if header.tokens > self._tokenizer.length:
            raise FormatError(f"damaged: {header.tokens} tokens a tile are more than the model has")
        stops = header.stops[: len(contents.payloads)]
        counts = np.minimum(header.counts or [header.tokens] * header.grid.tiles, stops[-1])
        if not self._tokenizer.prefix_decodable and (counts < self._tokenizer.length).any():
            raise FormatError("damaged: this model needs all tokens of a tile")
        if header.coder == Coder.PACKED:
            vocabulary = self._tokenizer.vocabulary
            tokens = entropy.unpack(contents.payloads, counts, stops, vocabulary)
        elif prior is None:
            raise FormatError("damaged: this model has no tables for the range coder")
        else:
            tokens = entropy.range_decode(contents.payloads, counts, stops, header.grid, prior)
        return [row[:count] for row, count in zip(tokens, counts, strict=True)]

    @torch.inference_mode()
    def _features(self, rows: Iterable[Row]) -> Iterator[torch.Tensor]:
        """Decode tile after tile [C, h, h], in batches of tiles with as many tokens."""
        for _, run in groupby(rows, key=len):
            while chunk := list(islice(run, self.batch)):
                tokens = torch.from_numpy(np.stack(chunk)).to(self.device)
                yield from self._tokenizer.decode_features(tokens)

    @property
    def _tokenizer(self) -> Tokenizer:
        return self.model.tokenizer


def compress(
    image: Image.Image,
    *,
    quality: float | None = None,
    bpp: float | None = None,
    max_bytes: int | None = None,
    tokens: int | None = None,
    tile: int | None = None,
    background: str | None = None,
    model: str = zoo.DEFAULT,
    device: str = "auto",
) -> bytes:
    """Turn a picture into the bytes of a .ttk file; see `Rate` for the ways to set its size.

    Raises:
        ImageError: the picture is of a kind that would lose something silently.
        RateError: no setting reaches the size.
        ModelError: the model is not here.
    """
    rate = Rate(quality, bpp, max_bytes, tokens, tile)
    return _loaded(zoo.find(model), device).compress(image, rate, background)


def decompress(
    data: bytes,
    *,
    partial: bool = False,
    max_pixels: int | None = None,
    model: str | None = None,
    device: str = "auto",
) -> Image.Image:
    """Paint the picture in the bytes of a .ttk file; the inverse of `compress`.

    `model` chooses among models that paint the same tokens; by default it is the one that
    `zoo.find_fingerprint` prefers.

    Raises:
        FormatError: the bytes are not a .ttk file, damaged, of more than `max_pixels`, or not made
            for that model.
        ModelError: the model is not here.
    """
    contents = container.unpack(data, max_pixels, partial)
    manifest = zoo.find(model) if model else zoo.find_fingerprint(contents.header.model)
    return _loaded(manifest, device).paint(contents)


@cache
def _loaded(manifest: zoo.Manifest, device: str) -> Codec:
    return Codec.of(manifest, device, precision="auto")
