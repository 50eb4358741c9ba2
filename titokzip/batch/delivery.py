"""Sources opened, and outputs written whole or not at all."""

import errno
import io
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from titokzip import files
from titokzip.batch.jobs import Job, Options, Result
from titokzip.errors import OutputExists, OutputIsInput, VerificationError

_OPEN_FILES: Final = ("/dev/fd/", "/dev/std", "/proc/")  # names of what is open already


@contextmanager
def opened(job: Job, limit: int) -> Iterator[tuple[BinaryIO, int]]:
    """Open a source that can be searched, with its size; a pipe is read, up to a limit of bytes.

    Raises:
        TitokzipError: a pipe has more bytes.
    """
    if job.data is not None:
        yield io.BytesIO(job.data), len(job.data)
        return
    if job.source is None:
        if sys.stdin is None:
            raise OSError(errno.EBADF, "standard input is closed")
        data = files.read_bounded(sys.stdin.buffer, limit)
        yield io.BytesIO(data), len(data)
        return
    with job.source.open("rb") as file:
        if file.seekable():
            yield file, os.fstat(file.fileno()).st_size
        else:
            data = files.read_bounded(file, limit)
            yield io.BytesIO(data), len(data)


def read_all(job: Job, limit: int) -> bytes:
    """Read a source whole.

    Raises:
        TitokzipError: it has more bytes than the limit.
    """
    with opened(job, limit) as (file, _):
        return files.read_bounded(file, limit)


def refuse_overwriting(job: Job, options: Options) -> None:
    """Refuse an output that exists, unless it is to be replaced; a dangling link exists.

    Raises:
        OutputExists: it exists, or is the input itself.
        IsADirectoryError: it is a folder.
    """
    target = job.target
    if target is None or is_device(target):
        return
    if job.source and target.exists() and job.source.exists() and target.samefile(job.source):
        raise OutputIsInput(f"{target} is the input itself")
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, "is a folder", str(target))
    if os.path.lexists(target) and not options.force:
        raise OutputExists(f"{target} exists")


def deliver(result: Result, parts: Iterable[bytes], options: Options) -> int:
    """Write an output, with the time and at most the permissions of its source; its bytes.

    Where the source is to be removed, the output is on the disk and reads back before.

    Raises:
        OutputExists: another process has made it meanwhile.
        VerificationError: it does not read back; the source stays.
    """
    count, job = _Counted(parts), result.job
    if job.data is not None:
        result.output = b"".join(count)
    elif job.target is None:
        _to_stdout(count)
    elif is_device(job.target):
        with job.target.open("wb") as file:
            for part in count:
                file.write(part)
    else:
        _to_file(job, job.target, count, options)
    return count.bytes


class _Counted:
    """Parts of a file, and how many bytes of them went through."""

    def __init__(self, parts: Iterable[bytes]) -> None:
        self.parts, self.bytes = parts, 0

    def __iter__(self) -> Iterator[bytes]:
        for part in self.parts:
            self.bytes += len(part)
            yield part


def _to_stdout(parts: Iterable[bytes]) -> None:
    if sys.stdout is None:
        raise OSError(errno.EBADF, "standard output is closed")
    for part in parts:
        sys.stdout.buffer.write(part)
    sys.stdout.buffer.flush()


def _to_file(job: Job, target: Path, parts: Iterable[bytes], options: Options) -> None:
    manner = files.Manner(replace=options.force, durable=options.remove)
    status = job.source.stat() if job.source else None
    if status and stat.S_ISREG(status.st_mode):
        manner = files.Manner(
            options.force,
            stat.S_IMODE(status.st_mode),
            (status.st_atime_ns, status.st_mtime_ns),
            options.remove,
        )
    try:
        digest = files.write_atomically(target, parts, manner)
    except FileExistsError as error:
        raise OutputExists(f"{target} exists") from error
    if options.remove and job.source and status and stat.S_ISREG(status.st_mode):
        if files.sha256(target) != digest:
            raise VerificationError(f"{target} does not read back as it was written")
        job.source.unlink()


def is_device(path: Path) -> bool:
    """Tell whether a path is a pipe, /dev/null or the like: written into, never replaced.

    /dev/stdout may lead to a plain file, which is written into, too. /dev/shm is a folder like any.
    """
    if str(path.absolute()).startswith(_OPEN_FILES):
        return True
    return path.exists() and not (path.is_file() or path.is_dir())
