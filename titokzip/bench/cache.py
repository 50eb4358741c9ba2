"""Results that depend on content alone, kept between runs under the hash of all they depend on.

An encoding depends on the pixels, the codec, its version and its options; a measure on both images
and the network. Neither depends on our own codec, so what a run has found serves the next one. All
of it is in one SQLite file, which threads and processes share.
"""

import hashlib
import os
import sqlite3
import threading
from pathlib import Path

from PIL import Image

from titokzip.errors import TitokzipError
from titokzip.files import cache_folder

_FILE = "bench.sqlite"
_LAYOUT = 1  # of the keys


class CacheError(TitokzipError):
    """The cache cannot be opened."""


def default_folder() -> Path:
    """Name the folder: $TITOKZIP_BENCH_CACHE, by default ~/.cache/titokzip/bench."""
    own = os.environ.get("TITOKZIP_BENCH_CACHE")
    return Path(own) if own else cache_folder() / "titokzip" / "bench"


def hash_of(*parts: object) -> str:
    """Hash numbers, words and bytes into a key."""
    return hashlib.sha256(repr((_LAYOUT, *parts)).encode()).hexdigest()


def hash_of_pixels(image: Image.Image) -> str:
    """Hash the mode, size and pixels of an image, whatever file they came from."""
    head = f"{image.mode} {image.width} {image.height}\n".encode()
    return hashlib.sha256(head + image.tobytes()).hexdigest()


class Cache:
    """Bytes by key; in memory only where no folder is given."""

    def __init__(self, folder: Path | None = None) -> None:
        """Open or make the file in `folder`.

        Raises:
            CacheError: it cannot be opened, or is damaged.
        """
        place = ":memory:" if folder is None else str(folder / _FILE)
        self._lock = threading.Lock()
        try:
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
            self._file = sqlite3.connect(place, timeout=120, check_same_thread=False)
            self._file.execute("PRAGMA journal_mode=WAL")
            self._file.execute("PRAGMA synchronous=NORMAL")
            self._file.execute(
                "CREATE TABLE IF NOT EXISTS entries (key TEXT PRIMARY KEY, value BLOB)"
            )
        except (sqlite3.Error, OSError) as error:
            raise CacheError(f"{place}: not a cache that can be used ({error})") from error

    def get(self, key: str) -> bytes | None:
        """Return what was kept under a key."""
        with self._lock:
            row = self._file.execute("SELECT value FROM entries WHERE key = ?", (key,)).fetchone()
        return None if row is None else bytes(row[0])

    def put(self, key: str, value: bytes) -> None:
        """Keep bytes under a key; they are on disk when this returns."""
        with self._lock, self._file:
            self._file.execute("INSERT OR REPLACE INTO entries VALUES (?, ?)", (key, value))

    def close(self) -> None:
        """Close the file."""
        self._file.close()
