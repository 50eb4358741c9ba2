"""Files: hashed, and written whole or not at all.

A file is written without a name where the system can (Linux: O_TMPFILE) and gets its name when it
is whole, so that a process killed at any moment leaves nothing behind. Elsewhere, and where an old
file is replaced, it has a temporary name for a moment. The writer holds a lock on it; a temporary
file that is a minute old and has no lock is a dead process's, and the next writer in that folder
removes it.
"""

import errno
import hashlib
import os
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

from titokzip.errors import TitokzipError

TEMPORARY_PREFIX = ".titokzip-"
_PERMISSIONS = 0o666  # of a new file, less what the process masks
_YOUNG = 60  # seconds; a file of that age may have been opened and not locked yet
_swept: set[Path] = set()  # folders whose leftovers are gone


@dataclass(frozen=True)
class Manner:
    """How a file is written: by default it replaces an old one."""

    replace: bool = True
    permissions: int = _PERMISSIONS  # less what the process masks
    times: tuple[int, int] | None = None  # of access and change, in ns
    durable: bool = False  # on the disk, name and all, before the writing returns


def sha256(path: Path) -> bytes:
    """Hash a whole file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def write_atomically(
    path: Path, data: bytes | Iterable[bytes], manner: Manner | None = None
) -> bytes:
    """Write a file whole or not at all; gives the SHA-256 of what was written.

    Raises:
        FileExistsError: something is there, even a dangling link, and `replace` is not set.
    """
    digest = hashlib.sha256()
    with opened_atomically(path, manner) as file:
        for part in (data,) if isinstance(data, bytes) else data:
            file.write(part)
            digest.update(part)
    return digest.digest()


def read_bounded(file: BinaryIO, limit: int) -> bytes:
    """Read all of a file.

    Raises:
        TitokzipError: it has more bytes than the limit.
    """
    data = file.read(limit + 1)
    if len(data) > limit:
        raise TitokzipError(f"more than {limit:,} bytes are not read")
    return data


@contextmanager
def opened_atomically(path: Path, manner: Manner | None = None) -> Iterator[BinaryIO]:
    """Open a file to be written, which gets its name where the block ends without an error.

    Raises:
        FileExistsError: something is there, even a dangling link, and `replace` is not set.
        NotADirectoryError: what should be its folder is none.
    """
    manner = manner or Manner()
    _make_folder(path.parent)
    _sweep(path.parent)
    with _draft(path.parent, manner.permissions & _PERMISSIONS) as (file, name):
        yield file
        file.flush()
        if manner.times:
            os.utime(name or file.fileno(), ns=manner.times)
        if manner.durable:
            os.fsync(file.fileno())
        _publish(file, name, path, manner.replace)
    if manner.durable:
        _sync_folder(path.parent)


def cache_folder() -> Path:
    """Name the user's folder for caches: $XDG_CACHE_HOME, by default ~/.cache.

    Where nobody is at home, "~" is a folder that is not there.
    """
    return Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))  # noqa: PTH111


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path)) from error


@contextmanager
def _draft(folder: Path, permissions: int) -> Iterator[tuple[BinaryIO, Path | None]]:
    """Open a new file, without a name or with a temporary one, which goes if it is still there."""
    handle, name = _nameless(folder, permissions), None
    if handle is None:
        name = _temporary(folder)
        try:
            handle = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | _BINARY, permissions)
        except OSError as error:  # nobody knows the temporary name
            raise type(error)(error.errno, error.strerror, str(folder)) from error
    try:
        with os.fdopen(handle, "wb") as file:
            _lock(file)
            yield file, name
    finally:
        if name:
            name.unlink(missing_ok=True)


_BINARY = getattr(os, "O_BINARY", 0)  # Windows


def _nameless(folder: Path, permissions: int) -> int | None:
    if not hasattr(os, "O_TMPFILE") or not Path("/proc/self/fd").exists():
        return None
    try:
        return os.open(folder, os.O_TMPFILE | os.O_RDWR, permissions)
    except OSError:  # a file system that cannot; a folder that is none says so in the other way
        return None


def _publish(file: BinaryIO, name: Path | None, path: Path, replace: bool) -> None:
    """Give a file its name."""
    if not replace:
        _link(file, name, path)
        return
    if name is None:
        if not os.path.lexists(path):
            with suppress(FileExistsError):
                return _link(file, None, path)
        name = _temporary(path.parent)
        _link(file, None, name)
    try:
        name.replace(path)
    except BaseException:
        name.unlink(missing_ok=True)
        raise


def _link(file: BinaryIO, name: Path | None, path: Path) -> None:
    """Name a file, if there is none of that name."""
    if name is None:
        folder = os.open(path.parent, os.O_RDONLY)  # with it, os.link follows the link to the file
        try:
            os.link(f"/proc/self/fd/{file.fileno()}", path, src_dir_fd=folder)
        finally:
            os.close(folder)
        return
    try:
        os.link(name, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, "File exists", str(path)) from None
        name.replace(path)


def _temporary(folder: Path) -> Path:
    return folder / f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}"


def _lock(file: BinaryIO) -> None:
    if fcntl is not None:
        with suppress(OSError):  # a file system without locks
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _sweep(folder: Path) -> None:
    """Remove the temporary files of dead processes, once a folder."""
    if fcntl is None or folder in _swept:
        return
    _swept.add(folder)
    with suppress(OSError):
        for entry in os.scandir(folder):
            if entry.name.startswith(TEMPORARY_PREFIX) and entry.is_file(follow_symlinks=False):
                _remove_if_dead(Path(entry.path))


def _remove_if_dead(path: Path) -> None:
    with suppress(OSError), path.open("rb") as file:
        if time.time() - os.fstat(file.fileno()).st_ctime < _YOUNG:
            return
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()


def _sync_folder(folder: Path) -> None:
    """Bring a folder's names to the disk, where folders can be opened."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
