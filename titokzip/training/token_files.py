"""Files of tokens: .npy, Parquet, or a tar of .ttk files, written whole or not at all."""

import io
import tarfile
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from titokzip import files
from titokzip.errors import FormatError
from titokzip.layouts.tiles import Tiled
from titokzip.training.data.tokens import HOW_TO_INSTALL, METADATA, TokenFacts

SUFFIXES: Final = (".parquet", ".npy", ".tar")
_HEADER: Final = 4096  # bytes reserved for that of an .npy file
_MAGIC: Final = b"\x93NUMPY\x02\x00"


class Rows(NamedTuple):
    """Some images' tokens."""

    keys: list[str]
    labels: NDArray[np.int32]
    tokens: NDArray[np.int32]  # [n, L]


class Writer(Protocol):
    """What writes tokens."""

    def write(self, rows: Rows) -> None:
        """Add rows."""
        ...


def writer(out: Path, facts: TokenFacts, layout: Tiled) -> "AbstractContextManager[Writer]":
    """Open a file for tokens; it is there when it is whole.

    Raises:
        FormatError: its ending is none of `SUFFIXES`, or pyarrow is missing.
    """
    if out.suffix == ".parquet":
        return _Parquet(out, facts)
    if out.suffix == ".npy":
        return _Npy(out, facts)
    if out.suffix == ".tar":
        return _Tar(out, layout)
    raise FormatError(f"{out}: tokens are written to {', '.join(SUFFIXES)}")


class _Whole:
    """A file that is written beside its place, and put there when it is whole."""

    def __init__(self, out: Path) -> None:
        out.parent.mkdir(parents=True, exist_ok=True)
        self.out, self.temporary = out, out.with_name(f".{out.name}.part")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
        if error is None:
            self.describe()
            self.temporary.replace(self.out)
        else:
            self.temporary.unlink(missing_ok=True)

    def close(self) -> None:
        """Finish the file."""

    def describe(self) -> None:
        """Write what belongs beside the file, now that it is whole."""


class _Parquet(_Whole):
    """Columns key, class and tokens; what the tokens are is in the metadata."""

    def __init__(self, out: Path, facts: TokenFacts) -> None:
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError as error:
            raise FormatError(f"{out}: {HOW_TO_INSTALL} writes Parquet files") from error
        super().__init__(out)
        self.arrow: Any = pyarrow
        columns = [
            ("key", pyarrow.string()),
            ("class", pyarrow.int32()),
            ("tokens", pyarrow.list_(pyarrow.int32(), facts.length)),
        ]
        metadata = {METADATA: facts.to_json()}
        self.schema: Any = pyarrow.schema(columns, metadata=metadata)
        self.file: Any = pyarrow.parquet.ParquetWriter(self.temporary, self.schema)

    def write(self, rows: Rows) -> None:
        """Add rows."""
        flat = self.arrow.array(rows.tokens.ravel())
        tokens = self.arrow.FixedSizeListArray.from_arrays(flat, rows.tokens.shape[1])
        columns = [rows.keys, self.arrow.array(rows.labels), tokens]
        self.file.write_table(self.arrow.table(columns, schema=self.schema))

    def close(self) -> None:
        self.file.close()


class _Npy(_Whole):
    """Records of class and tokens; what the tokens are is in NAME.npy.json."""

    def __init__(self, out: Path, facts: TokenFacts) -> None:
        super().__init__(out)
        self.facts, self.count = facts, 0
        self.kind = np.dtype([("class", "<i4"), ("tokens", "<i4", (facts.length,))])
        self.file = self.temporary.open("wb")
        self.file.write(bytes(_HEADER))

    def write(self, rows: Rows) -> None:
        """Add rows."""
        records = np.zeros(len(rows.keys), self.kind)
        records["class"], records["tokens"] = rows.labels, rows.tokens
        self.file.write(records.tobytes())
        self.count += len(records)

    def close(self) -> None:
        about = {"descr": self.kind.descr, "fortran_order": False, "shape": (self.count,)}
        text = repr(about).encode()
        length = _HEADER - len(_MAGIC) - 4
        self.file.seek(0)
        self.file.write(_MAGIC + length.to_bytes(4, "little") + text.ljust(length - 1) + b"\n")
        self.file.close()

    def describe(self) -> None:
        beside = self.out.with_name(f"{self.out.name}.json")
        files.write_atomically(beside, self.facts.to_json().encode() + b"\n")


class _Tar(_Whole):
    """A .ttk file and a class for every image, in WebDataset's layout."""

    def __init__(self, out: Path, layout: Tiled) -> None:
        super().__init__(out)
        self.layout = layout
        self.file = tarfile.open(self.temporary, "w")  # noqa: SIM115  (closed by `close`)

    def write(self, rows: Rows) -> None:
        """Add rows."""
        for key, label, row in zip(rows.keys, rows.labels, rows.tokens, strict=True):
            self._add(f"{key}.ttk", self.layout.file_of(row))
            if label >= 0:
                self._add(f"{key}.cls", str(label).encode())

    def close(self) -> None:
        self.file.close()

    def _add(self, name: str, data: bytes) -> None:
        member = tarfile.TarInfo(name)
        member.size = len(data)
        self.file.addfile(member, io.BytesIO(data))
