"""One file to make of another: what is asked for, what became of it, and which go together."""

import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import Final

from titokzip.bitstream.header import Header
from titokzip.runtime.grouping import in_groups

MOST_FILES: Final = 16  # of a group
_MOST_BYTES: Final = 2**20  # of the files of a group: large images gain nothing
_GROUPS_PER_WORKER: Final = 4  # at the least, where the number of files is known


@dataclass(frozen=True)
class Job:
    """One file to make of another; None stands for standard input and output.

    With `data`, it stands for memory: what is made becomes the `output` of the result.
    """

    source: Path | None
    target: Path | None
    error: Exception | None = None  # why it cannot be done, if that is known beforehand
    data: bytes | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """What to call it in front of a person."""
        return "-" if self.source is None else str(self.source)

    @property
    def held(self) -> int:
        """Bytes that it holds in memory."""
        return len(self.data or b"")


@dataclass(frozen=True)
class Options:
    """How files are read and written."""

    force: bool = False  # replace outputs that exist
    remove: bool = False  # the source, once its output is on the disk and reads back
    threads: int = 2  # that read ahead, and that write behind
    processes: int = 0  # that code, read and write; 0: this one does


@dataclass
class Result:
    """What became of one job."""

    job: Job
    error: Exception | None = None
    in_bytes: int = 0
    out_bytes: int = 0
    ttk_bytes: int = 0  # whichever of the two is the .ttk file
    header: Header | None = None
    note: str = ""
    output: bytes | None = None  # of a job in memory
    seconds: dict[str, float] = field(default_factory=dict)  # by stage


def groups(workers: int) -> Callable[[Iterable[Job]], Iterator[list[Job]]]:
    """Make what divides jobs into groups of small files that follow each other."""

    def divided(jobs: Iterable[Job]) -> Iterator[list[Job]]:
        files = MOST_FILES
        if isinstance(jobs, Sequence):
            files = min(files, ceil(len(jobs) / (_GROUPS_PER_WORKER * workers)))
        least = _MOST_BYTES // max(files, 1)
        return in_groups(jobs, lambda job: max(_size_of(job), least), _MOST_BYTES)

    return divided


def _size_of(job: Job) -> int:
    """Give the bytes of a file; those of a pipe, which is read once, fill a group."""
    if job.data is not None or job.source is None:
        return job.held
    try:
        status = job.source.stat()
    except OSError:
        return 0  # reading it says what is wrong
    return status.st_size if stat.S_ISREG(status.st_mode) else _MOST_BYTES
