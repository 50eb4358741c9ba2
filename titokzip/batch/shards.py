"""Shards: tar files of samples in WebDataset's layout, with .ttk files in the place of images.

    000001.jpg 000001.txt 000001.cls 000002.jpg ...   shard-000.tar
    000001.ttk 000001.txt 000001.cls 000002.ttk ...   the same shard, compressed

Members of one key, the name up to the first dot of its last part, follow each other and make a
sample. Each sample has one image. A sample whose image fails is left out and listed. A shard
appears when it is whole; `shard-000.json` beside it, written before, says what is in it.
"""

import json
import tarfile
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from itertools import groupby
from typing import Any, Final

from titokzip.batch import storage
from titokzip.batch.jobs import Job, Result
from titokzip.batch.members import BLOCK, Member, key_of, members, renamed, suffix_of, written
from titokzip.errors import OutputExists, TitokzipError

MANIFEST: Final = "manifest.json"
_SCHEMA: Final = 1
_COUNTS: Final = {"schema": int, "samples": int, "in_bytes": int, "out_bytes": int}
_SIDECAR_KEYS: Final = {**_COUNTS, "shard": str, "failures": list}
_MANIFEST_KEYS: Final = {**_COUNTS, "shards": list, "failures": int}
Coder = Callable[[Iterable[Job]], Iterator[Result]]


@dataclass(frozen=True)
class Shard:
    """A tar file to make of another."""

    source: str  # a path, or a URL
    target: str

    @property
    def sidecar(self) -> str:
        """Where the facts of the target are."""
        return self.target.removesuffix(".tar") + ".json"


@dataclass(frozen=True)
class Sample(Job):
    """A file of a shard to make of another; its contents are `data`."""

    shard: Shard | None = None
    key: str = ""
    image: tarfile.TarInfo | None = None
    others: tuple[Member, ...] = ()  # what goes along: captions, classes

    @property
    def held(self) -> int:
        """Bytes that it holds in memory, with those that go along."""
        return super().held + sum(len(data) for _, data in self.others)

    @property
    def name(self) -> str:
        """What to call it in front of a person."""
        assert self.shard, "a sample is of a shard"
        return f"{self.shard.source}: {self.key}" if self.key else self.shard.source


@dataclass
class ShardResult:
    """What became of a shard."""

    shard: Shard
    samples: int = 0
    in_bytes: int = 0  # of images, or of .ttk files
    out_bytes: int = 0
    failures: list[dict[str, str]] = field(default_factory=list)
    error: Exception | None = None


def convert(
    shards: Iterable[Shard],
    code: Coder,
    suffixes: Collection[str],
    new: str,
    replace: bool = False,
    skip_existing: bool = False,
) -> Iterator[ShardResult]:
    """Make shards of shards: members with one of the suffixes are coded, and get the new one.

    `code` gives a result for every job, in order. With `skip_existing`, shards whose target is
    there are passed over.
    """
    todo = (one for one in shards if not (skip_existing and storage.exists(one.target)))
    samples = (sample for one in todo for sample in _samples(one, suffixes, replace))
    for shard, results in groupby(code(samples), key=lambda one: one.job.shard):  # type: ignore[attr-defined]
        yield _made(shard, results, new, replace)


def write_manifest(folder: str, shards: Iterable[Shard], replace: bool = False) -> None:
    """Write what is in the shards of a folder: those of this run, and of runs before it.

    Raises:
        OutputExists: another program's manifest is there, and `replace` is not set.
        TitokzipError: another program's file is in the place of a sidecar.
    """
    refuse_foreign_manifest(folder, replace)
    rows = [
        _sidecar_row(shard)
        for shard in shards
        if storage.exists(shard.target) and storage.exists(shard.sidecar)
    ]
    totals = {key: sum(row[key] for row in rows) for key in ("samples", "in_bytes", "out_bytes")}
    failed = sum(len(row["failures"]) for row in rows)
    whole = {"schema": _SCHEMA, **totals, "failures": failed, "shards": rows}
    storage.write(storage.within(folder, MANIFEST), [_json(whole)])


def refuse_foreign_manifest(folder: str, replace: bool) -> None:
    """Refuse to overwrite a manifest that another program wrote.

    Raises:
        OutputExists: it is there, and `replace` is not set.
    """
    _refuse_foreign(storage.within(folder, MANIFEST), _MANIFEST_KEYS, replace)


