"""Tokens as data: images to rows of tokens, in .npy, in Parquet or in a tar of .ttk files.

A square is cut from the middle of every image, as generators are trained on.
"""

import io
import tarfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray

from titokzip import files
from titokzip.codec import Codec
from titokzip.errors import FormatError, ImageError, ModelError
from titokzip.layouts.tiles import Tiled
from titokzip.runtime.batching import Batch, encode_tiles
from titokzip.runtime.prefetch import ahead
from titokzip.training.data.images import Crop, Sample, read
from titokzip.training.data.sources import Entry, Source
from titokzip.training.data.tokens import HOW_TO_INSTALL, METADATA, TokenFacts

SUFFIXES: Final = (".parquet", ".npy", ".tar")
_HEADER: Final = 4096  # bytes reserved for that of an .npy file
_MAGIC: Final = b"\x93NUMPY\x02\x00"


class Rows(NamedTuple):
    """Some images' tokens."""

    keys: list[str]
    labels: NDArray[np.int32]
    tokens: NDArray[np.int32]  # [n, L]


@dataclass(frozen=True)
class Counts:
    """What became of images."""

    written: int
    broken: int


def facts_of(codec: Codec, classes: Iterable[str]) -> TokenFacts:
    """Describe the tokens of a codec.

    Raises:
        ModelError: it is no tokenizer of tiles.
    """
    about, fingerprint = tiled(codec).tokenizer, codec.fingerprint.hex()
    return TokenFacts(codec.name, fingerprint, about.length, about.vocabulary, tuple(classes))


def tiled(codec: Codec) -> Tiled:
    """Return the layout of a codec.

    Raises:
        ModelError: it is no tokenizer of tiles.
    """
    if not isinstance(codec.layout, Tiled):
        raise ModelError(f"{codec.name}: no tokenizer of tiles, whose rows have one length")
    return codec.layout


def tokenize(
    paths: tuple[Path, ...],
    codec: Codec,
    out: Path,
    *,
    mirror: bool = False,
    threads: int = 2,
    progress: Callable[[int], None] = lambda written: None,
) -> Counts:
    """Write the tokens of all images below some paths; `mirror` adds the mirror image of each.

    Raises:
        ImageError: there are no images.
        FormatError: `out` has another ending than those of `SUFFIXES`, or pyarrow is missing.
        ModelError: the codec is no tokenizer of tiles.
    """
    source, layout = Source(paths), tiled(codec)
    crop = Crop(layout.tokenizer.size).centred()
    written = broken = 0
    with (
        ThreadPoolExecutor(threads) as pool,
        _writer(out, facts_of(codec, source.classes), layout) as writer,
    ):

        def opened(entry: Entry) -> tuple[str, Sample] | None:
            try:
                return entry.key, read(entry, crop, 0)
            except ImageError:
                return None

        size = layout.batch
        for group in _groups(ahead(pool, opened, _entries(source), 4 * size), size):
            good = [one for one in group if one is not None]
            broken += len(group) - len(good)
            for mirrored in (False, True) if mirror else (False,):
                if good:
                    writer.write(_rows(good, layout, mirrored))
                    written += len(good)
            progress(written)
        if not written:
            raise ImageError(f"{', '.join(map(str, paths))}: none of {broken} images can be read")
    return Counts(written, broken)


def _entries(source: Source) -> Iterator[Entry]:
    for shard in range(len(source)):
        yield from source.entries(shard)


def _groups(many: Iterator[Any], size: int) -> Iterator[list[Any]]:
    group = []
    for one in many:
        group.append(one)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group


def _rows(samples: list[tuple[str, Sample]], layout: Tiled, mirrored: bool) -> Rows:
    images = torch.stack([sample["image"] for _, sample in samples])
    tiles = (images.flip(3) if mirrored else images).permute(0, 2, 3, 1).numpy()
    labels = [int(sample["label"]) for _, sample in samples]
    keys = [f"{key}-mirrored" if mirrored else key for key, _ in samples]
    encoded = encode_tiles(layout.tokenizer, [tiles], Batch(layout.batch), layout.device)
    return Rows(keys, np.array(labels, np.int32), np.concatenate(list(encoded)))


def _writer(out: Path, facts: TokenFacts, layout: Tiled) -> "AbstractContextManager[Any]":
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
