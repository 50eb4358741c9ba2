"""The order in which samples come: shuffled, endless, and resumed in no time.

Data are dealt into lanes. A lane goes through shards of its own, some of them (a window) at a time:
it lists their samples and gives them in random order. Its position is three numbers, so a run
resumes in the middle of an epoch without reading what it saw; and since lanes, not processes, have
an order, any number of processes and workers that divides the lanes sees the same sequence.

Where there are fewer shards than lanes, every lane goes through all shards and takes the samples
whose number is its own, modulo the lanes.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from titokzip.errors import ImageError
from titokzip.training.data.sources import Entry, Source, Split


@dataclass(frozen=True)
class Position:
    """How far a lane has come."""

    epoch: int = 0
    window: int = 0  # of the epoch
    offset: int = 0  # in the window
    drawn: int = 0  # samples given since the start of the training
    broken: int = 0  # of which images that could not be read

    @classmethod
    def of(cls, numbers: list[int]) -> "Position":
        """Read what `numbers` wrote."""
        return cls(*numbers)

    def numbers(self) -> list[int]:
        """Write the position as plain numbers."""
        return [self.epoch, self.window, self.offset, self.drawn, self.broken]


class Lane:
    """One of several disjoint streams of samples."""

    def __init__(
        self,
        source: Source,
        number: int,
        lanes: int,
        *,
        seed: int,
        window: int,
        split: Split,
        position: Position | None = None,
    ) -> None:
        self.source, self.number, self.lanes = source, number, lanes
        self.seed, self.window, self.split = seed, window, split
        self.position = position or Position()

    def __iter__(self) -> Iterator[Entry]:
        """Give samples for ever; `position` says where the next one is.

        Raises:
            ImageError: a shard is damaged, or an epoch holds no sample for this lane.
        """
        epoch, given = self.position.epoch, 0
        while True:
            for window, shards in self._windows():
                entries = self._shuffled(shards, window)
                for entry in entries[self.position.offset :]:
                    self._advance(offset=self.position.offset + 1, drawn=self.position.drawn + 1)
                    given += 1
                    yield entry
                self._advance(window=window + 1, offset=0)
            if not given and self.position.epoch > epoch:
                raise ImageError("too few images for so many processes and workers")
            self._advance(epoch=self.position.epoch + 1, window=0, offset=0)

    def count_broken(self) -> None:
        """Note that the last sample's image could not be read."""
        self._advance(broken=self.position.broken + 1)

    def _advance(self, **changes: int) -> None:
        self.position = replace(self.position, **changes)

    def _windows(self) -> Iterator[tuple[int, list[int]]]:
        """Go through the windows of this epoch from the current one on."""
        order = np.random.default_rng([self.seed, self.position.epoch]).permutation(
            len(self.source)
        )
        own = order.tolist() if self._shares_shards else order[self.number :: self.lanes].tolist()
        starts = range(0, len(own), self.window)
        for window in range(self.position.window, len(starts)):
            yield window, own[starts[window] : starts[window] + self.window]

    def _shuffled(self, shards: list[int], window: int) -> list[Entry]:
        entries = [entry for shard in shards for entry in self.source.entries(shard)]
        entries = [entry for entry in entries if not self.split.held_out(entry.key)]
        first = self.number if self._shares_shards else 0
        random = np.random.default_rng([self.seed, self.position.epoch, window, *shards])
        order = random.permutation(len(entries))
        step = self.lanes if self._shares_shards else 1
        return [entries[i] for i in order[first::step]]

    @property
    def _shares_shards(self) -> bool:
        return len(self.source) < self.lanes


def held_out(source: Source, split: Split, count: int) -> list[Entry]:
    """List the first samples that are for validation; all shards are looked through for them."""
    found: list[Entry] = []
    for shard in range(len(source)):
        found += [entry for entry in source.entries(shard) if split.held_out(entry.key)]
        if len(found) >= count:
            break
    return found[:count]
