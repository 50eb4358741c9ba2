"""titokzip models: which models there are, and how released ones come and go."""

import hashlib
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from titokzip import zoo
from titokzip.cli.output import say_json
from titokzip.errors import ModelError, printable

if TYPE_CHECKING:
    from titokzip.zoo import Manifest, Release

MISSING, REFUSED = 3, 4
_LINE = "{:<20} {:<9} {:>6} {:<12} {:>5} {:>11}  {}"
force = click.option(
    "-f", "--force", is_flag=True, allow_from_autoenv=False, help="Replace one that is here."
)


@click.group(short_help="Show, fetch and check models.")
def models() -> None:
    """Show the models on this machine, fetch released ones, and add those you trained.

    \b
    titokzip models list
    titokzip models pull titok-l32
    titokzip models add tokenizer_titok_l32.bin
    """


@models.command("list")
@click.option("--json", "as_json", is_flag=True, help="Report as JSON.")
def list_models(as_json: bool) -> None:
    """List the models on this machine, and the released ones that can be pulled.

    "bytes" is what the tokens take in a file. rFID is as published: ImageNet's validation images at
    256 x 256, all tokens.
    """
    here = list(zoo.manifests())
    known = {manifest.name for manifest in here}
    rows = [_row(manifest) for manifest in here]
    offered = zoo.RELEASES | zoo.GENERATORS
    rows += [_offer(release) for name, release in offered.items() if name not in known]
    if as_json:
        say_json({"schema": 1, "models": rows})
        return
    click.echo(_LINE.format("name", "here", "tokens", "bytes", "rFID", "parameters", "licence"))
    for row in rows:
        line = _LINE.format(
            row["name"],
            row["fingerprint"] or "no",
            row["tokens"] or "-",
            row["size_note"],
            "" if row["rfid"] is None else f"{row['rfid']:.2f}",
            "damaged" if row["parameters"] is None else f"{row['parameters'] / 1e6:,.1f} M",
            row["licence"],
        )
        click.echo(printable(line + (f"  {row['path']}" if row["path"] else "")))


@models.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@force
def pull(names: tuple[str, ...], force: bool) -> None:
    """Fetch released models from the Hugging Face hub, once.

    The weights go to the hub's cache, which other tools share; HF_HOME, HF_ENDPOINT, HF_TOKEN and
    HF_HUB_OFFLINE mean what they always do.
    """
    known = {manifest.name: manifest for manifest in zoo.manifests()}
    for release in [zoo.release(name) for name in names]:
        if release.name in known and not force:
            place = printable(str(known[release.name].weights[0].parent))
            click.echo(f"{release.name} is here already, in {place}")
            continue
        _show_licence(release)
        _report(zoo.pull(release, force))


@models.command()
@click.argument("path", type=click.Path(exists=True, path_type=Path))
@click.option("--name", help="What to call it.  [default: the name of the release]")
@click.option(
    "--like",
    metavar="RELEASE",
    help="Release whose architecture it has.  [default: what --name or the path says]",
)
@force
def add(path: Path, name: str | None, like: str | None, force: bool) -> None:
    """Use released weights on this machine: a folder, a .safetensors, a .bin or a .pth.

    A folder has the official layout, config.json beside model.safetensors. The weights are checked
    and stay where they are.

    \b
    titokzip models add ~/tokenizer_titok_l32_imagenet
    titokzip models add tokenizer_titok_l32.bin
    titokzip models add finetuned.bin --like titok-l32 --name mine
    """
    _show_licence(zoo.known_as(path.absolute(), name, like))
    _report(zoo.add(path, name, like, force))


