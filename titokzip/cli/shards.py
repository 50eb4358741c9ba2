"""compress and decompress over shards: tar files in WebDataset's layout, here or behind URLs."""

import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from titokzip.cli import exit_codes
from titokzip.cli.interrupts import orderly
from titokzip.cli.options import FileOptions
from titokzip.cli.output import complain, message, say_json, tell

if TYPE_CHECKING:
    from titokzip.batch import Options
    from titokzip.batch.shards import Coder, Shard, ShardResult

_MANY = (".tar", ".tar.gz", ".tgz")
_NOT_WITH_RAY = ("precision", "passes", "steps", "guidance", "compiled", "batch_size")
_BY_HAND = (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)


def are_shards(files: tuple[str, ...]) -> bool:
    """Tell whether a command line names shards, or refuse one that names other files, too."""
    named = [name.lower().endswith(_MANY) for name in files]
    if any(named) and not all(named):
        raise click.UsageError("shards (.tar) and other files do not go together")
    return all(named)


def plan_shards(files: tuple[str, ...], options: FileOptions) -> "list[Shard]":
    """Pair every shard with its output, or refuse (exit 2, or 4 what is in the way)."""
    from titokzip.batch.shards import MANIFEST, Shard, refuse_foreign_manifest
    from titokzip.batch.storage import are_same, expanded, last_part, within

    if options.output_dir is None or options.output is not None or options.stdout:
        raise click.UsageError("shards go into a folder of their own, which -O names")
    if options.remove:
        raise click.UsageError("--rm does not go with shards: a sample may have failed")
    folder = options.output_dir
    sources = [one for name in files for one in expanded(name)]
    shards = [
        Shard(one, within(folder, last_part(one).partition(".tar")[0] + ".tar")) for one in sources
    ]
    if len({shard.target for shard in shards}) < len(shards):
        raise click.UsageError("two shards of one name would make the same output")
    if any(are_same(shard.source, shard.target) for shard in shards):
        raise click.UsageError("-O names the folder of the shards themselves")
    if any(last_part(shard.sidecar) == MANIFEST for shard in shards):
        raise click.UsageError(f"manifest.tar would be described in {MANIFEST}, the folder's own")
    refuse_foreign_manifest(folder, options.force)
    return shards


def convert_shards(
    shards: "list[Shard]",
    code: "Coder",
    suffixes: Collection[str],
    new: str,
    options: FileOptions,
) -> None:
    """Convert shards, report what became of each, and exit with the code that fits."""
    from titokzip.batch.shards import convert

    results = convert(shards, code, suffixes, new, options.force, options.skip_existing)
    report_shards(shards, results, options)


def check_ray(options: FileOptions, shards: bool) -> None:
    """Refuse a cluster for what is no shard, and options that its actors do not take."""
    if not options.ray:
        return
    if not shards:
        raise click.UsageError("--ray works on shards (.tar); files are done by -j processes")
    context = click.get_current_context()
    given = [
        one.opts[0]
        for one in context.command.params
        if one.name in _NOT_WITH_RAY and context.get_parameter_source(one.name) in _BY_HAND
    ]
    if given:
        raise click.UsageError(f"--ray does not take {', '.join(given)}")


def _actors(options: FileOptions, ray: ModuleType) -> Any:
    """Give every actor a core, or a GPU if one is asked for."""
    return ray.Actors(gpus=1) if options.device == "cuda" else ray.Actors()


@contextmanager
def _on_cluster(options: FileOptions) -> "Iterator[ModuleType]":
    """Reach a Ray cluster, or start one on this machine; gives `titokzip.ray`."""
    try:
        import ray
    except ImportError as error:
        raise click.UsageError("--ray needs Ray; pip install 'titokzip[ray]'") from error
    from titokzip import ray as cluster

    here = options.ray == "local"
    try:
        ray.init(
            None if here else options.ray,
            num_cpus=options.jobs if here else None,
            include_dashboard=False if here else None,
            log_to_driver=False,
            logging_level="error",
        )
    except ConnectionError as error:
        raise click.UsageError(f"--ray {options.ray}: there is no cluster ({error})") from error
    try:
        yield cluster
    finally:
        ray.shutdown()


def convert_on_cluster(
    shards: "list[Shard]", options: FileOptions, make: "Callable[[ModuleType, Options], Any]"
) -> None:
    """Convert shards by actors, report what became of each, and exit with the code that fits.

    `make` gives what every actor makes its coder of, from `titokzip.ray` and the options of one.
    """
    from titokzip import batch

    with _on_cluster(options) as ray:
        maker = make(ray, batch.Options(options.force, threads=1))
        results = ray.convert_shards(
            _skipped(shards, options), maker, _actors(options, ray), options.force
        )
        report_shards(shards, results, options)


def _skipped(shards: "list[Shard]", options: FileOptions) -> "list[Shard]":
    """Leave out what is there already, where that was asked for."""
    from titokzip.batch.storage import exists

    return [one for one in shards if not (options.skip_existing and exists(one.target))]


def report_shards(
    shards: "list[Shard]", results: "Iterable[ShardResult]", options: FileOptions
) -> None:
    """Report what became of every shard, then exit with the code that fits."""
    from titokzip.batch.shards import write_manifest

    done: list[ShardResult] = []
    with orderly():
        for result in results:
            done.append(result)
            _report(result, options.quiet)
        write_manifest(str(options.output_dir), shards, options.force)
        if options.as_json:
            say_json({"schema": 1, "results": [_row(result) for result in done]})
    failed = any(result.failures for result in done)
    code = exit_codes.of(result.error for result in done if result.error)
    sys.exit(code or (exit_codes.FAILED if failed else exit_codes.OK))


def _report(result: "ShardResult", quiet: bool) -> None:
    source = result.shard.source
    if result.error:
        complain(f"{source}: {message(result.error, source)}")
        return
    for failure in result.failures:
        complain(f"{source}: {failure['key']}: {failure['error']}")
    if not quiet:
        tell(
            f"{source}  {result.samples:,} samples"
            f"  {result.in_bytes:,} -> {result.out_bytes:,} bytes"
        )


def _row(result: "ShardResult") -> dict[str, Any]:
    row: dict[str, Any] = {
        "input": result.shard.source,
        "output": result.shard.target,
        "status": "error" if result.error else "success",
    }
    if result.error:
        return row | {"error": message(result.error, result.shard.source)}
    return row | {
        "samples": result.samples,
        "in_bytes": result.in_bytes,
        "out_bytes": result.out_bytes,
        "failures": result.failures,
    }
