"""Batches on their way to a device: the next one is copied while the current one is used."""

from typing import Any, Protocol

import torch

from titokzip.training.data.loader import Batch
from titokzip.training.progress import Clock


class Batches(Protocol):
    """Where batches come from, and how far they have come."""

    @property
    def broken(self) -> int:
        """Count the samples that could not be read."""
        ...

    def __next__(self) -> Batch:
        """Give the next batch, on the CPU."""
        ...

    def state(self) -> dict[str, Any]:
        """Say what a resumed run goes on from."""
        ...


class Staged:
    """Gives batches on a device.

    For CUDA they are pinned and copied on a stream of their own, one ahead; `state` is that of the
    batch given last, whatever was read ahead.
    """

    def __init__(self, batches: Batches, device: torch.device) -> None:
        self._batches, self._device = batches, device
        self._stream = _stream(device)
        self._ahead: tuple[Batch, dict[str, Any]] | None = None
        self._given = batches.state()
        self.clock: Clock | None = None  # counts the time spent waiting

    @property
    def broken(self) -> int:
        """Count the samples that could not be read."""
        return self._batches.broken

    def __next__(self) -> Batch:
        """Give the next batch."""
        batch, self._given = self._ahead or self._copied()
        if self._stream is not None:
            torch.cuda.current_stream(self._device).wait_stream(self._stream)
            for tensor in batch.values():
                tensor.record_stream(torch.cuda.current_stream(self._device))
            self._ahead = self._copied()
        return batch

    def state(self) -> dict[str, Any]:
        """Say what a resumed run goes on from."""
        return self._given

    def _copied(self) -> tuple[Batch, dict[str, Any]]:
        before = self.clock.seconds() if self.clock else 0.0
        batch = next(self._batches)
        if self.clock:
            self.clock.waited += self.clock.seconds() - before
        state = self._batches.state()
        if self._stream is None:
            return to_device(batch, self._device), state
        with torch.cuda.stream(self._stream):
            return to_device({k: v.pin_memory() for k, v in batch.items()}, self._device), state


def to_device(batch: Batch, device: torch.device) -> Batch:
    """Copy a batch to a device; from pinned memory, without waiting."""
    return {key: value.to(device, non_blocking=True) for key, value in batch.items()}


def _stream(device: torch.device) -> Any:
    return torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]
