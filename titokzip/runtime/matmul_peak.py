"""How fast a device multiplies matrices, and what share of that a network reaches.

There is one measurement, for the benchmark and for training. It multiplies square matrices in the
precision that the network runs in. Small matrices leave a device idle between launches, so the
side doubles until the rate no longer grows.
"""

import time
from collections.abc import Callable
from functools import cache
from typing import Final

import torch
from torch.utils.flop_counter import FlopCounterMode

from titokzip.runtime.device import synchronize
from titokzip.runtime.precision import tf32_allowed

_SIDES: Final = {
    "cpu": (512, 1024, 2048),
    "mps": (1024, 2048, 4096),
    "cuda": (2048, 4096, 8192, 16384),
}
_PER_SYNCHRONISATION: Final = {"cpu": 1, "mps": 4, "cuda": 8}  # products timed in one go
_SECONDS: Final = 0.3  # of trying each side: a shared machine is not always busy
_GROWTH: Final = 1.03  # a larger side that is not this much faster ends the search


def matmul_peak(device: str | torch.device, dtype: torch.dtype) -> float:
    """Measure the matmul rate of a device in FLOP/s, for matrices of `dtype`.

    It is the best of several runs, and measured once per process, device and precision. Float32
    runs with TF32 if torch is set to it, like the networks (see `precision.tf32`).
    """
    return _measured(str(device), dtype, tf32_allowed())


def share_of_peak(flops: float, seconds: float, peak: float) -> float:
    """Divide a measured rate by the peak; 0..1.

    The quotient is cut at 1. It can pass 1 without an error of measurement: `count_flops` counts
    the products of the definition, and a Winograd convolution does fewer.
    """
    return min(1.0, flops / seconds / peak)


def count_flops(work: Callable[[], object]) -> int:
    """Count the floating-point operations of `work`: those of matmuls, convolutions, attention.

    Compiled modules run uncompiled meanwhile and compile afterwards as if nothing had happened. The
    counter hooks into the dispatcher, and a module that is first called under it would never be
    compiled.
    """
    with (
        torch.compiler.set_stance("force_eager"),
        FlopCounterMode(display=False) as counter,
    ):
        work()
    return int(counter.get_total_flops())


@cache
def _measured(device: str, dtype: torch.dtype, tf32: bool) -> float:
    best = 0.0
    for side in _sides(torch.device(device), dtype):
        rate = _rate(side, device, dtype)
        if rate < best * _GROWTH:
            return max(rate, best)
        best = rate
    return best


def _sides(device: torch.device, dtype: torch.dtype) -> list[int]:
    """List the sides to try; three matrices of the largest fill at most half the free memory."""
    sides = list(_SIDES[device.type])
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        sides = [side for side in sides if 6 * side**2 * dtype.itemsize <= free] or sides[:1]
    return sides


def _rate(side: int, device: str, dtype: torch.dtype) -> float:
    """Multiply matrices [side, side] for a while; the best rate in FLOP/s."""
    a = torch.rand(side, side, device=device).to(dtype)
    out = a @ a  # the warm-up, which also chooses the algorithm
    count = _PER_SYNCHRONISATION[torch.device(device).type]
    synchronize(device)
    best, begun = float("inf"), time.perf_counter()
    now = begun
    while now - begun < _SECONDS:
        start = now
        for _ in range(count):
            torch.matmul(a, a, out=out)
        synchronize(device)
        now = time.perf_counter()
        best = min(best, now - start)
    return 2 * side**3 * count / best
