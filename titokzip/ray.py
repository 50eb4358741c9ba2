"""A cluster: compress, decompress and tokenize a Ray Data dataset; pip install 'titokzip[ray]'.

    import ray, titokzip.ray
    images = ray.data.read_images("s3://bucket/photos", mode="RGB")
    small = titokzip.ray.compress(images, quality=40)          # column "image" -> column "ttk"
    back = titokzip.ray.decompress(small)                      # column "ttk" -> column "image"

Ray schedules, retries and scales. Here are the classes that its actors are made of: each loads the
model once. `convert_shards` makes shards of shards, one row a shard, and what it writes is byte for
byte what the command writes without a cluster. A shard appears once, whole: an actor that dies
leaves none behind, and Ray has another one do it.
"""

import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import ray
import ray.data
from numpy.typing import NDArray

from titokzip import images, loading, zoo
from titokzip.api import to_input, tokens
from titokzip.batch import Models, Options, compress_files, decompress_files, storage
from titokzip.batch.shards import Shard, ShardResult, convert, read_sidecar
from titokzip.bitstream import container
from titokzip.errors import OutputExists, TitokzipError
from titokzip.rate_control import Rate

if TYPE_CHECKING:
    from titokzip.codec import Codec

Batch = dict[str, Any]


@dataclass(frozen=True)
class Actors:
    """How many actors there are, and what each takes of the cluster."""

    most: int | None = None  # by default, as many as the cluster has room for
    cpus: float = 1
    gpus: float = 0
    batch: int = 16  # rows that an actor sees at once


def compress(
    dataset: "ray.data.Dataset",
    *,
    column: str = "image",
    to: str = "ttk",
    model: str = zoo.DEFAULT,
    actors: Actors | None = None,
    **rate: Any,
) -> "ray.data.Dataset":
    """Compress the images of a column, arrays uint8 [H, W, 3] or files as bytes, to .ttk files.

    `rate` is what `titokzip.compress` takes: quality, bpp, max_bytes. An image that fails has no
    bytes, and a word in the column "error".
    """
    return _mapped(dataset, _Compressor, (column, to, model, Rate(**rate)), actors)


def decompress(
    dataset: "ray.data.Dataset",
    *,
    column: str = "ttk",
    to: str = "image",
    model: str | None = None,
    actors: Actors | None = None,
) -> "ray.data.Dataset":
    """Decode the .ttk files of a column to arrays uint8 [H, W, 3]; the inverse of `compress`.

    A file that fails has an image without pixels, and a word in the column "error".
    """
    return _mapped(dataset, _Decompressor, (column, to, model), actors)


def tokenize(
    dataset: "ray.data.Dataset",
    *,
    column: str = "ttk",
    to: str = "tokens",
    actors: Actors | None = None,
) -> "ray.data.Dataset":
    """Decode the tokens of the .ttk files of a column, int32 in one row each; no network runs.

    Those of tiles are [N * L]; `grid` of `titokzip.tokens` tells N.
    """
    return _mapped(dataset, _Tokenizer, (column, to), actors)


def convert_shards(
    shards: Iterable[Shard],
    make: "Callable[[], Converter]",
    actors: Actors | None = None,
    replace: bool = False,
) -> Iterator[ShardResult]:
    """Make shards of shards on a cluster; results come as shards are done.

    `make` is called by each actor once, and must be picklable.
    """
    todo = []
    for shard in shards:
        if not replace and storage.exists(shard.target):
            yield ShardResult(shard, error=OutputExists(f"{shard.target} exists"))
        else:
            todo.append({"source": shard.source, "target": shard.target})
    if not todo:
        return
    resources = _resources(actors or Actors(), len(todo))
    dataset = ray.data.from_items(todo, override_num_blocks=len(todo))
    for row in dataset.map(_ShardActor, fn_constructor_args=(make,), **resources).iter_rows():
        yield pickle.loads(row["result"])


@dataclass(frozen=True)
class Converter:
    """What an actor does with a shard."""

    code: Callable[[Any], Any]
    suffixes: frozenset[str]
    new: str
    replace: bool = False

    def __call__(self, shard: Shard) -> ShardResult:
        """Make one shard of another; one that is there was made by an actor that died since."""
        if not self.replace and storage.exists(shard.target):
            return read_sidecar(shard)
        return next(convert([shard], self.code, self.suffixes, self.new, self.replace))


