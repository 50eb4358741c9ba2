"""titokzip tokens: the tokens of images as data."""

import sys
from pathlib import Path
from typing import Any

import click

from titokzip.cli import exit_codes
from titokzip.cli.options import check_device
from titokzip.cli.output import complain, tell

_path = click.Path(exists=True, path_type=Path)


@click.command(short_help="Write the tokens of images as data.")
@click.argument(
    "paths",
    nargs=-1,
    required=True,
    metavar="PATH...",
    type=click.Path(exists=True, path_type=Path),
)
@click.option("-m", "--model", required=True, metavar="NAME", help="Name of a tokenizer.")
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="A .parquet, an .npy, or a .tar of .ttk files.",
)
@click.option("--mirror", is_flag=True, help="Add the mirror image of every image.")
@click.option("-f", "--force", is_flag=True, allow_from_autoenv=False, help="Overwrite the output.")
@click.option("--batch-size", type=click.IntRange(1, 4096), help="Images at once.")
@click.option(
    "-j", "--threads", type=click.IntRange(1, 64), default=2, show_default=True,
    help="Threads that read images ahead.",
)  # fmt: skip
@click.option(
    "--device", default="auto", show_default=True, type=click.Choice(["auto", "cpu", "cuda", "mps"])
)
def tokens(
    paths: tuple[Path, ...], model: str, output: Path, force: bool, device: str, **given: Any
) -> None:
    """Write the tokens of images below PATH, folders or tar shards: what generators are trained on.

    \b
    titokzip tokens photos -m titok-l32 -o tokens.parquet
    titokzip tokens shards -m titok-l32 -o tokens.npy --mirror
    titokzip train generator-titok-l32 --data tokens.parquet --out runs/generator

    Of every image, a square from its middle is tokenized. Its class is that of its .cls file in a
    shard, or the number of its folder.
    """
    if output.exists() and not force:
        complain(f"{output} exists; -f overwrites it")
        sys.exit(exit_codes.REFUSED)
    check_device(device)
    from titokzip import loading
    from titokzip.training.token_files import SUFFIXES
    from titokzip.training.tokenization import tokenize

    if output.suffix not in SUFFIXES:
        raise click.UsageError(f"-o {output}: it ends in {', '.join(SUFFIXES)}")
    codec = loading.load(model, device, given["batch_size"])
    counts = tokenize(paths, codec, output, mirror=given["mirror"], threads=given["threads"])
    broken = f", {counts.broken:,} could not be read" if counts.broken else ""
    tell(f"{output}: tokens of {counts.written:,} images{broken}")
