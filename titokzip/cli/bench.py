"""titokzip bench: the codec beside others, at the same bytes."""

import math
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

MISSING = 3
QUALITIES, BUDGETS = "30,50,65,80", "48,96,192,400"
_FILES = (
    "inception", "features", "perceptual", "alexnet", "vgg16", "face_network", "faces", "reference",
)  # fmt: skip
_FLAGS = {  # what takes the file that a measure lacks
    "lpips": "--alexnet FILE", "lpips-vgg": "--vgg16 FILE", "dists": "--vgg16 FILE",
    "rfid": "--inception FILE",
}  # fmt: skip
_path = click.Path(path_type=Path)


class Numbers(click.ParamType[Any]):
    """Numbers with commas between them, each once."""

    name = "N,N,..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read them."""
        try:
            numbers = [float(part) for part in str(value).split(",")]
        except ValueError:
            self.fail(f"{value!r} is not numbers with commas between them", param, ctx)
        if not all(1 <= number < math.inf for number in numbers):
            self.fail(f"{value!r}: all must be 1 or more", param, ctx)
        return list(dict.fromkeys(numbers))


@click.command(short_help="Measure the codec beside others, at the same bytes.")
@click.option(
    "--dataset",
    required=True,
    metavar="NAME|PATH",
    help="samples, kodak, cq100, clic, div2k, imagenet-val, or a folder or tar of images.",
)
@click.option(
    "--data-root",
    type=_path,
    envvar="TITOKZIP_DATA",
    show_envvar=True,
    help="Folder in which data sets are looked for.  [default: data]",
)
@click.option("--out", type=_path, help="Folder for the run.  [default: bench-DATASET]")
@click.option("--limit", type=click.IntRange(1), help="Images to measure, drawn at random.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of that draw.")
@click.option("--resize", type=click.IntRange(1), help="Resize the shorter side to this, bicubic.")
@click.option("--crop", type=click.IntRange(1), help="Crop the centre square of this side.")
@click.option("--truncate", is_flag=True, help="Truncate decoded pixels, as TiTok evaluates.")
@click.option(
    "--qualities",
    type=Numbers(),
    help=f"Of ours; baselines get each image's bytes.  [default: {QUALITIES}]",
)
@click.option("--budgets", type=Numbers(), help=f"Bytes an image for all, such as {BUDGETS}.")
@click.option("--codecs", help="Baselines, with commas between them.  [default: all that are here]")
@click.option(
    "--codec",
    "described",
    multiple=True,
    metavar="LINE|FILE.toml",
    help="Another: 'name: encode {in} {out} {quality} :: decode {in} {out}', or a TOML file.",
)
@click.option(
    "--programs",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    multiple=True,
    metavar="FOLDER",
    help="Where programs are, before the PATH; again for another.",
)
@click.option(
    "--compare",
    type=click.Choice(["codestreams", "files"]),
    default="codestreams",
    show_default=True,
    help="Bytes of baselines that count; of ours, those of the whole file.",
)
@click.option(
    "--cache/--no-cache",
    "cached",
    default=True,
    show_default=True,
    help="Keep what baselines and metrics gave, in $TITOKZIP_BENCH_CACHE.",
)
@click.option(
    "--repeat",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    metavar="RESULT.json",
    help="Encode baselines where the searches of that run ended, instead of searching.",
)
@click.option("--anchor", help="Codec that BD-rates are against.  [default: strongest baseline]")
@click.option(
    "-m",
    "--model",
    "models",
    multiple=True,
    metavar="NAME",
    help="Name of a model, or its file, as 'xs' or 'xs --best'; again for another beside it.",
)
@click.option("--inception", type=_path, help="TorchScript inception-2015-12-05.pt, for rFID.")
@click.option(
    "--reference", type=_path, help="Statistics (.npz) to measure FID against, such as ADM's."
)
@click.option("--features", type=_path, help="TorchScript of another network, for its distance.")
@click.option("--perceptual", type=_path, help="TorchScript of a perceptual distance.")
@click.option("--alexnet", type=_path, help="torchvision's AlexNet weights, for LPIPS.")
@click.option("--vgg16", type=_path, help="torchvision's VGG16 weights, for DISTS and LPIPS-vgg.")
@click.option("--face-network", type=_path, help="TorchScript of a face descriptor.")
@click.option("--faces", type=_path, help="JSON: boxes of faces by image name, for it.")
@click.option("--patch", type=click.IntRange(16), help="Side of patches for Frechet distances.")
@click.option("--speed/--no-speed", default=True, show_default=True, help="Measure throughput.")
@click.option("--fresh", is_flag=True, help="Start over instead of going on with a run.")
@click.option(
    "--device", default="auto", show_default=True, type=click.Choice(["auto", "cpu", "cuda", "mps"])
)
@click.option("-j", "--threads", type=click.IntRange(1, 256), help="Threads.  [default: all cores]")
@click.option("--json", "as_json", is_flag=True, help="Write the result to stdout, not a table.")
@click.pass_context
def bench(ctx: click.Context, /, as_json: bool, **options: Any) -> None:
    """Measure the codec beside baselines, at the same bytes.

    \b
    titokzip bench --dataset samples                      photos inside scikit-image
    titokzip bench --dataset kodak --data-root ~/data     whole photos
    titokzip bench --dataset imagenet-val --resize 256 --crop 256 --limit 1000 \\
        --budgets 48,96,192,400 --inception inception-2015-12-05.pt

    VVC, AV1 and HEVC are measured where vvencapp, aomenc and x265 are on the PATH. The folder gets
    result.json, report.html, rows.jsonl and the files of all codecs. A run that was killed resumes
    when the same command is given again.
    """
    points = _points(options.pop("qualities"), options.pop("budgets"))
    try:
        begun = _settings(points, **options)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    from titokzip.bench.datasets import DatasetError, NotHere
    from titokzip.bench.earlier import AnotherRun
    from titokzip.bench.session import start

    try:
        with _progress() as progress:
            result = start(begun, progress)
    except DatasetError as error:
        more = "; --data-root or TITOKZIP_DATA names another folder"
        click.echo(f"titokzip: {error}{more if isinstance(error, NotHere) else ''}", err=True)
        ctx.exit(MISSING)
    except AnotherRun as error:
        raise click.UsageError(str(error)) from error
    _show(result, begun.out, as_json)


