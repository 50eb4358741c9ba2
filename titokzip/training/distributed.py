"""Several processes that train one model, as torchrun starts them; alone, none of this acts.

Gradients are averaged by torch's DistributedDataParallel. The first process saves, evaluates and
reports; what all must agree on, such as when to stop, it decides.
"""

import gc
import os
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")


def join(device: torch.device) -> torch.device:
    """Join the others, if torchrun started this process; the device of its own."""
    if "LOCAL_RANK" not in os.environ or dist.is_initialized():
        return device
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    dist.init_process_group("cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo")
    return device


def rank() -> int:
    """Number this process among the others, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def processes() -> int:
    """Count the processes."""
    return dist.get_world_size() if dist.is_initialized() else 1


def mean(value: Tensor) -> Tensor:
    """Average a tensor over all processes.

    The gradient is that of the average too, once gradients have been averaged.
    """
    if not dist.is_initialized():
        return value
    total = value.detach().clone()
    dist.all_reduce(total)
    return value + (total / dist.get_world_size() - value).detach()


def gathered(value: T) -> list[T]:
    """Collect a plain object from every process, in their order."""
    if not dist.is_initialized():
        return [value]
    values: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values


def gathered_tensors(value: Tensor) -> list[Tensor]:
    """Collect a tensor of the same shape from every process, in their order."""
    if not dist.is_initialized():
        return [value]
    values = [torch.empty_like(value) for _ in range(dist.get_world_size())]
    dist.all_gather(values, value.contiguous())
    return values


def agree(number: float) -> float:
    """Take the number of the first process: all decide alike by it."""
    if not dist.is_initialized():
        return number
    agreed = torch.tensor(number, dtype=torch.float64)  # on the CPU: no GPU is waited for
    dist.broadcast(agreed, 0)
    return float(agreed)


def wait() -> None:
    """Wait for all processes to come here."""
    if dist.is_initialized():
        dist.barrier()


def leave() -> None:
    """Wait for all processes, and part; nothing that trains should be held any longer.

    What averages gradients holds the group, in cycles that Python collects late. A group whose
    threads end with the process aborts it.
    """
    if dist.is_initialized():
        wait()
        gc.collect()
        dist.destroy_process_group()
