"""Files by name, here or behind a URL: s3://, gs://, hf:// and whatever fsspec knows.

fsspec, and the package of a protocol, are asked for when a URL is used. A file behind a URL appears
whole or not at all: it is made here first.
"""

import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Final

from titokzip import files
from titokzip.errors import OutputExists, TitokzipError

_RANGE: Final = re.compile(r"\{(\d+)\.\.(\d+)\}")
_MOST_NAMES: Final = 10**6


def expanded(name: str) -> list[str]:
    """List the names that shard-{000..099}.tar stands for, or that a URL with * matches.

    Raises:
        TitokzipError: there are too many, or none.
    """
    found = _RANGE.search(name)
    if found:
        first, last = map(int, found.groups())
        if not first <= last < first + _MOST_NAMES:
            raise TitokzipError(f"{name}: a range goes up, to at most {_MOST_NAMES:,} names")
        before, after = name[: found.start()], name[found.end() :]
        numbers = (str(n).zfill(len(found[1])) for n in range(first, last + 1))
        return [one for number in numbers for one in expanded(before + number + after)]
    if not is_url(name) or "*" not in name:
        return [name]
    with _reached(name) as (system, path):
        matches = [system.unstrip_protocol(one) for one in sorted(system.glob(path))]
    if not matches:
        raise TitokzipError(f"{name}: nothing there matches")
    return matches


def is_url(name: str) -> bool:
    """Tell whether a name is a URL, and no path."""
    return "://" in name


def within(folder: str, name: str) -> str:
    """Name a file in a folder by the last part of a name; the folder "" is the current one."""
    if is_url(folder):
        return f"{folder.rstrip('/')}/{last_part(name)}"
    return str(Path(folder, last_part(name)))


def are_same(name: str, other: str) -> bool:
    """Tell whether two names are of one file, as far as links and folders decide it."""
    if is_url(name) or is_url(other):
        return name == other
    return os.path.realpath(name) == os.path.realpath(other)


def last_part(name: str) -> str:
    """Take the name of a file without its folders."""
    return name.rpartition("/")[2] if is_url(name) else Path(name).name


@contextmanager
def opened(name: str) -> Iterator[IO[bytes]]:
    """Open a file for reading, from its start to its end.

    Raises:
        OSError: it cannot be read.
        TitokzipError: the package that its URL needs is not here.
    """
    if not is_url(name):
        with Path(name).open("rb") as file:
            yield file
        return
    with _reached(name) as (system, path), system.open(path, "rb") as remote:
        yield remote


def exists(name: str) -> bool:
    """Tell whether a file is there."""
    if not is_url(name):
        return os.path.lexists(name)
    with _reached(name) as (system, path):
        return bool(system.exists(path))


def write(name: str, parts: Iterable[bytes], replace: bool = True) -> None:
    """Write a file whole or not at all.

    Raises:
        OutputExists: it is there, and `replace` is not set.
    """
    if not is_url(name):
        try:
            files.write_atomically(Path(name), parts, files.Manner(replace))
        except FileExistsError as error:
            raise OutputExists(f"{name} exists") from error
        return
    with tempfile.TemporaryDirectory() as folder, _reached(name) as (system, path):
        made = Path(folder, "made")
        files.write_atomically(made, parts)
        if not replace and system.exists(path):
            raise OutputExists(f"{name} exists")
        system.makedirs(path.rpartition("/")[0], exist_ok=True)
        system.put_file(str(made), path)


@contextmanager
def _reached(url: str) -> Iterator[tuple[Any, str]]:
    """Find the file system of a URL, and the path there."""
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise TitokzipError(f"{url}: URLs need fsspec; pip install fsspec") from error
    try:
        yield url_to_fs(url)
    except (ImportError, ValueError) as error:  # a protocol without its package, or unknown
        raise TitokzipError(f"{url}: {error}") from error
