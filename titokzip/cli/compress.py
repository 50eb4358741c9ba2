"""titokzip compress: images to .ttk files."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from titokzip.cli.files import plan, renaming, report
from titokzip.cli.libraries import limited, silenced
from titokzip.cli.options import FileOptions, check_device, file_options, how, max_pixels_option
from titokzip.cli.shards import (
    are_shards,
    check_ray,
    convert_on_cluster,
    convert_shards,
    plan_shards,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from titokzip.batch import Job, Result

_DEFAULT_QUALITY = 50  # as in rate_control, which takes longer to import; a test compares them
_LARGEST = 10**15  # beyond any file, and far from what overflows


def _bounded(context: click.Context, option: click.Parameter, value: Any) -> Any:
    """Refuse numbers that are too large to compute with."""
    if value is not None and not value <= _LARGEST:
        raise click.BadParameter(f"no number of up to {_LARGEST:,}")
    return value


_number: dict[str, Any] = {"type": click.IntRange(1), "metavar": "N", "callback": _bounded}


@click.command(short_help="Compress images to .ttk files.")
@file_options
@click.option(
    "-q",
    "--quality",
    type=float,
    metavar="1-100",
    help=f"Higher is better and larger.  [default: {_DEFAULT_QUALITY}]",
)
@click.option(
    "--bpp",
    type=click.FloatRange(0, min_open=True),
    metavar="X",
    callback=_bounded,
    help="Bits per pixel of the original, at most.",
)
@click.option("--max-bytes", help="Bytes of the whole file, at most.", **_number)
@click.option("--tokens", help="Tokens kept of each tile.", **_number)
@click.option("--tile", help="Pixels of the original that a tile covers, each way.", **_number)
@click.option("--best", is_flag=True, help="Decode what is tried: slow, nearer to the image.")
@click.option("-m", "--model", default=None, metavar="NAME", help="Name of a model, or its file.")
@click.option("--background", metavar="COLOUR", help="Flatten transparent images on this colour.")
@click.option("--verify", is_flag=True, help="Decode every file again before it is written.")
@max_pixels_option
def compress(
    files: tuple[str, ...],
    model: str | None,
    quality: float | None,
    bpp: float | None,
    max_bytes: int | None,
    tokens: int | None,
    tile: int | None,
    best: bool,
    background: str | None,
    verify: bool,
    max_pixels: int | None,
    **others: Any,
) -> None:
    """Compress images: photo.jpg becomes photo.ttk.

    Reads PNG, JPEG, WebP, AVIF, GIF, TIFF, BMP, JPEG 2000, PPM, PSD, QOI, TGA and some older
    formats; HEIC with pillow-heif. If a.jpg and a.png would both become a.ttk, they become
    a.jpg.ttk and a.png.ttk. Outputs get the time of their sources, and at most their permissions.
    Shards (.tar, in WebDataset's layout) become shards of the same keys, here or behind URLs.

    \b
    titokzip compress photo.jpg                   the default quality
    titokzip compress photo.jpg --max-bytes 140   fits an SMS
    titokzip compress -r photos -O small          a folder, into another
    titokzip compress data-{000..099}.tar -O out  shards
    cat photo.jpg | titokzip compress - > photo.ttk
    """
    from titokzip.images import MAX_PIXELS, SUFFIXES

    options = FileOptions(**others)
    _check_output(options.output, SUFFIXES)
    _check_colour(background)
    rate = _rate(quality, bpp, max_bytes, tokens, tile, best)
    shards = plan_shards(files, options) if are_shards(files) else []
    jobs = [] if shards else plan(files, SUFFIXES, renaming(SUFFIXES, ".ttk"), options)
    check_ray(options, bool(shards))
    begun = time.perf_counter()
    from titokzip import batch, loading, zoo

    check_device(options.device)
    settings: dict[str, Any] = {
        "background": background,
        "verify": verify,
        "max_pixels": max_pixels,
    }
    if options.ray:
        name, device = model or zoo.DEFAULT, options.device
        convert_on_cluster(
            shards, options, lambda ray, how: ray.Compressing(name, device, rate, how, settings)
        )
    codec = loading.load(
        model or zoo.DEFAULT, options.device, options.batch_size, compiled=options.compiled
    )
    if rate.for_tiles and codec.layout.tiles is None:
        raise click.UsageError(
            "--tokens and --tile are for models of tiles;"
            f" {codec.name} takes -q, --bpp or --max-bytes"
        )
    if rate.best and not codec.layout.takes_best:
        raise click.UsageError(
            f"--best seeks the least squared error, as the model xs does; not for {codec.name}"
        )
    start = {"load model": time.perf_counter() - begun}

    def code(jobs: "Iterable[Job]") -> "Iterator[Result]":
        return batch.compress_files(jobs, codec, rate, how(options), **settings)

    with silenced(), limited(max_pixels or MAX_PIXELS):
        if shards:
            convert_shards(shards, code, SUFFIXES, ".ttk", options)
        report(code(jobs), jobs, start, options)


def _rate(*values: Any) -> Any:
    from titokzip.rate_control import Rate

    try:
        return Rate(*values)
    except ValueError as error:
        raise click.UsageError(str(error).replace("max_bytes", "max-bytes")) from error


def _check_output(output: str | None, images: frozenset[str]) -> None:
    """Refuse to write a .ttk file under the name of an image."""
    if output and Path(output).suffix.lower() in images:
        raise click.UsageError(f"-o {output}: the output is a .ttk file, and no image")


def _check_colour(name: str | None) -> None:
    if name is None:
        return
    from PIL import ImageColor

    try:
        ImageColor.getrgb(name)
    except ValueError as error:
        raise click.UsageError(f"{name!r} is no colour; white, #a0a0a0 and so on are") from error
