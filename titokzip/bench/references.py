"""Statistics of the originals' features: given, kept by an earlier run, or measured by this one.

On a CPU the features of 50,000 images take hours, and for the same images under the same protocol
they are always the same. So what a run has measured is kept in `folder()` under a hash of the
images' bytes, the protocol and the network; where any of them changes, nothing is reused.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import PIL

from titokzip.bench import cache, frechet
from titokzip.bench.datasets import Dataset
from titokzip.bench.frechet import Statistics
from titokzip.bench.networks import Extractor
from titokzip.errors import ModelError

_LAYOUT = 1  # of what is hashed


@dataclass
class References:
    """Statistics that are known, by extractor, and where those of every extractor come from."""

    known: dict[str, Statistics] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)


def folder() -> Path:
    """Where statistics are kept: a folder of the cache."""
    return cache.default_folder() / "references"


def place(dataset: Dataset, one: Extractor) -> Path:
    """Name the file of these images' statistics, under this protocol and by this network."""
    protocol = dataset.protocol
    facts = (_LAYOUT, one.name, one.sha256, one.patch, protocol.resize, protocol.crop)
    key = hashlib.sha256(repr((*facts, PIL.__version__, dataset.digest)).encode())
    return folder() / f"{key.hexdigest()}.npz"


def take(dataset: Dataset, extractors: Sequence[Extractor], run: Path) -> References:
    """Find what needs no measuring. A run that goes on does so with what it began with.

    Raises:
        ModelError: statistics that were given cannot be read.
    """
    taken = References()
    for one in extractors:
        store = run / "features" / one.name
        begun = store / "reference.npz"
        if one.reference is not None:
            taken.known[one.name] = frechet.load(one.reference)
            taken.origins[one.name] = one.reference.name
            continue
        if not begun.exists() and not (store / "reference.f32").exists():
            _adopt(place(dataset, one), begun)
        if begun.exists():
            taken.known[one.name] = frechet.load(begun)
        taken.origins[one.name] = "an earlier run" if begun.exists() else "this run"
    return taken


def finish(
    taken: References,
    dataset: Dataset,
    extractors: Sequence[Extractor],
    run: Path,
    widths: Mapping[str, int],
) -> None:
    """Sum up what a whole run has measured, features [n, D] by D, and keep it for others."""
    for one in extractors:
        if one.name in taken.known or one.name not in widths:
            continue
        path = run / "features" / one.name / "reference.f32"
        measured = frechet.Store(path, widths[one.name]).statistics()
        if measured is None:
            continue
        taken.known[one.name] = measured
        try:
            frechet.save(place(dataset, one), measured)
        except OSError as error:
            taken.origins[one.name] += f", not kept for others ({error.strerror})"


def _adopt(kept: Path, begun: Path) -> None:
    """Copy statistics that an earlier run has kept, if they are there and whole."""
    if kept.exists():
        try:
            frechet.save(begun, frechet.load(kept))
        except ModelError:
            kept.unlink(missing_ok=True)  # measured again, and written again
