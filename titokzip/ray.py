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

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import ray
import ray.data

from titokzip import images, loading, zoo
from titokzip.api import to_input
from titokzip.batch import Models, Options, compress_files, decompress_files
from titokzip.batch.shards import Shard, ShardResult, convert
from titokzip.bitstream import container
from titokzip.errors import TitokzipError
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
    bytes, and what was wrong is in the column "error".
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
    """Decode the .ttk files of a column to arrays uint8; the inverse of `compress`."""
    return _mapped(dataset, _Decompressor, (column, to, model), actors)


def tokenize(
    dataset: "ray.data.Dataset",
    *,
    column: str = "ttk",
    to: str = "tokens",
    actors: Actors | None = None,
) -> "ray.data.Dataset":
    """Decode the tokens, int32, of the .ttk files of a column; no network runs."""
    return _mapped(dataset, _Tokenizer, (column, to), actors)


def convert_shards(
    shards: Iterable[Shard], make: "Callable[[], Converter]", actors: Actors | None = None
) -> Iterator[ShardResult]:
    """Make shards of shards on a cluster; results come as shards are done.

    `make` is called by each actor once, and must be picklable.
    """
    rows = [{"source": one.source, "target": one.target} for one in shards]
    if not rows:
        return
    wanted = actors or Actors()
    dataset = ray.data.from_items(rows, override_num_blocks=len(rows))
    done = dataset.map(_ShardConverter, fn_constructor_args=(make,), **_resources(wanted, len(rows)))
    for row in done.iter_rows():
        yield row["result"]


@dataclass(frozen=True)
class Converter:
    """What an actor does with a shard."""

    code: Callable[[Any], Any]
    suffixes: frozenset[str]
    new: str
    replace: bool = False

    def __call__(self, shard: Shard) -> ShardResult:
        """Make one shard of another."""
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
    suffix: str
    how: Mapping[str, Any]

    def __call__(self) -> Converter:
        """Load nothing yet."""
        models = Models(self.model, lambda manifest: loading.load(manifest, self.device))
        return Converter(
            lambda jobs: decompress_files(
                jobs, models, self.options, suffix=self.suffix, **self.how
            ),
            frozenset([".ttk"]),
            self.suffix,
            self.options.force,
        )


class _ShardConverter:
    """An actor over rows of a source and a target."""

    def __init__(self, make: Callable[[], Converter]) -> None:
        self.converter = make()

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        return {"result": self.converter(Shard(row["source"], row["target"]))}


class _Compressor:
    """An actor over batches of images."""

    def __init__(self, column: str, to: str, model: str, rate: Rate) -> None:
        self.column, self.to, self.rate = column, to, rate
        self.codec: Codec = loading.load(model)

    def __call__(self, batch: Batch) -> Batch:
        def attempt(image: Any) -> bytes | Exception:
            try:
                source = image if isinstance(image, bytes) else np.asarray(image)
                return self.codec.compress(to_input(source), self.rate)
            except (TitokzipError, ValueError) as error:
                return error

        return _with_results(batch, self.to, [attempt(image) for image in batch[self.column]])


class _Decompressor:
    """An actor over batches of .ttk files."""

    def __init__(self, column: str, to: str, model: str | None) -> None:
        self.column, self.to = column, to
        self.models = Models(model, loading.load)

    def __call__(self, batch: Batch) -> Batch:
        def attempt(data: bytes) -> Any:
            try:
                header = container.unpack(data).header
                return np.asarray(self.models(header.model).decompress(data))
            except TitokzipError as error:
                return error

        return _with_results(batch, self.to, [attempt(data) for data in batch[self.column]])


class _Tokenizer:
    """An actor over batches of .ttk files, for their tokens only."""

    def __init__(self, column: str, to: str) -> None:
        self.column, self.to = column, to

    def __call__(self, batch: Batch) -> Batch:
        from titokzip.api import tokens

        def attempt(data: bytes) -> Any:
            try:
                return tokens(data).tokens
            except TitokzipError as error:
                return error

        return _with_results(batch, self.to, [attempt(data) for data in batch[self.column]])


def _with_results(batch: Batch, to: str, results: list[Any]) -> Batch:
    """Add a column of results, and one of errors, to a batch."""
    failed = [isinstance(one, Exception) for one in results]
    values = np.empty(len(results), object)
    errors = np.empty(len(results), object)
    for i, (result, bad) in enumerate(zip(results, failed, strict=True)):
        values[i], errors[i] = (None, str(result)) if bad else (result, "")
    return {**batch, to: values, "error": errors}


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
    return {"concurrency": (1, most), **taken}


def facts(result: ShardResult) -> dict[str, Any]:
    """Tell a result in plain types."""
    return asdict(result)
