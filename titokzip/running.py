"""How a model is run: how precisely it paints, how many tiles at once, compiled or not."""

import torch
from torch import nn

from titokzip.models.tokenizer import Tokenizer

DEFAULT_BATCH = 16  # tiles, on a CPU
LARGEST_BATCH = 256  # tiles, on a GPU
TILE_BYTES_A_PIXEL = 3072  # of a tile at work; FlexTok's autoencoder, the hungriest, takes 2572
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
BFLOAT16_INSTRUCTIONS = ("avx512_bf16", "amx_bf16")  # of Intel and AMD


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
    """Tell what to paint in; auto is bfloat16 on a device that computes in it, else float32.

    Raises:
        ValueError: no such precision is known.
    """
    if asked == "auto":
        asked = "bfloat16" if _computes_in_bfloat16(device) else "float32"
    if asked not in PRECISIONS:
        raise ValueError(f"precision is auto, {' or '.join(PRECISIONS)}, not {asked!r}")
    return PRECISIONS[asked]


def compile(tokenizer: Tokenizer) -> None:  # noqa: A001
    """Have torch.compile make the networks faster, which takes a minute when they first run."""
    assert isinstance(tokenizer, nn.Module), "models that load are made of modules"
    for part in tokenizer.children():
        part.compile()


def _computes_in_bfloat16(device: str) -> bool:
    """Tell whether a device has instructions for bfloat16 that torch is known to use.

    A CPU says so since torch 2.11. ARM's are left out, because there compiled matrix products in
    bfloat16 have been 100 times slower than others (pytorch/pytorch#180447).
    """
    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported(False))  # not emulated
    if device != "cpu" or not hasattr(torch.cpu, "get_capabilities"):
        return False
    here = torch.cpu.get_capabilities()
    return any(here.get(name, False) for name in BFLOAT16_INSTRUCTIONS)