def read_sidecar(shard: Shard) -> ShardResult:
    """Read what is in a shard that is there.

    Raises:
        TitokzipError: another program's file is in the place of the sidecar.
    """
    row = _sidecar_row(shard)
    return ShardResult(shard, row["samples"], row["in_bytes"], row["out_bytes"], row["failures"])


def _sidecar_row(shard: Shard) -> dict[str, Any]:
    row = _own_json(shard.sidecar, _SIDECAR_KEYS)
    if row is None:
        raise TitokzipError(f"{shard.sidecar}: not a sidecar of titokzip")
    return row


def _refuse_foreign(name: str, keys: Mapping[str, type], replace: bool) -> None:
    if not replace and storage.exists(name) and _own_json(name, keys) is None:
        raise OutputExists(f"{name} exists, and titokzip did not write it")


def _own_json(name: str, keys: Mapping[str, type]) -> dict[str, Any] | None:
    """Read a JSON file of titokzip by its keys and their types; None: another program's."""
    with storage.opened(name) as file:
        data = file.read()
    try:
        row = json.loads(data)
    except (ValueError, RecursionError):
        return None
    own = isinstance(row, dict) and all(isinstance(row.get(key), keys[key]) for key in keys)
    return row if own and row["schema"] == _SCHEMA else None


def _made(shard: Shard, results: Iterator[Result], new: str, replace: bool) -> ShardResult:
    """Write one shard, while its samples are coded."""
    found = ShardResult(shard)
    try:
        storage.write(shard.target, _tar(found, results, new), replace)
    except (TitokzipError, OSError) as error:
        found.error = error
    for _ in results:  # of a shard that could not be written
        pass
    return found


def _tar(found: ShardResult, results: Iterator[Result], new: str) -> Iterator[bytes]:
    for result in results:
        sample = result.job
        assert isinstance(sample, Sample), "the jobs of shards are samples"
        if result.error and not sample.key:
            raise result.error  # of the whole shard
        if result.error:
            found.failures.append({"key": sample.key, "error": str(result.error)})
            continue
        assert sample.image, "a sample without an image has failed"
        assert result.output is not None, "a sample that did not fail was coded"
        found.samples += 1
        found.in_bytes += result.in_bytes
        found.out_bytes += len(result.output)
        yield from written(renamed(sample.image, new), result.output)
        for info, data in sample.others:
            yield from written(info, data)
    yield bytes(2 * BLOCK)
    facts = {key: value for key, value in asdict(found).items() if key not in ("shard", "error")}
    row = {"schema": _SCHEMA, "shard": storage.last_part(found.shard.target), **facts}
    storage.write(found.shard.sidecar, [_json(row)])


def _samples(shard: Shard, suffixes: Collection[str], replace: bool) -> Iterator[Sample]:
    """Read the samples of a shard; what is wrong with it as a whole comes as one without a key."""
    try:
        if storage.exists(shard.target) and not replace:
            raise OutputExists(f"{shard.target} exists")
        _refuse_foreign(shard.sidecar, _SIDECAR_KEYS, replace)
        count = 0
        with storage.opened(shard.source) as file:
            for key, found in groupby(members(file), key=lambda one: key_of(one[0].name)):
                count += 1
                yield _sample(shard, key, list(found), suffixes)
        if not count:
            raise TitokzipError("there is no file in it")
    except (tarfile.TarError, EOFError, zlib.error) as error:
        yield Sample(None, None, TitokzipError(f"a damaged tar file ({error})"), shard=shard)
    except (TitokzipError, OSError) as error:
        yield Sample(None, None, error, shard=shard)


def _sample(shard: Shard, key: str, members: list[Member], suffixes: Collection[str]) -> Sample:
    images = [one for one in members if suffix_of(one[0].name) in suffixes]
    if len(images) != 1:
        error = TitokzipError(f"a sample has one image, and this one {len(images)}")
        return Sample(None, None, error, shard=shard, key=key)
    ((info, data),) = images
    others = tuple(one for one in members if one[0] is not info)
    return Sample(None, None, None, data, shard, key, info, others)


def _json(value: object) -> bytes:
    return json.dumps(value, indent=1).encode() + b"\n"
