"""Tokens and captions of .ttk shards, for those who train on tokens; no pixels, no network.

    dataset = TokenShards("out/data-{000..099}.tar", shuffle=True)
    for sample in DataLoader(dataset, batch_size=None, num_workers=4):
        sample.tokens, sample.texts["txt"]

Each shard is read once an epoch: by one worker of one rank. Shards are the unit of that, so there
should be as many as there are workers, or more.
"""

import os
import random
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import IterableDataset, get_worker_info

from titokzip import api
from titokzip.batch import storage
from titokzip.batch.members import key_of, members
from titokzip.bitstream.header import Header
from titokzip.errors import TitokzipError
from titokzip.tiling import Grid


@dataclass(frozen=True)
class TokenSample:
    """A sample of a shard."""

    key: str
    tokens: NDArray[np.int32]  # [N, L] of N tiles, or [L] of an image that is coded as a whole
    grid: Grid | None  # of the tiles
    header: Header  # width, height and so on of the image
    texts: dict[str, str]  # by suffix: txt, cls, json, ...


class TokenShards(IterableDataset[TokenSample]):
    """An iterable dataset of the samples of shards, in their order or shuffled.

    `shards` are names, with ranges such as {000..099}, here or behind URLs. With `shuffle`, the
    shards come in another order every epoch, and samples are drawn from a buffer of `buffer`
    samples. `seed` and the epoch (`set_epoch`) determine all of it.
    """

    def __init__(
        self,
        shards: str | Iterable[str],
        *,
        shuffle: bool = False,
        buffer: int = 1000,
        seed: int = 0,
    ) -> None:
        names = [shards] if isinstance(shards, str) else shards
        self.shards = [one for name in names for one in storage.expanded(name)]
        self.shuffle, self.buffer, self.seed, self.epoch = shuffle, buffer, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of an epoch; every rank must choose the same."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[TokenSample]:
        """Read the samples of this worker's shards.

        Raises:
            TitokzipError: a shard is damaged, or one of its samples.
        """
        order = random.Random(f"{self.seed} {self.epoch}")
        shards = order.sample(self.shards, len(self.shards)) if self.shuffle else self.shards
        part, parts = _part()
        own = (sample for name in shards[part::parts] for sample in read_samples(name))
        return _shuffled(own, self.buffer, order) if self.shuffle else own


def read_samples(name: str) -> Iterator[TokenSample]:
    """Read the samples of one shard in order.

    Raises:
        TitokzipError: it is damaged, or a sample holds no .ttk file that decodes.
        OSError: it cannot be read.
    """
    try:
        with storage.opened(name) as file:
            for key, sample in groupby(members(file), key=lambda one: key_of(one[0].name)):
                yield _sample(key, {info.name[len(key) + 1 :]: data for info, data in sample})
    except (TitokzipError, tarfile.TarError, EOFError, zlib.error) as error:
        raise TitokzipError(f"{name}: {error}") from error


def _sample(key: str, files: dict[str, bytes]) -> TokenSample:
    coded = [suffix for suffix in files if suffix.rpartition(".")[2] == "ttk"]
    if len(coded) != 1:
        raise TitokzipError(f"{key} has {len(coded)} .ttk files, not one")
    try:
        found = api.tokens(files.pop(coded[0]))
        texts = {suffix: data.decode() for suffix, data in files.items() if _is_text(suffix)}
    except (TitokzipError, UnicodeDecodeError) as error:
        raise TitokzipError(f"{key}: {error}") from error
    return TokenSample(key, found.tokens, found.grid, found.header, texts)


def _is_text(suffix: str) -> bool:
    return suffix.rpartition(".")[2] in ("txt", "text", "caption", "cls", "cls2", "json")


def _shuffled(
    samples: Iterator[TokenSample], size: int, order: random.Random
) -> Iterator[TokenSample]:
    """Draw samples at random from a buffer that is kept full."""
    held: list[Any] = []
    for sample in samples:
        held.append(sample)
        if len(held) >= size:
            place = order.randrange(len(held))
            held[place], held[-1] = held[-1], held[place]
            yield held.pop()
    order.shuffle(held)
    yield from held


def _part() -> tuple[int, int]:
    """Number this worker among the workers of all ranks, as torchrun starts them."""
    rank, ranks = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    worker = get_worker_info()
    number, count = (worker.id, worker.num_workers) if worker else (0, 1)
    return rank * count + number, ranks * count
