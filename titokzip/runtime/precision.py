"""The floating-point precision in which networks run.

Encoders always run in float32, so tokens never depend on an option. Decoders run in float32 or
bfloat16. On an Nvidia GPU, float32 means IEEE float32 in matrix products and convolutions alike.
torch's own default is a mixture: TF32, which keeps ten bits of the mantissa, for convolutions and
not for products. TF32 is several times as fast, and moves a latent that lies between two codes to
the other one, so it is off unless the caller asks for it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import torch

PRECISIONS: Final = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def resolve(name: str, device: str) -> torch.dtype:
    """Resolve a precision; "auto" is bfloat16 where the device is fast at it, else float32.

    Raises:
        ValueError: the name is unknown.
    """
    if name == "auto":
        name = "bfloat16" if _fast_bfloat16(device) else "float32"
    if name not in PRECISIONS:
        raise ValueError(f"precision is auto, {' or '.join(PRECISIONS)}, not {name!r}")
    return PRECISIONS[name]


@contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """Allow or forbid TF32 on Nvidia GPUs inside a `with` block; torch's settings come back after.

    The settings are the process's, so two threads must not ask for different ones at a time.
    """
    before = [_settings(*pair) for pair in _SWITCHES]
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed
    try:
        yield
    finally:
        for (old, new), (legacy, named) in zip(_SWITCHES, before, strict=True):
            if legacy is not None:
                old.allow_tf32 = legacy
            if named is not None:
                new.fp32_precision = named


def tf32_allowed() -> bool:
    """Tell whether matrix products in float32 use TF32 now."""
    legacy, named = _settings(*_SWITCHES[0])
    return named == "tf32" if legacy is None else legacy


# torch has two names for each of these settings, the second since 2.9.
_SWITCHES: Final[tuple[tuple[Any, Any], ...]] = (
    (torch.backends.cuda.matmul, torch.backends.cuda.matmul),  # matrix products
    (torch.backends.cudnn, getattr(torch.backends.cudnn, "conv", None)),  # convolutions
)


def _settings(old: Any, new: Any) -> tuple[bool | None, str | None]:
    """Read a setting by its two names; the first is None if only the second was used to set it."""
    named = getattr(new, "fp32_precision", None)
    try:
        return bool(old.allow_tf32), named
    except RuntimeError:  # torch refuses to read by one name what was set by the other
        return None, named


def _fast_bfloat16(device: str) -> bool:
    """Tell whether torch is known to compute faster in bfloat16 than in float32.

    CPUs report them since torch 2.11. ARM is excluded: compiled bfloat16 matrix products were
    100 times slower than others there (pytorch/pytorch#180447). Intel's processors with AVX512-FP16
    have AMX; where a virtual machine hides it, bfloat16 took 1.7 times as long as float32.
    AMD's had no AVX512-FP16 when this was written.
    """
    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported(False))  # False: native, not emulated
    if device != "cpu" or not hasattr(torch.cpu, "get_capabilities"):
        return False
    here = torch.cpu.get_capabilities()
    if here.get("amx_bf16", False):
        return True
    return here.get("avx512_bf16", False) and not here.get("avx512_fp16", False)
