"""How many tiles go through the networks at once, and how tiles of many images fill a batch.

Tiles travel as bytes: a batch goes to the device in one piece and comes back in one. While a GPU
works on a batch, the one before is collected.

N tiles of L tokens, S side of a tile in pixels, C channels of a feature.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby, islice
from typing import Any, Final, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from titokzip.errors import is_out_of_memory
from titokzip.runtime import precision
from titokzip.tiling import Pixels
from titokzip.tokenizers.protocol import Tokenizer

DEFAULT_BATCH: Final = 16  # tiles, on a CPU
LARGEST_BATCH: Final = 256  # tiles, on a GPU
# Of a tile while it goes through a network: FlexTok's autoencoder, the largest, needs 2,572.
BYTES_PER_PIXEL: Final = 3072

Row = NDArray[np.int32]  # the tokens of one tile
T = TypeVar("T")


class Batch:
    """How many tiles go through a network at once: fewer once memory has run out."""

    def __init__(self, tiles: int) -> None:
        self.most = self.tiles = tiles

    def run(self, function: Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor:
        """Apply a function to inputs [n, ...]; where memory runs out, to halves of them.

        From then on batches have that half. If memory does not suffice for a single input, the
        batch was not at fault: it gets its old size back, and the error is raised.
        """
        try:
            return function(inputs)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            if len(inputs) == 1:
                self.tiles = self.most
                raise
        # Here the error is gone, and with it the tensors that its traceback held.
        if inputs.device.type == "cuda":
            torch.cuda.empty_cache()
        self.tiles = min(self.tiles, len(inputs) // 2)
        return torch.cat([self.run(function, half) for half in inputs.tensor_split(2)])


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
    tokenizer: Tokenizer, images: Iterable[Pixels], batch: Batch, device: str, tf32: bool = False
) -> Iterator[NDArray[np.int32]]:
    """Tokenize tiles [n, S, S, 3] of many images, in batches that images share; [m, L] each.

    `tf32` makes an Nvidia GPU several times as fast; where two codes are about equally near, it may
    choose the other one.
    """

    def encoded(levels: Tensor) -> Tensor:
        with precision.tf32(tf32):
            return tokenizer.encode(to_unit(levels).permute(0, 3, 1, 2))

    launched = (
        from_device(batch.run(encoded, to_device(tiles, device))) for tiles in _full(images, batch)
    )
    for tokens in collected(launched):
        yield tokens.numpy()


@torch.inference_mode()
def decode_features(tokenizer: Tokenizer, rows: Iterable[Row], batch: Batch) -> Iterator[Tensor]:
    """Decode rows of tokens to features [C, h, h], tile after tile, in batches of equal length."""

    def decoded(tokens: Tensor) -> Tensor:
        with precision.tf32(False):
            return tokenizer.decode_features(tokens)

    for _, run in groupby(rows, key=len):
        while chunk := list(islice(run, batch.tiles)):
            yield from batch.run(decoded, torch.from_numpy(np.stack(chunk)))


def to_unit(levels: Tensor) -> Tensor:
    """Map bytes to 0..1, on every device to the numbers that NumPy has."""
    # CUDA multiplies by the reciprocal of a number, and divides by a tensor.
    return levels.float().div_(torch.full((), 255.0, device=levels.device))


def to_levels(pixels: Tensor, truncate: bool = False) -> Tensor:
    """Map 0..1 to bytes, rounded or, as TiTok's evaluator does, truncated."""
    levels = pixels.float().clamp(0, 1).mul_(255)  # clamp has made a copy
    return (levels if truncate else levels.round_()).to(torch.uint8)


def to_device(array: NDArray[Any], device: str) -> Tensor:
    """Move an array to a device, without waiting for it where that is possible."""
    tensor = torch.from_numpy(array)
    if not device.startswith("cuda"):
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def from_device(tensor: Tensor) -> Callable[[], Tensor]:
    """Start moving a tensor to the CPU; a call of what is returned waits for it."""
    if tensor.device.type != "cuda":
        return tensor.cpu
    host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    host.copy_(tensor, non_blocking=True)
    there = torch.cuda.Event()  # type: ignore[no-untyped-call]
    there.record()

    def wait() -> Tensor:
        there.synchronize()
        return host

    return wait


def collected(launched: Iterable[Callable[[], T]]) -> Iterator[T]:
    """Collect results in order, on CUDA each when the next has been launched."""
    before: Callable[[], T] | None = None
    for collect in launched:
        if not torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            yield collect()
            continue
        if before is not None:
            yield before()
        before = collect
    if before is not None:
        yield before()


def _full(images: Iterable[Pixels], batch: Batch) -> Iterator[Pixels]:
    """Gather tiles [n, S, S, 3] of images to batches; a large image is cut, small ones joined."""
    held: list[Pixels] = []
    missing = batch.tiles
    for tiles in images:
        while len(tiles):
            held.append(tiles[:missing])
            tiles = tiles[missing:]
            missing -= len(held[-1])
            if missing <= 0:
                yield np.concatenate(held)
                held, missing = [], batch.tiles
    if held:
        yield np.concatenate(held)
