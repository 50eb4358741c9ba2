"""titokzip decompress: .ttk files to pictures."""

import re
import time
from pathlib import Path
from typing import Any

import click

from titokzip.cli.files import check_device, file_options, plan, report

FORMATS = ["png", "webp", "jpg", "ppm", "bmp", "tif"]
_LARGEST = 2**28  # pixels that --size may ask for


def _size(context: click.Context, option: click.Parameter, value: str) -> str | tuple[int, int]:
    """Read original, native or WxH."""
    if value in ("original", "native"):
        return value
    sides = re.fullmatch(r"(\d{1,9})x(\d{1,9})", value)
    width, height = map(int, sides.groups()) if sides else (0, 0)
    if not 0 < width * height <= _LARGEST:
        raise click.BadParameter(
            f"{value!r} is not original, native or WxH of up to {_LARGEST:,} pixels"
        )
    return width, height


@click.command(short_help="Paint the pictures of .ttk files.")
@file_options
@click.option(
    "--format",
    "suffix",
    type=click.Choice(FORMATS),
    help="Format of the pictures.  [default: the suffix of -o, or png]",
)
@click.option(
    "--size",
    callback=_size,
    default="original",
    show_default=True,
    metavar="original|native|WxH",
    help="Pixels of the pictures; native is the grid's.",
)
@click.option("--allow-partial", is_flag=True, help="Decode what is intact of a cut file.")
@click.option("--max-pixels", type=int, metavar="N", help="Allow pictures of up to N pixels.")
@click.option(
    "-m",
    "--model",
    default=None,
    metavar="NAME",
    help="Model to paint with, if not the one that is found by itself.",
)
def decompress(
    files: tuple[str, ...],
    suffix: str | None,
    size: Any,
    allow_partial: bool,
    max_pixels: int | None,
    model: str | None,
    **options: Any,
) -> None:
    """Decompress .ttk files: photo.ttk becomes photo.png.

    \b
    titokzip decompress photo.ttk -o back.jpg
    titokzip decompress -r small -O pictures --format webp
    titokzip decompress - < photo.ttk > back.png
    """
    reporting = {"as_json": options["as_json"]}
    reporting |= {key: options.pop(key) for key in ("quiet", "verbose")}
    device, threads, batch = (options.pop(key) for key in ("device", "threads", "batch_size"))
    chosen = f".{suffix}" if suffix else None
    _check_suffix(options["output"], chosen)
    jobs = plan(files, {".ttk"}, lambda path: path.with_suffix(chosen or ".png"), **options)
    begun = time.perf_counter()
    import torch  # noqa: F401  (its time is reported apart)

    start = {"import torch": time.perf_counter() - begun}
    from titokzip import bulk

    check_device(device)
    results = bulk.decompress_files(
        jobs,
        bulk.Models(model, device, batch),
        bulk.Options(options["force"], options["remove"], threads),
        suffix=chosen,
        native=size == "native",
        size=size if isinstance(size, tuple) else None,
        partial=allow_partial,
        max_pixels=max_pixels,
    )
    report(results, jobs, start, **reporting)


def _check_suffix(output: str | None, chosen: str | None) -> None:
    """Refuse an output whose suffix names no picture format, before anything is done."""
    if output in (None, "-") or chosen:
        return
    from PIL import Image

    suffix = Path(output or "").suffix.lower()
    if Image.registered_extensions().get(suffix) not in Image.SAVE:
        raise click.UsageError(f"-o {output}: no picture format ends in {suffix or 'nothing'!r}")
