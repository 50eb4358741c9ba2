"""Where training images lie: folders of files, and tar shards in WebDataset's layout.

In a shard, files that share a name up to its first dot belong to one sample: `a/7.jpg`, its class
`a/7.cls`, its text features `a/7.text.npy`. Shards are not compressed, so that any file in them is
read by its offset. In a folder, the class of an image is the number of its subfolder.
"""

import os
import re
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from titokzip.errors import ImageError

SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".webp", ".ppm", ".bmp", ".tif", ".tiff")
UNLABELLED: Final = -1
TEXT: Final = ".text.npy"  # features of a caption, beside an image in a shard
_FILES_PER_SHARD = 1000  # of a folder that are listed together
_SPLITS = 10_000


@dataclass(frozen=True)
class Span:
    """Bytes of a file; all of them where `size` is negative."""

    path: Path
    start: int = 0
    size: int = -1

    def read(self) -> bytes:
        """Read them."""
        with self.path.open("rb") as file:
            file.seek(self.start)
            return file.read(self.size)


@dataclass(frozen=True)
class Entry:
    """One sample, not read yet."""

    key: str
    image: Span
    label: int | Span = UNLABELLED
    text: Span | None = None


class Source:
    """All the images of a training, as shards that are listed one by one.

    Raises:
        ImageError: there are none.
    """

    def __init__(self, paths: Sequence[Path], pieces: int = 1) -> None:
        """Look for tar shards and image files; files are dealt into at least `pieces` shards."""
        found = [path for path in paths for path in _walk(path)]
        self.tars = sorted(path for path in found if path.suffix == ".tar")
        files = sorted(path for path in found if path.suffix.lower() in SUFFIXES)
        if not self.tars and not files:
            raise ImageError(f"{', '.join(map(str, paths))}: no images here, nor tar shards")
        # One array of bytes: a million Path objects would be copied into every worker.
        self._files: NDArray[np.bytes_] = np.array([os.fsencode(path) for path in files])
        parents = sorted({path.parent for path in files})
        self.classes = [path.name for path in parents] if len(parents) > 1 else []
        self._labels = {path: number for number, path in enumerate(parents)}
        each = max(1, min(_FILES_PER_SHARD, len(files) // max(1, pieces)))
        self._stops = range(0, len(files), each)

    def __len__(self) -> int:
        """Count the shards."""
        return len(self.tars) + len(self._stops)

    def entries(self, shard: int) -> list[Entry]:
        """List the samples of a shard.

        Raises:
            ImageError: it is damaged, or not a plain tar file.
        """
        if shard < len(self.tars):
            return _read_tar(self.tars[shard])
        start = self._stops[shard - len(self.tars)]
        return [self._file(name) for name in self._files[start : start + self._stops.step]]

    def _file(self, name: np.bytes_) -> Entry:
        path = Path(os.fsdecode(bytes(name)))
        label = self._labels[path.parent] if self.classes else UNLABELLED
        return Entry(path.stem, Span(path), label)


@dataclass(frozen=True)
class Split:
    """Holds a share of the sources out of training: all crops of a photo fall on the same side.

    `pattern` is a regular expression whose first group names the source in a sample's key; by
    default every key is a source of its own.
    """

    share: float = 0.0
    pattern: str = ""
    _compiled: re.Pattern[str] | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        try:
            compiled = re.compile(self.pattern) if self.pattern else None
        except re.error as error:
            raise ValueError(f"{self.pattern!r} is not a regular expression: {error}") from error
        if compiled is not None and not compiled.groups:
            raise ValueError(f"{self.pattern!r} has no group that names the source of a key")
        object.__setattr__(self, "_compiled", compiled)

    def held_out(self, key: str) -> bool:
        """Tell whether a sample is for validation; it depends on its key alone."""
        match = self._compiled.search(key) if self._compiled else None
        source = match[1] if match else key
        return zlib.crc32(source.encode("utf-8", "surrogateescape")) % _SPLITS < (
            self.share * _SPLITS
        )


def _walk(path: Path) -> Iterator[Path]:
    if not path.exists():
        raise ImageError(f"{path}: no such file or folder")
    if path.is_file():
        yield path
        return
    for folder, _, names in os.walk(path):
        for name in names:
            if name.lower().endswith((".tar", *SUFFIXES)):
                yield Path(folder, name)


def _read_tar(path: Path) -> list[Entry]:
    samples: dict[str, dict[str, Span]] = {}
    try:
        with tarfile.open(path, "r:") as shard:
            for member in shard:
                if member.isfile():
                    folder, _, name = member.name.rpartition("/")
                    stem, dot, rest = name.partition(".")
                    span = Span(path, member.offset_data, member.size)
                    samples.setdefault(f"{folder}/{stem}", {})[(dot + rest).lower()] = span
    except (tarfile.TarError, EOFError) as error:
        raise ImageError(f"{path}: damaged, or not an uncompressed tar file") from error
    return [entry for key, parts in samples.items() for entry in _entry(key, parts)]


def _entry(key: str, parts: dict[str, Span]) -> Iterator[Entry]:
    for suffix in SUFFIXES:
        if suffix in parts:
            label = parts.get(".cls", UNLABELLED)
            yield Entry(key.removeprefix("/"), parts[suffix], label, parts.get(TEXT))
            return
