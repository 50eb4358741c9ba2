"""titokzip train: make an embedded model of photos."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from titokzip.cli.options import check_device

if TYPE_CHECKING:
    from titokzip.training.loop import Progress

_minutes = click.FloatRange(0, min_open=True)


@click.command(short_help="Train a model on photos.")
@click.argument("preset")
@click.option(
    "--data",
    required=True,
    type=click.Path(exists=True, path_type=Path),
    help="Folder of photos, or of tar files of photos.",
)
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder for the run: resume.pt, log.jsonl, sheet.png and the model.",
)
@click.option("--minutes", type=_minutes, default=10, show_default=True, help="Of this run.")
@click.option(
    "--plan-minutes",
    "planned",
    type=_minutes,
    help="Minutes of all runs chained by --resume.  [default: --minutes]",
)
@click.option("--resume", is_flag=True, help="Go on from resume.pt, if there is one.")
@click.option(
    "--init",
    type=click.Path(exists=True, path_type=Path),
    help="Start from the weights of a model instead of an untrained one.",
)
@click.option("--reading", is_flag=True, help="Train the encoder too, against a price on bits.")
@click.option(
    "--teacher",
    type=click.Path(exists=True, path_type=Path),
    help="Tiny Darknet weights (.npz) for a perceptual loss.",
)
@click.option("--adversarial", is_flag=True, help="Train against a critic too; needs --teacher.")
@click.option(
    "--stitched", is_flag=True, help="Judge half of the tiles as the pictures that four make."
)
@click.option("--compile", "compiled", is_flag=True, help="Compile the painter first (CUDA).")
@click.option("--name", default=None, help="Name of the model.  [default: the preset's]")
@click.option("--limit", type=click.IntRange(1), help="Photos to use, at the most.")
@click.option("--batch", type=click.IntRange(1), help="Pictures a step.  [default: the preset's]")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True)
@click.option("--threads", type=click.IntRange(1, 256), help="CPU threads.  [default: all cores]")
@click.option(
    "--device", default="auto", show_default=True, type=click.Choice(["auto", "cpu", "cuda", "mps"])
)
def train(preset: str, **options: Any) -> None:
    """Train PRESET (toy, xs, xs-vivid or s) on photos for some minutes.

    \b
    titokzip train toy --data photos --minutes 1 --out runs/toy
    titokzip train xs --data photos --minutes 60 --out runs/a --resume
    titokzip compress photo.jpg -m runs/a/xs.safetensors
    """
    from titokzip.training import pipeline
    from titokzip.training.presets import PRESETS

    if preset not in PRESETS:
        raise click.UsageError(f"no preset named {preset!r}; there are: {', '.join(PRESETS)}")
    if options["reading"] and PRESETS[preset].model.encoder is None:
        raise click.UsageError(f"--reading: preset {preset} has no encoder to train")
    if options["adversarial"] and options["teacher"] is None:
        raise click.UsageError("--adversarial: the critic judges by what a --teacher sees")
    if options["stitched"] and (options["batch"] or PRESETS[preset].batch) < 8:
        raise click.UsageError("--stitched: a batch has four tiles in a grid, and four alone")
    check_device(options["device"])
    options["planned"] = options["planned"] or options["minutes"]
    options["name"] = options["name"] or preset
    if options["name"] != Path(options["name"]).name:
        raise click.UsageError(f"--name {options['name']}: the model is written into --out")
    settings = pipeline.Settings(preset, **options)
    manifest = pipeline.run(settings, _report)
    click.echo(f"{manifest.path}: {manifest.fingerprint.hex()[:8]}", err=True)


def _report(progress: "Progress") -> None:
    click.echo(
        f"{progress.seconds / 60:.1f} of {progress.planned / 60:.0f} min"
        f"  {progress.pictures:,} pictures, {progress.rate:.1f}/s"
        f"  loss {progress.loss:.3f}  waiting {progress.waiting:.0%}"
        f"  {progress.of_peak:.0%} of peak",
        err=True,
    )
