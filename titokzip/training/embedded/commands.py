"""The commands that rebuild the embedded model."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from titokzip.errors import TitokzipError

_path = click.Path(path_type=Path)
_existing = click.Path(exists=True, path_type=Path)
_INTERRUPTED = 130


class Commands(click.Group):
    """A group whose commands end in one line where something is wrong."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except (TitokzipError, OSError) as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Rebuild the embedded model from photos: context, data, decoder, export."""


def _photo_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what both commands over photos take."""
    options = (
        click.argument("photos", nargs=-1, required=True, type=_existing),
        click.option("--out", required=True, type=_path, help="What is written."),
        click.option("--pattern", default="", metavar="REGEX", help="Its group names the source"
                     " of a photo, so that all crops of it are held out together."),
        click.option("--held-out", default=0.025, show_default=True, help="Share of the photos."),
        click.option("--fonts", multiple=True, type=_existing, help="A font file to draw text"
                     " with beside Pillow's own. Can be repeated."),
        click.option("--processes", default=1, show_default=True, type=click.IntRange(1)),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


@main.command(short_help="Fit the context model.")
@_photo_options
@click.option(
    "--images",
    default=6000,
    show_default=True,
    type=click.IntRange(10),
    help="That are quantised to fit to.",
)
@click.option(
    "--effort", default=1.0, show_default=True, help="Steps, as a share of the usual ones."
)
@click.option("--threads", default=1, show_default=True, type=click.IntRange(1))
def context(
    photos: tuple[Path, ...], out: Path, pattern: str, held_out: float, fonts: tuple[Path, ...],
    processes: int, images: int, effort: float, threads: int,
) -> None:  # fmt: skip
    """Fit the integer context model to PHOTOS (folders, tar shards) and to drawn images."""
    import torch

    from titokzip.training.embedded import context_model
    from titokzip.training.embedded.images import CONTEXT, Images, find_photos
    from titokzip.training.embedded.weights import write_context

    torch.set_num_threads(threads)
    draw = Images(find_photos(photos, pattern, held_out)[0], CONTEXT, fonts)
    how = context_model.Effort()
    if effort != 1:
        how = how.scaled(effort)
    arrays = context_model.fit(
        draw, images, how, lambda line: click.echo(line, err=True), processes
    )
    write_context(out, arrays)


@main.command(short_help="Code images to train the decoder network on.")
@_photo_options
@click.option(
    "--context", required=True, type=_existing, help="The context model, or a model with it."
)
@click.option("--images", default=11_500, show_default=True, type=click.IntRange(1))
@click.option(
    "--reduced",
    default=2000,
    show_default=True,
    type=click.IntRange(0),
    help="More images, photos at half size or less.",
)
@click.option(
    "--validation",
    default=500,
    show_default=True,
    type=click.IntRange(1),
    help="Images of held-out photos.",
)
def data(
    photos: tuple[Path, ...], out: Path, pattern: str, held_out: float, fonts: tuple[Path, ...],
    processes: int, context: Path, images: int, reduced: int, validation: int,
) -> None:  # fmt: skip
    """Code PHOTOS (folders, tar shards) and drawn images; OUT gets the folders train and val.

    Parts that are there already are kept, so the command can be stopped and started again.
    """
    from titokzip.training.embedded.data import make
    from titokzip.training.embedded.images import (
        DECODER,
        HELD_OUT_NUMBERS,
        REDUCED,
        Images,
        find_photos,
    )  # fmt: skip
    from titokzip.training.embedded.weights import read_context

    arrays = read_context(context)
    kept, held = find_photos(photos, pattern, held_out)
    plan = [
        ("train", kept, DECODER, 0, images),
        ("train", kept, REDUCED, 0, reduced),
        ("val", held, DECODER, HELD_OUT_NUMBERS, validation - validation // 5),
        ("val", held, REDUCED, HELD_OUT_NUMBERS, validation // 5),
    ]
    for folder, entries, settings, first, count in plan:
        draw, done = Images(entries, settings, fonts), 0
        for found in make(out / folder, draw, first, count, arrays, processes):
            done += found
            click.echo(f"{folder}: {done} images coded, of {count}", err=True)


@main.command(short_help="Train the decoder network.")
@click.argument("plan", type=click.Choice(["xs", "xs-perceptual"]))
@click.option("--data", required=True, type=_existing, help="What the command data has written.")
@click.option("--out", required=True, type=_path, help="The folder of the run.")
@click.option("--steps", required=True, type=click.IntRange(1))
@click.option("--init", type=_existing, help="Weights to start from.")
@click.option("--rate", default=1.0, show_default=True, type=click.FloatRange(0, min_open=True),
              help="Learning rates, as a share of the plan's.")  # fmt: skip
@click.option("--vgg16", type=_existing, help="VGG16's weights, for xs-perceptual.")
@click.option("--lpips", type=_existing, help="LPIPS' heads over VGG16, for xs-perceptual.")
@click.option("--resume", is_flag=True, help="Go on where the run in OUT was stopped.")
@click.option("--threads", default=1, show_default=True, type=click.IntRange(1))
@click.option("--device", default="cpu", show_default=True)
@click.option("--precision", type=click.Choice(["bfloat16", "float32"]), default="bfloat16",
              show_default=True, help="In which the networks compute.")  # fmt: skip
def decoder(
    plan: str, data: Path, out: Path, steps: int, init: Path | None, rate: float,
    vgg16: Path | None, lpips: Path | None, resume: bool, threads: int, device: str, precision: str,
) -> None:  # fmt: skip
    """Train the decoder network; every line of the log goes to stdout too."""
    import torch

    from titokzip.runtime.device import choose
    from titokzip.runtime.precision import resolve
    from titokzip.tokenizers.embedded.network import RefinementNetwork
    from titokzip.tokenizers.weights_file import read_state_dict
    from titokzip.training.embedded.perceptual import Perceptual
    from titokzip.training.embedded.trainer import PLANS, Run
    from titokzip.training.embedded.weights import read_decoder
    from titokzip.training.losses.lpips import LPIPS

    how = PLANS[plan].scaled(rate)
    if how.perceptual and not (vgg16 and lpips and (init or resume)):
        raise click.UsageError(f"{plan} needs --vgg16, --lpips, and --init or --resume")
    torch.set_num_threads(threads)
    device, kind = choose(device), resolve(precision, device)
    start = read_decoder(init) if init else RefinementNetwork(how.network) if resume else None
    loss = None
    if vgg16 and lpips:
        distance = LPIPS.of(read_state_dict(vgg16), read_state_dict(lpips))
        loss = Perceptual(distance.to(device), precision=kind)
    run = Run(how, steps, data, out, start, loss, device, kind)
    if resume:
        run.resume()
    if not run.train(lambda record: click.echo(json.dumps(record))):
        click.echo(f"stopped after {run.steps} steps; --resume goes on", err=True)
        raise SystemExit(_INTERRUPTED)


@main.command(short_help="Join context model and decoder network into a model.")
@click.argument("weights", type=_existing)
@click.option("--context", required=True, type=_existing, help="The context model, or a model.")
@click.option("--name", required=True)
@click.option("--out", required=True, type=_path, help="The model, a safetensors file.")
@click.option("--licence", default="Apache-2.0", show_default=True)
@click.option("--note", default="", help="A line about the model's size, for lists.")
@click.option("--trained-against", multiple=True, help="A network that the loss used, as bench"
              " names it. Can be repeated.")  # fmt: skip
@click.option("--self-ensemble", is_flag=True, help="Have decoding average orientations of"
              " small images: for networks that were trained on squared errors.")  # fmt: skip
@click.option("--lagrange", default=1.0, show_default=True, type=click.FloatRange(0.1, 10),
              help="Of what a bit is worth in encoding: below 1, weak detail stays.")  # fmt: skip
@click.option("--blend", type=_existing, help="Other weights, to mix in.")
@click.option("--share", default=0.8, show_default=True, help="Of WEIGHTS, in the mix.")
def export(
    weights: Path, context: Path, name: str, out: Path, licence: str, note: str,
    trained_against: tuple[str, ...], self_ensemble: bool, lagrange: float, blend: Path | None,
    share: float,
) -> None:  # fmt: skip
    """Write a model from WEIGHTS of a decoder network; `-m OUT` takes it in every command."""
    from titokzip.training.embedded.weights import blended, read_decoder
    from titokzip.training.embedded.weights import export as write

    network = read_decoder(weights)
    if blend:
        blended(network, read_decoder(blend), share)
    network.config = replace(network.config, self_ensemble=self_ensemble, lagrange=lagrange)
    manifest = write(out, name, context, network, licence, note, trained_against)
    click.echo(f"{manifest.name}: fingerprint {manifest.fingerprint.hex()[:8]}")
