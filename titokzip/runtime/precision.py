"""The floating-point precision in which decoders run."""

import torch

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
BFLOAT16_INSTRUCTIONS = ("avx512_bf16", "amx_bf16")  # of Intel and AMD processors


def resolve(name: str, device: str) -> torch.dtype:
    """Resolve a precision; "auto" is bfloat16 where the device computes in it, else float32.

    Raises:
        ValueError: the name is unknown.
    """
    if name == "auto":
        name = "bfloat16" if _has_bfloat16(device) else "float32"
    if name not in PRECISIONS:
        raise ValueError(f"precision is auto, {' or '.join(PRECISIONS)}, not {name!r}")
    return PRECISIONS[name]


def _has_bfloat16(device: str) -> bool:
    """Tell whether the device has bfloat16 instructions that torch is known to use.

    CPUs report them since torch 2.11. ARM is excluded: compiled bfloat16 matrix products were
    100 times slower than others there (pytorch/pytorch#180447).
    """
    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported(False))  # False: native, not emulated
    if device != "cpu" or not hasattr(torch.cpu, "get_capabilities"):
        return False
    here = torch.cpu.get_capabilities()
    return any(here.get(name, False) for name in BFLOAT16_INSTRUCTIONS)
