"""What share of a device's arithmetic a training reaches."""

import time
from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode

_SIDE = {"cpu": 1024, "mps": 2048, "cuda": 8192}
_SECONDS = 1.0  # of trying: a busy machine is not always busy


def matmul_peak(device: torch.device) -> float:
    """Measure the device's bfloat16 matmul speed in FLOP/s: the best of a second."""
    side = _SIDE[device.type]
    a = torch.rand(side, side, device=device, dtype=torch.bfloat16)
    seconds: list[float] = []
    while sum(seconds) < _SECONDS:
        begun = time.perf_counter()
        float((a @ a)[0, 0])  # waits for the device
        seconds.append(time.perf_counter() - begun)
    return 2 * side**3 / min(seconds)


def flops(work: Callable[[], object]) -> int:
    """Count the floating point operations of `work`: those of matmuls, convolutions, attention."""
    with FlopCounterMode(display=False) as counter:
        work()
    return int(counter.get_total_flops())
