"""Which devices are here, and which one to use."""

import torch


def devices() -> list[str]:
    """List the devices of this machine, the fastest last."""
    available = {"mps": torch.backends.mps.is_available(), "cuda": torch.cuda.is_available()}
    return ["cpu", *(name for name, here in available.items() if here)]


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
