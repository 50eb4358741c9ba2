"""One file to make of another: what is asked for, and what became of it."""

from dataclasses import dataclass, field
from pathlib import Path

from titokzip.bitstream.header import Header


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
