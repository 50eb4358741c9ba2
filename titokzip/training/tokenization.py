"""Tokens as data: images to rows of tokens, in .npy, in Parquet or in a tar of .ttk files.

A square is cut from the middle of every image, as generators are trained on.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from titokzip.codec import Codec
from titokzip.errors import ImageError, ModelError
from titokzip.layouts.tiles import Tiled
from titokzip.runtime.batching import Batch, encode_tiles
from titokzip.runtime.prefetch import ahead
from titokzip.training.data.images import Crop, Sample, read
from titokzip.training.data.sources import Entry, Source
from titokzip.training.data.tokens import TokenFacts
from titokzip.training.token_files import Rows, writer


@dataclass(frozen=True)
class Counts:
    """What became of images."""

    written: int
    broken: int


def facts_of(codec: Codec, classes: Iterable[str]) -> TokenFacts:
    """Describe the tokens of a codec.

    Raises:
        ModelError: it is no tokenizer of tiles.
    """
    about, fingerprint = tiled(codec).tokenizer, codec.fingerprint.hex()
    return TokenFacts(codec.name, fingerprint, about.length, about.vocabulary, tuple(classes))


def tiled(codec: Codec) -> Tiled:
    """Return the layout of a codec.

    Raises:
        ModelError: it is no tokenizer of tiles.
    """
    if not isinstance(codec.layout, Tiled):
        raise ModelError(f"{codec.name}: no tokenizer of tiles, whose rows have one length")
    return codec.layout


def tokenize(
    paths: tuple[Path, ...],
    codec: Codec,
    out: Path,
    *,
    mirror: bool = False,
    threads: int = 2,
    progress: Callable[[int], None] = lambda written: None,
) -> Counts:
    """Write the tokens of all images below some paths; `mirror` adds the mirror image of each.

    Raises:
        ImageError: there are no images.
        FormatError: `out` has another ending than those of `SUFFIXES`, or pyarrow is missing.
        ModelError: the codec is no tokenizer of tiles.
    """
    source, layout = Source(paths), tiled(codec)
    crop = Crop(layout.tokenizer.size).centred()
    written = broken = 0
    with (
        ThreadPoolExecutor(threads) as pool,
        writer(out, facts_of(codec, source.classes), layout) as file,
    ):

        def opened(entry: Entry) -> tuple[str, Sample] | None:
            try:
                return entry.key, read(entry, crop, 0)
            except ImageError:
                return None

        size = layout.batch
        for group in _groups(ahead(pool, opened, _entries(source), 4 * size), size):
            good = [one for one in group if one is not None]
            broken += len(group) - len(good)
            for mirrored in (False, True) if mirror else (False,):
                if good:
                    file.write(_rows(good, layout, mirrored))
                    written += len(good)
            progress(written)
        if not written:
            raise ImageError(f"{', '.join(map(str, paths))}: none of {broken} images can be read")
    return Counts(written, broken)


def _entries(source: Source) -> Iterator[Entry]:
    for shard in range(len(source)):
        yield from source.entries(shard)


def _groups(many: Iterator[Any], size: int) -> Iterator[list[Any]]:
    group = []
    for one in many:
        group.append(one)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group


def _rows(samples: list[tuple[str, Sample]], layout: Tiled, mirrored: bool) -> Rows:
    images = torch.stack([sample["image"] for _, sample in samples])
    tiles = (images.flip(3) if mirrored else images).permute(0, 2, 3, 1).numpy()
    labels = [int(sample["label"]) for _, sample in samples]
    keys = [f"{key}-mirrored" if mirrored else key for key, _ in samples]
    encoded = encode_tiles(layout.tokenizer, [tiles], Batch(layout.batch), layout.device)
    return Rows(keys, np.array(labels, np.int32), np.concatenate(list(encoded)))
