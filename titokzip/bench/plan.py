"""What a run measures: of which photos, by which codecs, at which points."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from titokzip.bench.datasets import Dataset
from titokzip.bench.downscale_search import ImageCodec
from titokzip.bench.frechet import Statistics
from titokzip.bench.networks import Distance, Extractor
from titokzip.codec import Codec
from titokzip.rate_control import Rate

OURS = "titokzip"  # our codec; of several models, what the names of all of them start with
KEPT = 1000  # photos whose files stay, and whose rows are in the result


@dataclass(frozen=True)
class Point:
    """An operating point: a quality of ours, whose bytes rivals get, or bytes for everybody."""

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
    """What is measured, of which photos, by which codecs; rivals get the bytes of our first."""

    dataset: Dataset
    points: tuple[Point, ...]
    ours: Mapping[str, Codec]
    rivals: tuple[ImageCodec, ...]
    distances: tuple[Distance, ...] = ()
    extractors: tuple[Extractor, ...] = ()
    references: Mapping[str, Statistics] = field(default_factory=dict)  # known without the photos
    workers: int = 2

    @cached_property
    def kept(self) -> frozenset[str]:
        """Photos whose files stay on disk: the first ones of a huge data set."""
        return frozenset(item.name for item in self.dataset.items[:KEPT])

    @cached_property
    def suffixes(self) -> dict[str, str]:
        """How the files of each codec end."""
        own = {name: f"{name.removeprefix(OURS).replace(' ', '.')}.ttk" for name in self.ours}
        return own | {rival.name: rival.suffix for rival in self.rivals}


def file_of(folder: Path, photo: str, point: str, suffix: str) -> Path:
    """Name the file of a photo at a point."""
    return folder / "files" / f"{photo}.{point}{suffix}"
