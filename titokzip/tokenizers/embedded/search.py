"""The search for the finest file of one working size within a limit of bytes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf, log2

from titokzip.transform.pyramid import Integers

# Of the blocks, the lengths of the layers, and whether the network refines the image.
FileSize = Callable[[int, Sequence[int], bool], int]

# Levels are 48ths of an octave of the slope. At level 0 the step is the root of the number of
# working pixels.
COARSEST, FINEST = 800, -1320
LEVELS_PER_OCTAVE = 80  # of bytes, usually
_FULL = 0.985  # of a limit, which is enough
_AIM = 0.994  # of a limit, for the next try


@dataclass(frozen=True)
class Encoded:
    """An image as it is coded."""

    step: int
    blocks: int  # along the shorter side, 0 for the image's own size
    payloads: list[bytes]
    integers: Integers
    refined: bool  # whether the decoder network is to improve it


@dataclass(frozen=True)
class Trial:
    """An image as it is coded, and what that costs."""

    encoded: Encoded
    bits: float
    error: float  # squared, a pixel of the source
    expected: bool  # whether it costs about what the statistics predicted


@dataclass
class Search:
    """How far the search for the finest file of one working size within a limit has come."""

    limit: int
    file_size: FileSize
    fits: int = COARSEST + 1  # finest level known to fit
    fails: int = FINEST - 1  # coarsest level known to fail
    best: Encoded | None = None
    size: int = 0  # of the best, in bytes
    error: float = inf  # of the best
    pace: float = LEVELS_PER_OCTAVE  # of bytes, by the latest two sizes
    latest: tuple[int, int] | None = None  # level and size
    expected: bool = True  # whether all trials cost what the statistics predicted

    def open(self, level: int) -> int:
        """Give the level nearest to another of those that are open."""
        return min(max(level, self.fails + 1), self.fits - 1)

    @property
    def is_over(self) -> bool:
        """Whether no level is open, or the best file is as good as full."""
        return self.size >= _FULL * self.limit or self.fits - self.fails <= 1

    def learn(self, level: int, size: int) -> int:
        """Take in the size of a file at a level, and give the level to try next."""
        if size <= self.limit:
            self.fits = min(self.fits, level)
        else:
            self.fails = max(self.fails, level)
        if self.latest is not None:
            levels, octaves = level - self.latest[0], log2(self.latest[1] / size)
            if abs(levels) > 3 and levels * octaves > 0:
                self.pace = min(max(levels / octaves, LEVELS_PER_OCTAVE / 2), self.pace * 2)
        self.latest = level, size
        return level + round(self.pace * log2(size / (_AIM * self.limit)))

    def size_of(self, encoded: Encoded) -> int:
        """Count the bytes of a file."""
        lengths = [len(one) for one in encoded.payloads]
        return self.file_size(encoded.blocks, lengths, encoded.refined)

    def offer(self, trial: Trial) -> int:
        """Take in a file, and keep it if it is the best; give its size."""
        encoded = trial.encoded
        size = self.size_of(encoded)
        if size <= self.limit and trial.error < self.error:
            self.best, self.size, self.error = encoded, size, trial.error
        return size


@dataclass
class Searches:
    """The searches of several working sizes within a limit, by their places."""

    limit: int
    file_size: FileSize
    predictions: dict[int, tuple[int, float]] = field(default_factory=dict)  # level and cost
    made: dict[int, Search] = field(default_factory=dict)
