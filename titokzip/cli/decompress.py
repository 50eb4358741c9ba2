"""titokzip decompress: .ttk files to pictures."""

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from titokzip.cli.files import plan, report
from titokzip.cli.options import FileOptions, check_device, file_options

if TYPE_CHECKING:
    from titokzip.codec import Codec
    from titokzip.zoo import Manifest

FORMATS = ["png", "webp", "jpg", "ppm", "bmp", "tif"]
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
@click.option(
    "--precision",
    type=click.Choice(["auto", "float32", "bfloat16"]),
    default="auto",
    show_default=True,
    help="What to paint in; auto is bfloat16 where it is fast.",
)
@click.option("--steps", type=click.IntRange(1, 1000), help="Of FlexTok's painting.  [default: 20]")
@click.option(
    "--guidance",
    type=float,
    callback=_strength,
    help="How strongly FlexTok follows the tokens; 1 is fastest.  [default: 7.5]",
)
def decompress(
    files: tuple[str, ...],
    suffix: str | None,
    size: Any,
    allow_partial: bool,
    max_pixels: int | None,
    model: str | None,
    precision: str,
    steps: int | None,
    guidance: float | None,
    **others: Any,
) -> None:
    """Decompress .ttk files: photo.ttk becomes photo.png.

    \b
    titokzip decompress photo.ttk -o back.jpg
    titokzip decompress -r small -O pictures --format webp
    titokzip decompress - < photo.ttk > back.png
    """
    options = FileOptions(**others)
    chosen = f".{suffix}" if suffix else None
    _check_suffix(options.output, chosen)
    jobs = plan(files, {".ttk"}, lambda path: path.with_suffix(chosen or ".png"), options)
    begun = time.perf_counter()
    import torch  # noqa: F401  (its time is reported apart)

    start = {"import torch": time.perf_counter() - begun}
    from titokzip import batch
    from titokzip.codec import Codec

    check_device(options.device)

    def load(manifest: "Manifest") -> Codec:
        codec = Codec.of(manifest, options.device, options.batch_size, precision, options.compiled)
        _guide(codec, manifest.name, steps, guidance)
        return codec

    results = batch.decompress_files(
        jobs,
        batch.Models(model, load),
        batch.Options(options.force, options.remove, options.threads),
        suffix=chosen,
        native=size == "native",
        size=size if isinstance(size, tuple) else None,
        partial=allow_partial,
        max_pixels=max_pixels,
    )
    report(results, jobs, start, options)


def _guide(codec: "Codec", name: str, steps: int | None, guidance: float | None) -> None:
    """Set how a model samples, or refuse if it does not."""
    if steps is None and guidance is None:
        return
    from titokzip.tokenizers.protocol import Sampler

    tokenizer = codec.model.tokenizer
    if not isinstance(tokenizer, Sampler):
        raise click.UsageError(f"--steps and --guidance are for FlexTok; {name} has none")
    tokenizer.steps = steps or tokenizer.steps
    tokenizer.guidance = tokenizer.guidance if guidance is None else guidance


def _check_suffix(output: str | None, chosen: str | None) -> None:
    """Refuse an output whose suffix names no picture format, before anything is done."""
    if output in (None, "-") or chosen:
        return
    from PIL import Image

    suffix = Path(output or "").suffix.lower()
    if Image.registered_extensions().get(suffix) not in Image.SAVE:
        raise click.UsageError(f"-o {output}: no picture format ends in {suffix or 'nothing'!r}")