def _points(qualities: list[float] | None, budgets: list[float] | None) -> list[tuple[float, bool]]:
    if qualities and budgets:
        raise click.UsageError("--qualities and --budgets exclude each other")
    if budgets:
        return [(number, True) for number in budgets]
    chosen = qualities or [float(part) for part in QUALITIES.split(",")]
    if max(chosen) > 100 or min(chosen) < 1:
        raise click.UsageError("qualities are 1 to 100")
    return [(number, False) for number in chosen]


def _settings(points: list[tuple[float, bool]], **given: Any) -> Any:
    if given["crop"] and not given["resize"]:
        raise click.UsageError("--crop needs --resize: an image may be smaller than the crop")
    if given["crop"] and given["crop"] > given["resize"]:
        raise click.UsageError("--crop is larger than --resize")
    if given["reference"] and (given["patch"] or not given["inception"]):
        raise click.UsageError("--reference needs --inception, and takes no --patch")
    if (given["face_network"] is None) != (given["faces"] is None):
        raise click.UsageError("--face-network and --faces need each other")
    if given["out"] is not None and given["out"].suffix == ".json":
        raise click.UsageError(f"--out names a folder, and {given['out']} would be one")
    from titokzip.bench import cache, programs
    from titokzip.bench.datasets import Protocol
    from titokzip.bench.networks import Files
    from titokzip.bench.ours import DEFAULT_MODEL
    from titokzip.bench.plan import Point
    from titokzip.bench.session import Settings
    from titokzip.runtime.cores import cores

    extra = [one for text in given["described"] for one in _described(programs, text)]
    asked = None if given["codecs"] is None else filter(None, given["codecs"].split(","))
    codecs = None if asked is None else (*dict.fromkeys(asked), *(one.name for one in extra))
    name = Path(given["dataset"]).resolve().stem
    return Settings(
        dataset=given["dataset"],
        root=given["data_root"],
        out=given["out"] or Path(f"bench-{name}"),
        protocol=Protocol(given["resize"], given["crop"], given["truncate"]),
        points=tuple(Point(*point) for point in points),
        codecs=codecs,
        extra=tuple(extra),
        folders=given["programs"],
        bare=given["compare"] == "codestreams",
        cache=cache.default_folder() if given["cached"] else None,
        repeat=given["repeat"],
        limit=given["limit"],
        seed=given["seed"],
        models=given["models"] or (DEFAULT_MODEL,),
        device=given["device"],
        workers=given["threads"] or cores(),
        files=Files(*(given[key] for key in _FILES)),
        patch=given["patch"],
        anchor=given["anchor"],
        speed=given["speed"],
        fresh=given["fresh"],
        command=shlex.join(["titokzip", *sys.argv[1:]]),
    )


def _described(programs: Any, text: str) -> list[Any]:
    """Read the codecs of a TOML file, or the one of a line."""
    return programs.read_file(Path(text)) if text.endswith(".toml") else [programs.read_line(text)]


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """Show images done and time left, on a terminal only."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda done, total: None
        return
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("images", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _show(result: dict[str, Any], out: Path, as_json: bool) -> None:
    import json

    from rich.console import Console

    from titokzip.bench.table import footnotes, table

    if as_json:
        click.echo(json.dumps(result, indent=1))
    else:
        wide = None if sys.stdout.isatty() else 120
        Console(width=wide, highlight=False).print(table(result))
    for line in footnotes(result):
        click.echo(line, err=True)
    lacking = dict.fromkeys(_FLAGS[key] for key in result["not_measured"] if key in _FLAGS)
    if lacking:
        click.echo(f"{', '.join(lacking)} name the files of what was not measured", err=True)
    click.echo(f"{out / 'result.json'} and {out / 'report.html'} written", err=True)
