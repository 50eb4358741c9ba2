"""Files of tokens: .npy, Parquet, or a tar of .ttk files, written whole or not at all."""

import io
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple, Protocol

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

    def close(self) -> None:
        """Finish the file, and write what belongs beside it."""
        ...


@contextmanager
def writer(out: Path, facts: TokenFacts, layout: Tiled) -> Iterator[Writer]:
    """Open a file for tokens; it is there when it is whole.

    Raises:
        FormatError: its ending is none of `SUFFIXES`, or pyarrow is missing.
    """
    if out.suffix not in SUFFIXES:
        raise FormatError(f"{out}: tokens are written to {', '.join(SUFFIXES)}")
    arrow = _pyarrow(out) if out.suffix == ".parquet" else None
    with files.opened_atomically(out) as file:
        tokens: Writer
        if arrow is not None:
            tokens = _Parquet(arrow, file, facts)
        elif out.suffix == ".npy":
            tokens = _Npy(out, file, facts)
        else:
            tokens = _Tar(file, layout)
        yield tokens
        tokens.close()


class _Parquet:
    """Columns key, class and tokens; what the tokens are is in the metadata."""

    def __init__(self, pyarrow: Any, file: BinaryIO, facts: TokenFacts) -> None:
        self.arrow = pyarrow
        columns = [
            ("key", pyarrow.string()),
            ("class", pyarrow.int32()),
            ("tokens", pyarrow.list_(pyarrow.int32(), facts.length)),
        ]
        metadata = {METADATA: facts.to_json()}
        self.schema: Any = pyarrow.schema(columns, metadata=metadata)
        self.file: Any = pyarrow.parquet.ParquetWriter(file, self.schema)

    def write(self, rows: Rows) -> None:
        """Add rows."""
        flat = self.arrow.array(rows.tokens.ravel())
        tokens = self.arrow.FixedSizeListArray.from_arrays(flat, rows.tokens.shape[1])
        columns = [rows.keys, self.arrow.array(rows.labels), tokens]
        self.file.write_table(self.arrow.table(columns, schema=self.schema))

    def close(self) -> None:
        self.file.close()


def _pyarrow(out: Path) -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise FormatError(f"{out}: {HOW_TO_INSTALL} writes Parquet files") from error
    return pyarrow


class _Npy:
    """Records of class and tokens; what the tokens are is in NAME.npy.json."""

    def __init__(self, out: Path, file: BinaryIO, facts: TokenFacts) -> None:
        self.out, self.file, self.facts, self.count = out, file, facts, 0
        self.kind = np.dtype([("class", "<i4"), ("tokens", "<i4", (facts.length,))])
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
        beside = self.out.with_name(f"{self.out.name}.json")
        files.write_atomically(beside, self.facts.to_json().encode() + b"\n")


class _Tar:
    """A .ttk file and a class for every image, in WebDataset's layout."""

    def __init__(self, file: BinaryIO, layout: Tiled) -> None:
        self.layout = layout
        self.file = tarfile.open(fileobj=file, mode="w")  # noqa: SIM115  (closed by `close`)

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
