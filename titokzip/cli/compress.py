"""titokzip compress: pictures to .ttk files."""

import time
from pathlib import Path
from typing import Any

import click

from titokzip.cli.files import plan, report
from titokzip.cli.options import FileOptions, check_device, file_options
from titokzip.rate_control import DEFAULT_QUALITY, Rate

PICTURES = {
    ".png", ".jpg", ".jpeg", ".webp", ".avif", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".jp2",
}  # fmt: skip


@click.command(short_help="Make .ttk files of pictures.")
@file_options
@click.option(
    "-q",
    "--quality",
    type=float,
    metavar="1-100",
    help=f"More is better and larger.  [default: {DEFAULT_QUALITY}]",
)
@click.option("--bpp", type=float, help="Bits a pixel of the original, at the most.")
@click.option("--max-bytes", type=int, metavar="N", help="Bytes of the whole file, at the most.")
@click.option("--tokens", type=int, metavar="N", help="Tokens kept of each tile.")
@click.option("--tile", type=int, metavar="N", help="Source pixels that a tile covers, each way.")
@click.option("-m", "--model", default=None, metavar="NAME", help="Name of a model, or its file.")
@click.option("--background", metavar="COLOUR", help="Flatten transparent pictures on this colour.")
@click.option("--verify", is_flag=True, help="Decode every file again before it is written.")
def compress(
    files: tuple[str, ...],
    model: str | None,
    quality: float | None,
    bpp: float | None,
    max_bytes: int | None,
    tokens: int | None,
    tile: int | None,
    background: str | None,
    verify: bool,
    **others: Any,
) -> None:
    """Compress pictures: photo.jpg becomes photo.ttk.

    \b
    titokzip compress photo.jpg                   the default quality
    titokzip compress photo.jpg --max-bytes 140   fits an SMS
    titokzip compress -r photos -O small          a folder, into another
    cat photo.jpg | titokzip compress - > photo.ttk
    """
    rate = _rate(quality, bpp, max_bytes, tokens, tile)
    _check_colour(background)
    options = FileOptions(**others)
    jobs = plan(files, PICTURES, _renamed, options)
    begun = time.perf_counter()
    import torch  # noqa: F401  (its time is reported apart)

    imported = time.perf_counter()
    from titokzip import batch, zoo
    from titokzip.codec import Codec

    check_device(options.device)
    codec = Codec.load(
        model or zoo.DEFAULT, options.device, options.batch_size, compiled=options.compiled
    )
    start = {"import torch": imported - begun, "load model": time.perf_counter() - imported}
    how = batch.Options(options.force, options.remove, options.threads)
    results = batch.compress_files(jobs, codec, rate, how, background=background, verify=verify)
    report(results, jobs, start, options)


def _rate(*values: Any) -> Rate:
    try:
        return Rate(*values)
    except ValueError as error:
        raise click.UsageError(str(error).replace("max_bytes", "max-bytes")) from error


def _check_colour(name: str | None) -> None:
    if name is None:
        return
    from PIL import ImageColor

    try:
        ImageColor.getrgb(name)
    except ValueError as error:
        raise click.UsageError(f"{name!r} is no colour; white, #a0a0a0 and so on are") from error


def _renamed(path: Path) -> Path:
    return path.with_suffix(".ttk")
