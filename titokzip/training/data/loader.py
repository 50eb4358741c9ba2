"""Batches of images, decoded in worker processes by torch's own loader."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from titokzip.errors import ImageError
from titokzip.generation.randomness import combine
from titokzip.training.data.images import Crop, Sample, read
from titokzip.training.data.order import Lane, Position
from titokzip.training.data.sources import Source, Split

Batch = dict[str, Tensor]
GRAIN: Final = 4  # samples that a worker hands over at once
MOST_BROKEN: Final = 1000  # images in a row
_AHEAD = 8  # grains that a worker prepares


@dataclass(frozen=True)
class Loading:
    """How images are drawn and read."""

    resize: int = 0  # shorter side before the crop; 0 is the side of a tile
    zoom: float = 1.0  # the shorter side is drawn from resize to so many times that
    random_crop: bool = True
    flip: bool = True
    window: int = 4  # shards whose samples are shuffled together
    workers: int = 2  # processes that decode, for every training process
    lanes: int = 0  # streams that data are dealt into; 0 is one for every worker
    held_out: float = 0.01  # share of the sources that is kept for validation
    source: str = ""  # regular expression; its first group names the source in a sample's key

    def crop(self, size: int) -> Crop:
        """Say how tiles of `size` pixels are cut."""
        return Crop(size, self.resize, self.zoom, self.random_crop, self.flip)

    def split(self) -> Split:
        """Say what is held out."""
        return Split(self.held_out, self.source)


@dataclass(frozen=True)
class Share:
    """Which part of the data a process gets."""

    rank: int = 0
    processes: int = 1


@dataclass(frozen=True)
class _Grain:
    samples: Sample
    lane: int
    position: Position


class ImageBatches:
    """An endless iterator of batches: image uint8 [B, 3, S, S], label and seed int64 [B].

    Text features float32 [B, positions, channels] come along where every sample has them.

    Raises:
        ValueError: lanes, workers, processes and batch do not divide each other.
    """

    def __init__(
        self,
        source: Source,
        loading: Loading,
        crop: Crop,
        batch: int,
        *,
        seed: int = 0,
        share: Share | None = None,
        state: dict[str, Any] | None = None,
    ) -> None:
        share = share or Share()
        workers = max(1, loading.workers)
        self.lanes = loading.lanes or workers * share.processes
        if self.lanes % (workers * share.processes):
            raise ValueError(
                f"{self.lanes} lanes are not a multiple of {workers} workers in each of"
                f" {share.processes} processes"
            )
        self.positions = _positions(state, self.lanes)
        own = range(share.rank, self.lanes, share.processes)
        self.turn = (state or {}).get("turn", 0)  # whose lane it is, among those of a process
        self.grains, self.own = batch // math.gcd(batch, GRAIN), own
        rotated = [own[(i + self.turn) % len(own)] for i in range(len(own))]
        lanes = [
            Lane(
                source,
                number,
                self.lanes,
                seed=seed,
                window=loading.window,
                split=loading.split(),
                position=self.positions[number],
            )
            for number in rotated
        ]
        self._grains = iter(_loader(lanes, crop, math.gcd(batch, GRAIN), seed, loading.workers))

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        """Give the next batch.

        Raises:
            ImageError: the data end or are damaged beyond single images.
        """
        parts = []
        for _ in range(self.grains):
            grain = next(self._grains)
            if isinstance(grain, ImageError):
                raise grain
            self.positions[grain.lane] = grain.position
            self.turn = (self.turn + 1) % len(self.own)
            parts.append(grain.samples)
        keys = set(parts[0]).intersection(*parts)
        return {key: torch.cat([part[key] for part in parts]) for key in sorted(keys)}

    @property
    def broken(self) -> int:
        """Count the images of this process that could not be read."""
        return sum(self.positions[lane].broken for lane in self.own)

    def state(self) -> dict[str, Any]:
        """Say where the lanes of this process are: what a resumed run goes on from."""
        return {
            "lanes": {lane: self.positions[lane].numbers() for lane in self.own},
            "turn": self.turn,
        }


def merged(states: list[dict[str, Any]]) -> dict[str, Any]:
    """Join the states of all processes; every process can go on from the result."""
    lanes: dict[int, list[int]] = {}
    for state in states:
        lanes |= state["lanes"]
    return {"lanes": lanes, "turn": states[0]["turn"]}


class _Grains(IterableDataset[_Grain | ImageError]):
    def __init__(self, lanes: list[Lane], crop: Crop, size: int, seed: int) -> None:
        self.lanes, self.crop, self.size, self.seed = lanes, crop, size, seed

    def __iter__(self) -> Iterator[_Grain | ImageError]:
        worker = get_worker_info()
        mine = self.lanes[worker.id :: worker.num_workers] if worker else self.lanes
        streams = [self._grains(lane) for lane in mine]
        try:
            while True:
                for stream in streams:
                    yield next(stream)
        except ImageError as error:  # raised here, it would come with the worker's traceback
            yield error

    def _grains(self, lane: Lane) -> Iterator[_Grain]:
        samples: list[Sample] = []
        failed = 0
        for entry in lane:
            try:
                seed = combine(self.seed, lane.number, lane.position.drawn)
                samples.append(read(entry, self.crop, seed))
                failed = 0
            except ImageError as error:
                lane.count_broken()
                failed += 1
                if failed == MOST_BROKEN:
                    raise ImageError(f"{failed} images in a row cannot be read: {error}") from error
            if len(samples) == self.size:
                keys = set(samples[0]).intersection(*samples)
                stacked = {key: torch.stack([s[key] for s in samples]) for key in keys}
                yield _Grain(stacked, lane.number, lane.position)
                samples = []


def _loader(
    lanes: list[Lane], crop: Crop, size: int, seed: int, workers: int
) -> DataLoader[_Grain | ImageError]:
    return DataLoader(
        _Grains(lanes, crop, size, seed),
        batch_size=None,
        num_workers=workers,
        prefetch_factor=_AHEAD if workers else None,
    )


def _positions(state: dict[str, Any] | None, lanes: int) -> dict[int, Position]:
    if state is None:
        return dict.fromkeys(range(lanes), Position())
    if len(state["lanes"]) != lanes:
        raise ValueError(f"the run was begun with {len(state['lanes'])} lanes, not {lanes}")
    return {int(lane): Position.of(numbers) for lane, numbers in state["lanes"].items()}
