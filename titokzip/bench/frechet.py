"""Frechet distance between features [n, D] of two sets of images, streamed from disk.

Features are appended to a file as float32 while a run goes on, so that a run can be killed and go
on, and 50,000 images take no memory. Sums are float64: in float32 the distance is wrong.
"""

import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from titokzip import files
from titokzip.errors import ModelError

Array = NDArray[np.float64]
_DAMAGE = (
    ValueError, KeyError, TypeError, AttributeError, EOFError, zlib.error, zipfile.BadZipFile,
)  # fmt: skip
_CHUNK = 1024  # rows read at once


@dataclass(frozen=True)
class Statistics:
    """Mean [D] and covariance [D, D] of n features."""

    count: int  # 0 where nobody says
    mean: Array
    covariance: Array


def statistics(chunks: Iterable[NDArray[np.floating]]) -> Statistics | None:
    """Sum up chunks of features [n, D]; rows with NaN are left out; None under two rows."""
    count, first, second = 0, np.zeros(1), np.zeros(1)
    for chunk in chunks:
        rows = np.asarray(chunk, np.float64)
        rows = rows[np.isfinite(rows).all(axis=1)]
        first, second = first + rows.sum(0), second + rows.T @ rows
        count += len(rows)
    if count < 2:
        return None
    mean = first / count
    return Statistics(count, mean, (second - count * np.outer(mean, mean)) / (count - 1))


def save(path: Path, one: Statistics) -> None:
    """Write statistics whole or not at all, with the names that pytorch-fid and ADM give them."""
    with files.opened_atomically(path) as file:
        np.savez(file, mu=one.mean, sigma=one.covariance, count=one.count)


def load(path: Path) -> Statistics:
    """Read statistics from an .npz with `mu` [D] and `sigma` [D, D]; the inverse of `save`.

    Raises:
        ModelError: there are none in it.
    """
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            mean, covariance = (file[key].astype(np.float64) for key in ("mu", "sigma"))
            count = int(file["count"]) if "count" in file else 0
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror or error})") from error
    except _DAMAGE as error:
        raise ModelError(f"{path}: no statistics (.npz with mu and sigma) in it") from error
    if mean.ndim != 1 or covariance.shape != (len(mean), len(mean)):
        raise ModelError(f"{path}: mu {mean.shape} and sigma {covariance.shape} do not fit")
    if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
        raise ModelError(f"{path}: mu or sigma holds what is no number")
    return Statistics(count, mean, covariance)


def distance(one: Statistics, other: Statistics) -> float:
    """Frechet distance between two normal distributions (Heusel et al., NeurIPS 2017).

    The trace of sqrt(A B) is the sum of the roots of the eigenvalues of the symmetric
    sqrt(A) B sqrt(A), which stays right where few images leave A singular.
    """
    values, vectors = np.linalg.eigh(one.covariance)
    root = vectors * np.sqrt(values.clip(0)) @ vectors.T
    eigenvalues = np.linalg.eigvalsh(root @ other.covariance @ root)
    cross = np.sqrt(eigenvalues.clip(0)).sum()
    traces = np.trace(one.covariance) + np.trace(other.covariance)
    return float(np.square(one.mean - other.mean).sum() + traces - 2 * cross)


class Store:
    """Features of one codec at one rate, in a file of float32 rows."""

    def __init__(self, path: Path, width: int) -> None:
        self.path, self.width = path, width
        path.parent.mkdir(parents=True, exist_ok=True)

    def append(self, features: NDArray[np.float32]) -> None:
        """Add rows [n, D]."""
        with self.path.open("ab") as file:
            file.write(features.astype("<f4").tobytes())

    def cut(self, rows: int) -> None:
        """Forget what was added after `rows`, by a run that was killed."""
        self.path.touch()
        with self.path.open("r+b") as file:
            file.truncate(rows * self.width * 4)

    def statistics(self) -> Statistics | None:
        """Sum up all rows, a chunk at a time."""
        with self.path.open("rb") as file:
            size = _CHUNK * self.width * 4
            return statistics(
                np.frombuffer(data, "<f4").reshape(-1, self.width)
                for data in iter(lambda: file.read(size), b"")
            )


class Stores:
    """The features of all extractors, codecs and points, each in a file."""

    def __init__(self, folder: Path, counts: dict[str, list[int]]) -> None:
        """Take up what a run left, cut to what its lines account for: [rows, D] by extractor."""
        self.folder = folder
        for name, (rows, width) in counts.items():
            for path in self.files(name):
                Store(path, width).cut(rows)
        if not counts:
            for path in folder.glob("*/*.f32"):
                path.unlink()

    def append(self, features: dict[tuple[str, str], NDArray[np.float32]]) -> None:
        """Add the features of an image."""
        for (name, key), rows in features.items():
            Store(self.folder / name / f"{key}.f32", rows.shape[1]).append(rows)

    def files(self, name: str) -> list[Path]:
        """List the files of an extractor."""
        return sorted((self.folder / name).glob("*.f32"))
