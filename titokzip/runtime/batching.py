"""How many tiles go through the networks at once, and how tiles of many images fill a batch.

N tiles of L tokens, S side of a tile in pixels, C channels of a feature.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, groupby, islice
from typing import Final, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from titokzip.runtime import precision
from titokzip.tiling import Tiles
from titokzip.tokenizers.protocol import Tokenizer

DEFAULT_BATCH: Final = 16  # tiles, on a CPU
LARGEST_BATCH: Final = 256  # tiles, on a GPU
# Of a tile while it goes through a network: FlexTok's autoencoder, the largest, needs 2,572.
BYTES_PER_PIXEL: Final = 3072

Row = NDArray[np.int32]  # the tokens of one tile
T = TypeVar("T")


def batch_size(tokenizer: Tokenizer, device: str) -> int:
    """Choose a batch size, in tiles; on CUDA, one that fills half of the free memory."""
    if not device.startswith("cuda"):
        return DEFAULT_BATCH
    free, _ = torch.cuda.mem_get_info(device)
    fitting = free // 2 // (BYTES_PER_PIXEL * tokenizer.size**2)
    return max(1, min(fitting, LARGEST_BATCH))


def group_images(many: Iterable[T], batch: int, tiles: Callable[[T], int]) -> Iterator[list[T]]:
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


@torch.inference_mode()
def encode_tiles(
    tokenizer: Tokenizer, rows: Iterable[Tiles], batch: int, device: str, tf32: bool = False
) -> NDArray[np.int32]:
    """Tokenize rows of tiles, each [n, S, S, 3] in 0..1; [N, L].

    `tf32` makes an Nvidia GPU several times as fast; where two codes are about equally near, it may
    choose the other one.
    """
    tiles, tokens = chain.from_iterable(rows), [np.empty((0, tokenizer.length), np.int32)]
    while chunk := list(islice(tiles, batch)):
        pixels = torch.from_numpy(np.stack(chunk)).to(device).permute(0, 3, 1, 2)
        with precision.tf32(tf32):
            tokens.append(tokenizer.encode(pixels).cpu().numpy())
    return np.concatenate(tokens)


@torch.inference_mode()
def decode_features(tokenizer: Tokenizer, rows: Iterable[Row], batch: int) -> Iterator[Tensor]:
    """Decode rows of tokens to features [C, h, h], tile after tile, in batches of equal length."""
    for _, run in groupby(rows, key=len):
        while chunk := list(islice(run, batch)):
            with precision.tf32(False):
                features = tokenizer.decode_features(torch.from_numpy(np.stack(chunk)))
            yield from features
