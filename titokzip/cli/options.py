"""The options that all commands over files share."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from titokzip.runtime.cores import cores

if TYPE_CHECKING:
    from titokzip.batch import Options

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True)
class FileOptions:
    """What `file_options` asks for."""

    output: str | None
    output_dir: str | None
    stdout: bool
    recursive: bool
    force: bool
    skip_existing: bool
    remove: bool
    device: str
    jobs: int
    batch_size: int | None
    compiled: bool
    ray: str | None
    as_json: bool
    quiet: bool
    verbose: bool


def file_options(command: Command) -> Command:
    """Give a command the options that all commands over files have."""
    for option in reversed(
        [
            click.argument("files", nargs=-1, required=True, metavar="FILE..."),
            click.option(
                "-o", "--output", metavar="FILE", help="Output, for one input; - is stdout."
            ),
            click.option(
                "-O",
                "--output-dir",
                metavar="DIR",
                help="Folder for outputs; keeps the structure of input folders.",
            ),
            click.option("-c", "--stdout", is_flag=True, help="Write to standard output."),
            click.option(
                "-r",
                "--recursive",
                is_flag=True,
                help="Go through folders; links to folders are not followed.",
            ),
            click.option(
                "-f",
                "--force",
                is_flag=True,
                allow_from_autoenv=False,  # no setting left behind may destroy files
                help="Overwrite outputs that exist.",
            ),
            click.option("--skip-existing", is_flag=True, help="Skip inputs whose output exists."),
            click.option(
                "--rm",
                "remove",
                is_flag=True,
                allow_from_autoenv=False,
                help="Delete inputs once their outputs are on the disk and read back.",
            ),
            click.option(
                "--device",
                default="auto",
                show_default=True,
                type=click.Choice(["auto", "cpu", "cuda", "mps"]),
            ),
            click.option(
                "-j",
                "--jobs",
                type=click.IntRange(1, 1024),
                default=cores,
                metavar="N",
                help="Processes that work on many files.  [default: one a core]",
            ),
            click.option(
                "--batch-size",
                type=click.IntRange(1, 4096),
                help="Tiles in a batch of the network.  [default: 16; on CUDA, what fits]",
            ),
            click.option(
                "--compile",
                "compiled",
                is_flag=True,
                help="Compile the network, for bulk work; takes a minute or more at the start.",
            ),
            click.option(
                "--ray",
                metavar="ADDRESS",
                help="Shards on a Ray cluster: its address, or local for this machine.",
            ),
            click.option("--json", "as_json", is_flag=True, help="Report as JSON on stdout."),
            click.option("--quiet", is_flag=True, help="Report errors only."),
            click.option("-v", "--verbose", is_flag=True, help="Report where the time went."),
        ]
    ):
        command = option(command)
    return command


def how(options: FileOptions) -> "Options":
    """Tell the library how files are read and written."""
    from titokzip.batch import Options

    jobs = options.jobs
    return Options(options.force, options.remove, max(2, jobs), 0 if jobs == 1 else jobs)


def max_pixels_option(command: Command) -> Command:
    """Give a command the limit on pixels, for reading and writing images alike."""
    return click.option(
        "--max-pixels",
        type=click.IntRange(1),
        metavar="N",
        help="Allow images of up to N pixels.  [default: 300 million]",
    )(command)


def check_device(name: str) -> None:
    """Refuse a device that is not here (exit 2); imports torch to look for others than cpu."""
    if name in ("auto", "cpu"):
        return
    from titokzip.runtime.device import devices

    here = devices()
    if name not in here:
        raise click.UsageError(f"--device {name}: there is only {', '.join(here)} here")
