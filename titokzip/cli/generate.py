"""titokzip generate: new images from a generator, as .ttk files and a contact sheet."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from titokzip.cli import exit_codes
from titokzip.cli.options import check_device
from titokzip.cli.output import complain, tell

if TYPE_CHECKING:
    from titokzip.synthesis import Request, Synthesizer

SHEET = "contact-sheet.png"
COLUMNS = 8
_SAMPLING = ("steps", "temperature", "guidance", "decay", "power", "annealing", "top_k", "top_p")


@click.command(short_help="Generate images with a trained generator.")
@click.option("-m", "--model", required=True, metavar="NAME", help="Tokenizer that decodes them.")
@click.option(
    "--generator", metavar="NAME", help="Generator.  [default: the first for that tokenizer]"
)
@click.option("--class", "label", metavar="N", help="Class: a number or a name.  [default: none]")
@click.option(
    "-n", "--count", type=click.IntRange(1), default=16, show_default=True, help="Images to sample."
)
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True)
@click.option(
    "-O",
    "--output-dir",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help=f"Folder for the .ttk files and {SHEET}.",
)
@click.option(
    "--from",
    "start",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A .ttk file of one tile, whose first tokens are kept.",
)
@click.option("--keep", type=click.IntRange(0), help="Tokens kept of --from.")
@click.option("--tokens", type=click.IntRange(1), help="Tokens to sample (autoregressive only).")
@click.option("--steps", type=click.IntRange(1, 10_000), help="Steps (MaskGIT only).")
@click.option("--temperature", type=click.FloatRange(0), help="Of the noise.")
@click.option("--guidance", type=float, help="Strength of guidance by the class.")
@click.option("--decay", type=click.Choice(["constant", "linear", "power-cosine"]),
              help="Schedule of guidance (MaskGIT only).")  # fmt: skip
@click.option("--power", type=float, help="Of the power-cosine.")
@click.option("--annealing/--no-annealing", default=None, help="Of the softmax (MaskGIT only).")
@click.option("--top-k", type=click.IntRange(0), help="Likeliest tokens (autoregressive only).")
@click.option("--top-p", type=float, help="Their probability (autoregressive only).")
@click.option("-f", "--force", is_flag=True, allow_from_autoenv=False, help="Overwrite files.")
@click.option(
    "--device", default="auto", show_default=True, type=click.Choice(["auto", "cpu", "cuda", "mps"])
)
def generate(model: str, generator: str | None, output_dir: Path, **given: Any) -> None:
    """Sample images of a class, or complete the first tokens of a real one.

    \b
    titokzip generate -m titok-l32 --class 207 -n 16 --seed 1 -O out
    titokzip generate -m titok-l32 --from photo.ttk --keep 8 -O completed

    What is not given is as the generator was released or trained: steps, temperature, guidance. The
    same seed gives the same images, however many there are.
    """
    if (given["start"] is None) != (given["keep"] is None):
        raise click.UsageError("--from and --keep go together")
    check_device(given["device"])
    synthesizer = _load(model, generator, given["device"])
    try:
        request = _request(synthesizer, given)
        images = synthesizer.generate(request, **{key: given[key] for key in _SAMPLING})
        targets = [output_dir / f"{_name(given, i)}.ttk" for i in range(request.count)]
        _refuse_existing([*targets, output_dir / SHEET], given["force"])
        _write(images, targets, output_dir / SHEET)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    tell(f"{output_dir}: {request.count} images, {SHEET}")


def _load(model: str, generator: str | None, device: str) -> "Synthesizer":
    from titokzip import loading, zoo
    from titokzip.synthesis import Synthesizer, fits, generator_of

    manifest = zoo.find(model)
    chosen = zoo.find(generator) if generator else generator_of(manifest)
    if not fits(chosen, manifest):
        complain(f"{chosen.name} was made for another tokenizer")
    codec = loading.load(manifest, device)
    return Synthesizer(codec, zoo.load_generator(chosen, codec.layout.device))


def _request(synthesizer: "Synthesizer", given: dict[str, Any]) -> "Request":
    from titokzip.synthesis import Request

    label = -1 if given["label"] is None else synthesizer.label(given["label"])
    known: tuple[int, ...] = ()
    if given["start"] is not None:
        known = synthesizer.known(given["start"].read_bytes(), given["keep"])
    return Request(given["count"], label, given["seed"], known, given["tokens"])


def _name(given: dict[str, Any], number: int) -> str:
    what = given["start"].stem if given["start"] else given["label"] or "any"
    return f"{what}-{given['seed']}-{number:04}"


def _refuse_existing(paths: list[Path], force: bool) -> None:
    existing = [path for path in paths if path.exists()]
    if existing and not force:
        complain(f"{existing[0]} exists; -f overwrites it")
        sys.exit(exit_codes.REFUSED)


def _write(images: Any, targets: list[Path], sheet: Path) -> None:
    import io

    from titokzip import files
    from titokzip.contact_sheet import of_images

    decoded = []
    for target, (data, image) in zip(targets, images, strict=True):
        files.write_atomically(target, data)
        decoded.append(image)
    file = io.BytesIO()
    of_images(decoded, COLUMNS).save(file, "PNG")
    files.write_atomically(sheet, file.getvalue())
