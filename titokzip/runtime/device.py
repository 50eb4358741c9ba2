"""The devices that networks run on: their names, which of them are here, and what they are.

torch is imported by the functions that need it, so that a command can name its choices at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import torch

NAMES: Final = ("cpu", "mps", "cuda")  # slowest first
_DRIVER: Final = Path("/proc/driver/nvidia/version")


def devices() -> list[str]:
    """List the devices of this machine, the fastest last."""
    import torch

    here = {"mps": torch.backends.mps.is_available(), "cuda": torch.cuda.is_available()}
    return [name for name in NAMES if here.get(name, True)]


def choose(name: str = "auto") -> str:
    """Resolve a device name; "auto" is the fastest device of this machine.

    Raises:
        ValueError: the machine has no such device.
    """
    here = devices()
    if name == "auto":
        return here[-1]
    if name.partition(":")[0] not in here:
        raise ValueError(f"device {name!r} is not available; this machine has {', '.join(here)}")
    return name


def synchronize(device: str | torch.device) -> None:
    """Wait until the device has done all that it was asked to do."""
    import torch

    kind = torch.device(device).type
    if kind == "cuda":
        torch.cuda.synchronize(device)
    elif kind == "mps":
        torch.mps.synchronize()


def describe() -> dict[str, Any]:
    """Describe the devices of this machine and the libraries that drive them.

    Memory is in GiB. A GPU also reports its compute capability, and torch the versions of CUDA,
    cuDNN and the driver; they are absent where there is no GPU.
    """
    import torch

    facts: dict[str, Any] = {"devices": devices()}
    if torch.cuda.is_available():
        cudnn: int | None = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
        facts["cuda"], facts["cudnn"] = torch.version.cuda, _cudnn(cudnn)
        facts["driver"] = _driver()
        facts["gpus"] = [_gpu(index) for index in range(torch.cuda.device_count())]
    return facts


def _gpu(index: int) -> dict[str, Any]:
    import torch

    major, minor = torch.cuda.get_device_capability(index)
    free, total = torch.cuda.mem_get_info(index)
    return {
        "name": torch.cuda.get_device_name(index),
        "capability": f"{major}.{minor}",
        "memory_gib": round(total / 2**30, 1),
        "free_gib": round(free / 2**30, 1),
        "bfloat16": torch.cuda.is_bf16_supported(including_emulation=False),
    }


def _cudnn(version: int | None) -> str | None:
    """Spell a version as cuDNN does: 91002 is 9.10.2, and 8902 is 8.9.2."""
    if version is None:
        return None
    major, rest = divmod(version, 10_000 if version >= 10_000 else 1000)
    return f"{major}.{rest // 100}.{rest % 100}"


def _driver() -> str | None:
    """Read the version of Nvidia's driver from the kernel; None where it does not say."""
    try:
        words = _DRIVER.read_text(encoding="ascii", errors="replace").split()
    except OSError:
        return None
    return next((word for word in words if word[:1].isdigit() and "." in word), None)