@models.command()
@click.argument("names", nargs=-1, metavar="NAME...")
@click.option(
    "--image",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Compare tokens too: an image whose tokens the model's authors printed.",
)
def verify(names: tuple[str, ...], image: Path | None) -> None:
    """Check every byte of models, by default of all on this machine; exit 3 on damage."""
    if image is not None and len(names) != 1:
        raise click.UsageError("--image is for one model, which must be named")
    failed = False
    for name in names or [str(path) for path in zoo.files()]:
        try:
            manifest = zoo.find(name)
            zoo.verify(manifest)
            click.echo(f"{manifest.name}: right, sha256 {manifest.digest.hex()}")
            if image is not None:
                click.echo(_compared(manifest, image))
        except (ModelError, OSError, MemoryError) as error:  # the others are checked all the same
            reason = printable(str(error)) or "out of memory"
            click.echo(f"titokzip: {reason}", err=True)
            failed = True
    if failed:
        sys.exit(MISSING)


@models.command()
@click.argument("name")
@click.option(
    "-f", "--force", "--yes", is_flag=True, allow_from_autoenv=False, help="Don't ask first."
)
def rm(name: str, force: bool) -> None:
    """Forget a released model, and delete the weights that were pulled.

    Weights that were added from a file stay where they are.
    """
    manifest = zoo.find(name)
    size, place = f"{manifest.size / 1e6:,.1f} MB", printable(str(manifest.weights[0].parent))
    fate = "are deleted" if manifest.config.get("revision") else "stay"
    question = f"Remove {manifest.name}? Its {size} in {place} {fate}."
    if manifest.release and not force and not click.confirm(question, err=True):
        sys.exit(REFUSED)
    zoo.remove(manifest)
    click.echo(f"{manifest.name}: removed")


def _row(manifest: "Manifest") -> dict[str, Any]:
    release = zoo.release_of(manifest) if manifest.release else None
    return {
        "name": manifest.name,
        "here": True,
        "fingerprint": manifest.fingerprint.hex()[:8],
        "tokens": release.tokens if release else None,
        "size_note": manifest.size_note,
        "rfid": release.rfid if release and release.name == manifest.name else None,
        "parameters": _parameters(manifest),
        "bytes": manifest.size,
        "licence": manifest.licence,
        "repository": release.repository if release else None,
        "path": str(manifest.path),
    }


def _parameters(manifest: "Manifest") -> int | None:
    """Count them, unless a part of the weights is missing or damaged."""
    with suppress(ModelError):
        return zoo.parameters(manifest)
    return None


def _offer(release: "Release") -> dict[str, Any]:
    return {
        "name": release.name,
        "here": False,
        "fingerprint": None,
        "tokens": release.tokens,
        "size_note": release.size_note,
        "rfid": release.rfid,
        "parameters": release.parameters,
        "bytes": None,
        "licence": release.licence,
        "repository": release.repository,
        "path": None,
    }


def _report(manifest: "Manifest") -> None:
    click.echo(
        f"{manifest.name}: {manifest.fingerprint.hex()[:8]}, {manifest.size / 1e6:,.1f} MB, checked"
    )


def _show_licence(release: "Release") -> None:
    if release.notice:
        click.echo(release.notice, err=True)


def _compared(manifest: "Manifest", image: Path) -> str:
    """Tokenize the image whose tokens are printed somewhere, and compare."""
    golden = zoo.GOLDEN.get(manifest.release or "")
    if golden is None:
        raise click.UsageError(f"--image: no tokens of {manifest.name} were printed by its authors")
    data = image.read_bytes()
    if hashlib.sha256(data).hexdigest() != golden.sha256:
        raise click.UsageError(f"--image {printable(str(image))}: this is not their {golden.image}")
    import numpy as np

    from titokzip import images, tiling
    from titokzip.runtime.batching import Batch, encode_tiles

    tokenizer = zoo.load_tokenizer(manifest, "cpu")
    pixels = np.asarray(images.read(data).image)
    tiles = tiling.split(pixels, tokenizer.size)
    tokens = next(encode_tiles(tokenizer, [tiles], Batch(1), "cpu"))[0]
    equal = int((tokens == np.array(golden.tokens)).sum())
    compared = f"{manifest.name}: {equal} of {len(tokens)} tokens are those its authors printed"
    if equal < len(tokens) - golden.tolerance:
        raise ModelError(compared)
    return compared
