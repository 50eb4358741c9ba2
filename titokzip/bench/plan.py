"""What a run measures: which images, by which codecs, at which points."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from titokzip.bench import OURS
from titokzip.bench.cache import Cache
from titokzip.bench.datasets import Dataset
from titokzip.bench.distances import Distance
from titokzip.bench.earlier import Earlier
from titokzip.bench.frechet import Statistics
from titokzip.bench.image_codec import ImageCodec
from titokzip.bench.metric_programs import MetricProgram
from titokzip.bench.networks import Extractor
from titokzip.bench.ours import Ours
from titokzip.rate_control import Rate

KEPT = 1000  # images whose files stay, and whose rows are in the result


@dataclass(frozen=True)
class Point:
    """An operating point: a quality of ours, whose bytes baselines get, or bytes for all."""

    value: float
    in_bytes: bool = False

    @property
    def name(self) -> str:
        """Name it, as q50 or 96B."""
        return f"{self.value:g}B" if self.in_bytes else f"q{self.value:g}"

    @property
    def rate(self) -> Rate:
        """What our codec is asked for."""
        return Rate(max_bytes=int(self.value)) if self.in_bytes else Rate(quality=self.value)


@dataclass(frozen=True)
class Plan:
    """What is measured, of which images, by which codecs; baselines get the bytes of our first."""

    dataset: Dataset
    points: tuple[Point, ...]
    ours: Mapping[str, Ours]
    baselines: tuple[ImageCodec, ...]
    distances: tuple[Distance, ...] = ()
    programs: tuple[MetricProgram, ...] = ()
    extractors: tuple[Extractor, ...] = ()
    references: Mapping[str, Statistics] = field(default_factory=dict)  # known without the images
    workers: int = 2
    cache: Cache = field(default_factory=Cache)
    earlier: Earlier | None = None  # whose searches need no repetition

    @cached_property
    def kept(self) -> frozenset[str]:
        """Images whose files stay on disk: the first ones of a huge data set."""
        return frozenset(item.name for item in self.dataset.items[:KEPT])

    @cached_property
    def suffixes(self) -> dict[str, str]:
        """How the files of each codec end."""
        own = {name: f"{name.removeprefix(OURS).replace(' ', '.')}.ttk" for name in self.ours}
        return own | {one.name: f".{one.name}{one.suffix}" for one in self.baselines}


def file_of(folder: Path, image: str, point: str, suffix: str) -> Path:
    """Name the file of an image at a point."""
    return folder / "files" / f"{image}.{point}{suffix}"
