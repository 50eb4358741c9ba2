"""How many tiles go through the networks at once, and how tiles of many images fill a batch."""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import TypeVar

import numpy as np
import torch

from titokzip.tiling import Tiles
from titokzip.tokenizers.protocol import Tokenizer

DEFAULT_BATCH = 16  # tiles, on a CPU
LARGEST_BATCH = 256  # tiles, on a GPU
BYTES_PER_PIXEL = 3072  # of a tile in flight; FlexTok's autoencoder, the largest, needs 2,572
T = TypeVar("T")


def batch_size(tokenizer: Tokenizer, device: str) -> int:
    """Choose a batch size, in tiles; on CUDA, one that fills half of the free memory."""
    if not device.startswith("cuda"):
        return DEFAULT_BATCH
    free, _ = torch.cuda.mem_get_info(device)
    fitting = free // 2 // (BYTES_PER_PIXEL * tokenizer.size**2)
    return max(1, min(fitting, LARGEST_BATCH))


def group_images(
    many: Iterable[T], batch: int, tiles: Callable[[T], int]
) -> Iterator[list[T]]:
    """Gather images, each of `tiles(image)` tiles, until they fill a batch."""
    group: list[T] = []
    total = 0
    for one in many:
        group.append(one)
        total += tiles(one)
        if total >= batch:
            yield group
            group, total = [], 0
    if group:
        yield group


def rebatch(rows: Iterable[Tiles], batch: int) -> Iterator[Tiles]:
    """Regroup rows of tiles [n, S, S, 3] into batches."""
    tiles = chain.from_iterable(rows)
    while chunk := list(islice(tiles, batch)):
        yield np.stack(chunk)
