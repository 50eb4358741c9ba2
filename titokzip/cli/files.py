"""What the commands over many files share: where outputs go, and how their fate is reported."""

import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from titokzip.cli import exit_codes
from titokzip.cli.interrupts import orderly
from titokzip.cli.options import FileOptions
from titokzip.cli.output import complain, message, say_json, tell

if TYPE_CHECKING:
    from titokzip.batch import Found, Job, Result
    from titokzip.bitstream.header import Layout

Rename = Callable[[Path, bool], Path]  # with True, to the longer name


def renaming(suffixes: Collection[str], new: str) -> Rename:
    """Replace one of the suffixes by a new one; names that have none of them get it added."""

    def rename(path: Path, longer: bool) -> Path:
        if path.suffix.lower() in suffixes and not longer:
            return path.with_suffix(new)
        return path.with_name(path.name + new)

    return rename


def plan(
    files: tuple[str, ...], suffixes: Collection[str], rename: Rename, options: FileOptions
) -> "list[Job]":
    """Pair every input with its output, or refuse what makes no sense (exit 2)."""
    from titokzip.batch import Job, find, is_done, pair

    stdout = _to_stdout(files, options)
    folder = Path(options.output_dir) if options.output_dir is not None else None
    if files == ("-",):
        named = options.output or (folder and folder / rename(Path("stdin"), False))
        job = Job(None, None if stdout else Path(named or ""))
        jobs = [] if options.skip_existing and is_done(job) else [job]
    else:
        found = list(find(files, suffixes, options.recursive))
        if options.output is not None and len(found) > 1:
            raise click.UsageError("-o is for one input; -O names a folder for many")

        def place(one: "Found", longer: bool) -> Path | None:
            if stdout or options.output is not None:
                return None if stdout else Path(options.output or "")
            return rename(folder / one.inside if folder else one.path, longer)

        jobs = pair(found, place, options.skip_existing)
    if stdout and len(jobs) > 1:
        raise click.UsageError("standard output takes one file")
    return jobs


def _to_stdout(files: tuple[str, ...], options: FileOptions) -> bool:
    """Tell whether the output goes to standard output, or refuse that."""
    if sum([options.output is not None, options.output_dir is not None, options.stdout]) > 1:
        raise click.UsageError("-o, -O and -c exclude each other")
    if "-" in files and len(files) > 1:
        raise click.UsageError("standard input is read alone, not among files")
    elsewhere = options.output or options.output_dir
    stdout = options.stdout or options.output == "-" or (files == ("-",) and not elsewhere)
    if stdout and options.as_json:
        raise click.UsageError("--json and the output would both go to standard output")
    if stdout and options.remove:
        raise click.UsageError("--rm with standard output would leave nothing behind")
    if stdout and sys.stdout is not None and sys.stdout.isatty() and not options.force:
        raise click.UsageError("binary data to a terminal; -o names a file, -f does it anyway")
    return stdout


def report(
    results: "Iterable[Result]",
    jobs: "list[Job]",
    start: dict[str, float],
    options: FileOptions,
) -> None:
    """Report what became of every file, then exit with the code that fits."""
    errors: list[Exception] = []
    rows: list[dict[str, Any]] = []  # results are not kept otherwise: there may be millions
    with orderly():
        for result in _watched(results, len(jobs), options.quiet):
            if options.as_json:
                rows.append(_row(result))
            if result.error:
                errors.append(result.error)
                complain(f"{result.job.name}: {message(result.error, result.job.name)}")
            elif not options.quiet:
                tell(_sentence(result, options.verbose))
        if options.verbose:
            spent = ", ".join(f"{stage} {seconds:.2f} s" for stage, seconds in start.items())
            tell(f"start-up: {spent}")
        if options.as_json:
            say_json({"schema": 1, "results": rows})
    sys.exit(exit_codes.of(errors))


def _watched(results: "Iterable[Result]", total: int, quiet: bool) -> "Iterator[Result]":
    """Show progress on a terminal, when there is enough to wait for."""
    if quiet or total < 2 or sys.stderr is None or not sys.stderr.isatty():
        yield from results
        return
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    yield from track(results, "", total=total, console=console, transient=True)


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
    job = result.job
    row: dict[str, Any] = {
        "input": job.name,
        "output": str(job.target) if job.target else None if job.error else "-",
        "status": "error" if result.error else "success",
    }
    if result.error:
        return row | {"error": message(result.error, job.name)}
    header = result.header
    assert header is not None, "a job without an error has a header"
    if result.note:
        row["note"] = result.note
    return row | {
        "in_bytes": result.in_bytes,
        "out_bytes": result.out_bytes,
        "width": header.width,
        "height": header.height,
        "bpp": bpp(result),
        "model": header.model.hex(),
        **described(header.layout),
        "seconds": result.seconds,
    }


def described(layout: "Layout") -> dict[str, Any]:
    """Tell the fields of a layout in JSON, those of a grid of tiles among the others."""
    fields = asdict(layout)
    return {**fields.pop("grid", {}), **fields}
