"""titokzip decompress: .ttk files to images."""

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from titokzip.cli.files import plan, renaming, report
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
    from titokzip.codec import Codec
    from titokzip.zoo import Manifest

FORMATS = ["png", "webp", "jpg", "avif", "ppm", "bmp", "tif"]
_LARGEST = 2**28  # pixels that --size may ask for
_STRONGEST = 1000  # guidance


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


def _strength(context: click.Context, option: click.Parameter, value: float | None) -> float | None:
    if value is not None and not 0 <= value <= _STRONGEST:  # or no number
        raise click.BadParameter(f"{value} is not in 0 to {_STRONGEST}")
    return value


@click.command(short_help="Decompress .ttk files to images.")
@file_options
@click.option(
    "--format",
    "suffix",
    type=click.Choice(FORMATS),
    help="Format of the images.  [default: that of -o's suffix, or png]",
)
@click.option(
    "--size",
    callback=_size,
    default="original",
    show_default=True,
    metavar="original|native|WxH",
    help="Size in pixels; native is that of the working image, or twice that where it fits.",
)
@click.option("--allow-partial", is_flag=True, help="Decode the intact layers of a cut file.")
@max_pixels_option
@click.option(
    "-m",
    "--model",
    default=None,
    metavar="NAME",
    help="Model to decode with.  [default: the one that the file names]",
)
@click.option(
    "--precision",
    type=click.Choice(["auto", "float32", "bfloat16"]),
    default="auto",
    show_default=True,
    help="Arithmetic of the decoder; auto is bfloat16 where it is fast.",
)
@click.option(
    "--passes",
    type=click.IntRange(1, 8),
    help="Passes of the embedded model's network, in as many orientations, that are averaged."
    "  [default: by the size of one file, 1 for many]",
)
@click.option(
    "--steps", type=click.IntRange(1, 1000), help="Steps of FlexTok's sampler.  [default: 20]"
)
@click.option(
    "--guidance",
    type=float,
    callback=_strength,
    help="Guidance of FlexTok's sampler; 1 is fastest.  [default: 7.5]",
)
def decompress(
    files: tuple[str, ...],
    suffix: str | None,
    size: Any,
    allow_partial: bool,
    max_pixels: int | None,
    model: str | None,
    precision: str,
    passes: int | None,
    steps: int | None,
    guidance: float | None,
    **others: Any,
) -> None:
    """Decompress .ttk files: photo.ttk becomes photo.png.

    \b
    titokzip decompress photo.ttk -o back.jpg
    titokzip decompress -r small -O images --format webp
    titokzip decompress - < photo.ttk > back.png
    """
    options = FileOptions(**others)
    chosen = f".{suffix}" if suffix else None
    _check_output(options.output, chosen)
    shards = plan_shards(files, options) if are_shards(files) else []
    jobs = [] if shards else plan(files, [".ttk"], renaming([".ttk"], chosen or ".png"), options)
    check_ray(options, bool(shards))
    begun = time.perf_counter()
    from titokzip import batch, loading, zoo

    check_device(options.device)
    settings: dict[str, Any] = {
        "suffix": chosen,
        "native": size == "native",
        "size": size if isinstance(size, tuple) else None,
        "partial": allow_partial,
        "max_pixels": max_pixels,
    }
    if options.ray:
        device = options.device
        convert_on_cluster(
            shards, options, lambda ray, how: ray.Decompressing(model, device, how, settings)
        )

    def load(manifest: "Manifest") -> "Codec":
        if passes and manifest.kind != zoo.EMBEDDED:
            raise click.UsageError(f"--passes is for the embedded model, not for {manifest.name}")
        codec = loading.load(
            manifest,
            options.device,
            options.batch_size,
            precision,
            options.compiled,
            lone=len(jobs) == 1,
            passes=passes or (None if len(jobs) == 1 else 1),
        )
        _guide(codec, manifest.name, steps, guidance)
        return codec

    start = {"import": time.perf_counter() - begun}
    models = batch.Models(model, load)

    def code(jobs: "Iterable[Job]") -> "Iterator[Result]":
        return batch.decompress_files(jobs, models, how(options), **settings)

    if shards:
        convert_shards(shards, code, [".ttk"], chosen or ".png", options)
    report(code(jobs), jobs, start, options)


def _guide(codec: "Codec", name: str, steps: int | None, guidance: float | None) -> None:
    """Set how a model samples, or refuse if it does not."""
    if steps is None and guidance is None:
        return
    from titokzip.layouts.tiles import Tiled
    from titokzip.tokenizers.protocol import Sampler

    tokenizer = codec.layout.tokenizer if isinstance(codec.layout, Tiled) else None
    if not isinstance(tokenizer, Sampler):
        raise click.UsageError(f"--steps and --guidance are for FlexTok; {name} has none")
    tokenizer.steps = steps or tokenizer.steps
    tokenizer.guidance = tokenizer.guidance if guidance is None else guidance


def _check_output(output: str | None, chosen: str | None) -> None:
    """Refuse an output whose suffix names another format, or none, before anything is done."""
    if output in (None, "-"):
        return
    from titokzip.images import WRITTEN

    suffix = Path(output or "").suffix.lower()
    format_ = WRITTEN.get(suffix)
    if format_ is None and (chosen is None or suffix == ".ttk"):
        raise click.UsageError(
            f"-o {output}: images are written as {', '.join(WRITTEN)}, not {suffix or 'nothing'!r}"
        )
    if format_ and chosen and format_ != WRITTEN[chosen]:
        raise click.UsageError(f"-o {output} and --format {chosen[1:]} are two formats")
