"""How a model is run: how precisely it paints, how many tiles at once, compiled or not."""

import torch
from torch import nn

from titokzip.models.tokenizer import Tokenizer

DEFAULT_BATCH = 16  # tiles, on a CPU
LARGEST_BATCH = 256  # tiles, on a GPU
TILE_BYTES_A_PIXEL = 3072  # of a tile at work; FlexTok's autoencoder, the hungriest, takes 2572
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def batch(tokenizer: Tokenizer, device: str) -> int:
    """Choose how many tiles go through the networks at once.

    On an Nvidia GPU they are to fill half of the memory that the weights have left free.
    """
    if not device.startswith("cuda"):
        return DEFAULT_BATCH
    free, _ = torch.cuda.mem_get_info(device)
    fitting = free // 2 // (TILE_BYTES_A_PIXEL * tokenizer.size**2)
    return max(1, min(fitting, LARGEST_BATCH))


def precision(asked: str, device: str) -> torch.dtype:
    """Tell what to paint in; auto is bfloat16 on a GPU that computes in it, else float32.

    Raises:
        ValueError: no such precision is known.
    """
    if asked == "auto":
        fast = device.startswith("cuda") and torch.cuda.is_bf16_supported(False)  # not emulated
        asked = "bfloat16" if fast else "float32"
    if asked not in PRECISIONS:
        raise ValueError(f"precision is auto, {' or '.join(PRECISIONS)}, not {asked!r}")
    return PRECISIONS[asked]


def compile(tokenizer: Tokenizer) -> None:  # noqa: A001
    """Have torch.compile make the networks faster, which takes a minute when they first run."""
    assert isinstance(tokenizer, nn.Module), "models that load are made of modules"
    for part in tokenizer.children():
        part.compile()
