"""What the commands over many files share: where outputs go, and how their fate is told."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from titokzip.cli.options import FileOptions

if TYPE_CHECKING:
    from titokzip.batch import Job, Result

FAILED, MISSING, REFUSED = 1, 3, 4


def plan(
    files: tuple[str, ...],
    suffixes: set[str],
    rename: Callable[[Path], Path],
    options: FileOptions,
) -> "list[Job]":
    """Pair every input with its output, or refuse what makes no sense (exit 2)."""
    from titokzip.batch import Job, find

    output, output_dir = options.output, options.output_dir
    if sum([output is not None, output_dir is not None, options.stdout]) > 1:
        raise click.UsageError("-o, -O and -c exclude each other")
    stdout = options.stdout or output == "-"
    if stdout and options.as_json:
        raise click.UsageError("--json and the output would both go to standard output")
    if stdout and options.remove:
        raise click.UsageError("--rm with standard output would leave nothing behind")
    if files == ("-",):
        stdout = stdout or not (output or output_dir)
        target = None if stdout else Path(output or output_dir / rename(Path("stdin")))  # type: ignore[operator]
        jobs = [Job(None, target)]
    elif "-" in files:
        raise click.UsageError("standard input is read alone, not among files")
    else:
        found = list(find(files, suffixes, options.recursive))
        if output is not None and len(found) > 1:
            raise click.UsageError("-o is for one input; -O names a folder for many")
        jobs = [
            Job(path, None if stdout else _target(path, inside, rename, options))
            for path, inside in found
        ]
    _refuse_collisions(jobs)
    if stdout and len(jobs) > 1:
        raise click.UsageError("standard output takes one file")
    if stdout and sys.stdout.isatty() and not options.force:
        raise click.UsageError("binary data to a terminal; -o names a file, -f does it anyway")
    if options.skip_existing:
        jobs = [job for job in jobs if not (job.target and job.target.exists())]
    return jobs


def _target(path: Path, inside: Path, rename: Callable[[Path], Path], options: FileOptions) -> Path:
    if options.output is not None:
        return Path(options.output)
    return rename(options.output_dir / inside if options.output_dir else path)


def _refuse_collisions(jobs: "list[Job]") -> None:
    makers: dict[Path, Job] = {}
    for job in jobs:
        if job.target is None:
            continue
        other = makers.setdefault(job.target.resolve(), job)
        if other is not job:
            raise click.UsageError(f"{other.name} and {job.name} would both make {job.target}")


def report(
    results: "Iterable[Result]",
    jobs: "list[Job]",
    start: dict[str, float],
    options: FileOptions,
) -> None:
    """Tell what became of every file, then exit: 0, 1 if some failed, 4 if only refused."""
    from titokzip.batch import Refused

    done: list[Result] = []
    for result in _watched(results, len(jobs), options.quiet):
        done.append(result)
        if result.error:
            click.echo(f"titokzip: {result.job.name}: {_line(result)}", err=True)
        elif not options.quiet:
            click.echo(_sentence(result, options.verbose), err=True)
    if options.verbose:
        spent = ", ".join(f"{stage} {seconds:.2f} s" for stage, seconds in start.items())
        click.echo(f"start-up: {spent}", err=True)
    if options.as_json:
        rows = [_row(result) for result in done]
        click.echo(json.dumps({"schema": 1, "results": rows}, indent=2))
    errors = [result.error for result in done if result.error]
    if errors:
        sys.exit(exit_code(errors, Refused))


def exit_code(errors: list[Exception], refused: type[Exception]) -> int:
    """Choose one exit code for everything that went wrong."""
    from titokzip.errors import ModelError

    if all(isinstance(error, refused) for error in errors):
        return REFUSED
    if all(isinstance(error, ModelError) for error in errors):
        return MISSING
    return FAILED


def _watched(results: "Iterable[Result]", total: int, quiet: bool) -> "Iterator[Result]":
    """Show progress on a terminal, when there is enough to wait for."""
    if quiet or total < 2 or not sys.stderr.isatty():
        yield from results
        return
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    yield from track(results, "", total=total, console=console, transient=True)


def _line(result: "Result") -> str:
    error = result.error
    if isinstance(error, OSError) and error.strerror:
        where = "" if error.filename in (None, result.job.name) else f"{error.filename}: "
        return where + error.strerror
    return str(error) or type(error).__name__


def _sentence(result: "Result", verbose: bool) -> str:
    header = result.header
    assert header is not None, "a job without an error has a header"
    seconds = sum(result.seconds.values())
    line = (
        f"{result.job.name}  {header.width} x {header.height}"
        f"  {result.in_bytes:,} -> {result.out_bytes:,} bytes  {bpp(result):.4f} bpp"
        f"  {seconds:.2f} s"
    )
    if result.note:
        line += f"  ({result.note})"
    if verbose:
        parts = ", ".join(f"{stage} {spent:.2f}" for stage, spent in result.seconds.items())
        line += f"  [{parts}]"
    return line


def bpp(result: "Result") -> float:
    """Bits of the whole .ttk file a pixel of the original."""
    assert result.header is not None, "a job without an error has a header"
    return 8 * result.ttk_bytes / (result.header.width * result.header.height)


def _row(result: "Result") -> dict[str, Any]:
    row: dict[str, Any] = {
        "input": result.job.name,
        "output": str(result.job.target) if result.job.target else "-",
        "status": "error" if result.error else "success",
    }
    if result.error:
        return row | {"error": _line(result)}
    header = result.header
    assert header is not None, "a job without an error has a header"
    return row | {
        "in_bytes": result.in_bytes,
        "out_bytes": result.out_bytes,
        "width": header.width,
        "height": header.height,
        "bpp": bpp(result),
        "columns": header.grid.columns,
        "rows": header.grid.rows,
        "tokens": header.tokens,
        "model": header.model.hex(),
        "seconds": result.seconds,
    }
