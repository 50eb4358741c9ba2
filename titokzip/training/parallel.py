"""Several processes that train one model, as torchrun starts them; alone, none of this acts.

Every process draws its own batches; gradients are averaged, so all step alike. The first process
tells the time, evaluates, saves and reports.
"""

import os
from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import Tensor


def join(device: torch.device) -> torch.device:
    """Join the others, if torchrun started this process; the device of its own."""
    if "LOCAL_RANK" not in os.environ or dist.is_initialized():
        return device
    dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    return device


def rank() -> int:
    """Number this process among the others, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def size() -> int:
    """Count the processes."""
    return dist.get_world_size() if dist.is_initialized() else 1


def average(tensors: Iterable[Tensor]) -> None:
    """Replace each tensor by its average over all processes, in one exchange."""
    if not dist.is_initialized():
        return
    tensors = list(tensors)
    flat = torch.cat([tensor.flatten() for tensor in tensors])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    parts = torch.split(flat, [tensor.numel() for tensor in tensors])
    for tensor, part in zip(tensors, parts, strict=True):
        tensor.copy_(part.view_as(tensor))


def share(tensors: Iterable[Tensor]) -> None:
    """Replace each tensor by that of the first process: all begin alike."""
    if dist.is_initialized():
        for tensor in tensors:
            dist.broadcast(tensor, 0)


def agree(number: float) -> float:
    """Take the number of the first process: all decide alike by it."""
    if not dist.is_initialized():
        return number
    agreed = torch.tensor(number, dtype=torch.float64)  # on the CPU, so that no GPU is waited for
    dist.broadcast(agreed, 0)
    return float(agreed)


def wait() -> None:
    """Wait for all processes to come here."""
    if dist.is_initialized():
        dist.barrier()


def leave() -> None:
    """Wait for all processes, and part."""
    if dist.is_initialized():
        wait()
        dist.destroy_process_group()
