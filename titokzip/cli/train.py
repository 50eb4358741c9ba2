"""titokzip train: train a tokenizer on images, or a generator on its tokens."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from titokzip.cli import exit_codes
from titokzip.cli.options import check_device
from titokzip.cli.output import complain, say, tell

if TYPE_CHECKING:
    from titokzip.training.progress import Progress
    from titokzip.training.recipe import Recipe

_file = click.Path(exists=True, path_type=Path)
_NETWORKS = ("init", "vqgan", "vgg16", "lpips", "convnext", "perceptual", "features", "autoencoder")
_NUMBERS = ("steps", "batch", "accumulate", "precision")


@click.command(short_help="Train a tokenizer or a generator.")
@click.argument("preset", required=False)
@click.option("--list", "listed", is_flag=True, help="List the presets, and end.")
@click.option(
    "--data",
    multiple=True,
    type=_file,
    help="Folder of images or of tar shards, a shard, or a file of tokens; again for more.",
)
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the run.")
@click.option("--name", help="Name of the model.  [default: the preset's]")
@click.option("--steps", type=click.IntRange(1), help="Steps of the whole training.")
@click.option("--minutes", type=click.FloatRange(0, min_open=True), help="End this run after them.")
@click.option(
    "--resume", is_flag=True, help="Go on where the run in --out stands, if there is one."
)
@click.option("--batch", type=click.IntRange(1), help="Samples a step, of all processes together.")
@click.option("--accumulate", type=click.IntRange(1), help="Parts that a batch is computed in.")
@click.option("--precision", type=click.Choice(["float32", "bfloat16"]), help="Of activations.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change anything in the recipe, as in TOML: optimization.rate=3e-4.",
)
@click.option("--init", type=_file, help="Weights to start from; of stage 1, for stage 2.")
@click.option("--vqgan", type=_file, help="MaskGIT-VQGAN, for the two stages of TiTok.")
@click.option("--vgg16", type=_file, help="torchvision's VGG16, for LPIPS.")
@click.option("--lpips", type=_file, help="Heads of LPIPS over VGG16.")
@click.option("--convnext", type=_file, help="torchvision's ConvNeXt-S, whose logits are compared.")
@click.option("--perceptual", type=_file, help="TorchScript: two images to their distance.")
@click.option("--features", type=_file, help="TorchScript: images to feature maps, for REPA.")
@click.option("--autoencoder", type=_file, help="TorchScript with encode and decode, for FlexTok.")
@click.option("--compile", "compiled", is_flag=True, help="Compile the networks first (CUDA).")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True)
@click.option("--threads", type=click.IntRange(1, 256), help="CPU threads.  [default: all cores]")
@click.option(
    "--device", default="auto", show_default=True, type=click.Choice(["auto", "cpu", "cuda", "mps"])
)
@click.pass_context
def train(ctx: click.Context, /, preset: str | None, listed: bool, **given: Any) -> None:
    """Train PRESET, or a recipe in a TOML file, on images or on stored tokens.

    \b
    titokzip train --list
    titokzip train titok-s128-stage1 --data shards --vqgan maskgit-vqgan.bin --out runs/a
    titokzip train mine.toml --data photos --out runs/b --minutes 60 --resume
    torchrun --nproc-per-node 8 --no-python titokzip train titok-bl64 --data shards --out runs/c

    The folder of the run gets resume.pt, log.jsonl, samples.png and, at the end, the model in a
    folder of its own, which `titokzip models add` takes.
    """
    from titokzip.training.presets import PRESETS

    if listed:
        for name, known in PRESETS.items():
            say(f"{name:<28} {known.task:<14} {known.steps:>9,} steps of {known.batch:,}")
        return
    if preset is None:
        raise click.UsageError("name a preset or a TOML file; --list shows the presets")
    if not given["data"] or given["out"] is None:
        raise click.UsageError("--data and --out are needed")
    recipe = _recipe(preset, given)
    name = given["name"] or Path(preset).stem
    if name != Path(name).name:
        raise click.UsageError(f"--name {name}: the model is written into --out")
    check_device(given["device"])
    _refuse_another(given["out"], given["resume"])
    from titokzip.training.run import Settings, run

    chosen = {key: given[key] for key in ("data", "out", "minutes", "resume", "seed", "threads")}
    chosen |= {key: given[key] for key in ("device", "compiled")}
    folder = run(Settings(recipe, name=name, **chosen), _report)
    tell(f"{folder}: trained; `titokzip models add {folder}` takes it")


def _recipe(preset: str, given: dict[str, Any]) -> "Recipe":
    from titokzip.training.presets import PRESETS
    from titokzip.training.recipe import RecipeError, from_toml, with_setting

    if preset not in PRESETS and not preset.endswith(".toml"):
        raise click.UsageError(f"no preset named {preset!r}; --list shows them")
    try:
        recipe = PRESETS[preset] if preset in PRESETS else from_toml(Path(preset), PRESETS)
        named = {key: str(given[key]) for key in _NETWORKS if given[key] is not None}
        numbers = {key: given[key] for key in _NUMBERS if given[key] is not None}
        recipe = replace(recipe, files=replace(recipe.files, **named), **numbers)
        for setting in given["settings"]:
            recipe = with_setting(recipe, setting)
    except (RecipeError, ValueError) as error:
        raise click.UsageError(str(error)) from error
    return recipe


def _refuse_another(out: Path, resume: bool) -> None:
    if (out / "resume.pt").exists() and not resume:
        complain(f"{out} holds a run; --resume goes on with it")
        sys.exit(exit_codes.REFUSED)


def _report(progress: "Progress") -> None:
    broken = f"  {progress.broken} broken" if progress.broken else ""
    tell(
        f"step {progress.step:,} of {progress.steps:,}"
        f"  {progress.samples:,} samples, {progress.rate:.1f}/s"
        f"  loss {progress.loss:.4f}  waiting {progress.waiting:.0%}"
        f"  {progress.of_peak:.0%} of peak{broken}"
    )