@dataclass(frozen=True)
class Compressing:
    """Makes the converter of actors that compress."""

    model: str
    device: str
    rate: Rate
    options: Options
    how: Mapping[str, Any]

    def __call__(self) -> Converter:
        """Load the model."""
        codec = loading.load(self.model, self.device)
        return Converter(
            lambda jobs: compress_files(jobs, codec, self.rate, self.options, **self.how),
            images.SUFFIXES,
            ".ttk",
            self.options.force,
        )


@dataclass(frozen=True)
class Decompressing:
    """Makes the converter of actors that decompress; models are loaded as files ask for them."""

    model: str | None
    device: str
    options: Options
    how: Mapping[str, Any]

    def __call__(self) -> Converter:
        """Load nothing yet."""
        models = Models(self.model, lambda one: loading.load(one, self.device, passes=1))
        return Converter(
            lambda jobs: decompress_files(jobs, models, self.options, **self.how),
            frozenset([".ttk"]),
            self.how.get("suffix") or ".png",
            self.options.force,
        )


class _ShardActor:
    """An actor over rows of a source and a target."""

    def __init__(self, make: Callable[[], Converter]) -> None:
        self.converter = make()

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        result = self.converter(Shard(row["source"], row["target"]))
        return {"result": pickle.dumps(result)}


class _Compressor:
    """An actor over batches of images."""

    def __init__(self, column: str, to: str, model: str, rate: Rate) -> None:
        self.column, self.to, self.rate = column, to, rate
        self.codec: Codec = loading.load(model)

    def __call__(self, batch: Batch) -> Batch:
        return _with_results(batch, self.column, self.to, self._compressed, b"")

    def _compressed(self, image: Any) -> bytes:
        source = image if isinstance(image, bytes) else np.asarray(image)
        return self.codec.compress(to_input(source), self.rate)


class _Decompressor:
    """An actor over batches of .ttk files."""

    def __init__(self, column: str, to: str, model: str | None) -> None:
        self.column, self.to = column, to
        self.models = Models(model, lambda manifest: loading.load(manifest, passes=1))

    def __call__(self, batch: Batch) -> Batch:
        nothing = np.zeros((0, 0, 3), np.uint8)
        return _with_results(batch, self.column, self.to, self._decoded, nothing)

    def _decoded(self, data: bytes) -> NDArray[np.uint8]:
        codec = self.models(container.unpack(data).header.model)
        return np.asarray(codec.decompress(data).convert("RGB"))


class _Tokenizer:
    """An actor over batches of .ttk files, for their tokens only."""

    def __init__(self, column: str, to: str) -> None:
        self.column, self.to = column, to

    def __call__(self, batch: Batch) -> Batch:
        nothing = np.zeros(0, np.int32)
        return _with_results(
            batch, self.column, self.to, lambda data: tokens(data).tokens.ravel(), nothing
        )


def _with_results(
    batch: Batch, column: str, to: str, work: Callable[[Any], Any], nothing: Any
) -> Batch:
    """Add a column of results to a batch, and one of errors."""
    count = len(batch[column])
    results, errors = np.empty(count, object), np.full(count, "", object)
    for row, value in enumerate(batch[column]):
        try:
            results[row] = work(value)
        except (TitokzipError, ValueError) as error:
            results[row], errors[row] = nothing, str(error)
    return {**batch, to: results, "error": errors}


def _mapped(
    dataset: "ray.data.Dataset", kind: type, arguments: tuple[Any, ...], actors: Actors | None
) -> "ray.data.Dataset":
    wanted = actors or Actors()
    return dataset.map_batches(
        kind,
        fn_constructor_args=arguments,
        batch_size=wanted.batch,
        batch_format="numpy",
        **_resources(wanted),
    )


def _resources(actors: Actors, rows: int | None = None) -> dict[str, Any]:
    """Say what actors take, in Ray's words; more of them than rows are of no use."""
    cluster = ray.cluster_resources()
    room = int(cluster.get("CPU", 1) // actors.cpus) if actors.cpus else 1
    if actors.gpus:
        room = min(room, int(cluster.get("GPU", 0) // actors.gpus))
    most = max(1, min(actors.most or room, rows or room))
    taken = {"num_cpus": actors.cpus} | ({"num_gpus": actors.gpus} if actors.gpus else {})
    return {"compute": ray.data.ActorPoolStrategy(min_size=1, max_size=most), **taken}
