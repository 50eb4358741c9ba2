"""From what was asked on the command line to a folder with rows, result and page."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from titokzip.bench import (
    OURS,
    baselines,
    comparison,
    distances,
    gallery,
    held_out,
    metric_programs,
    networks,
    ours,
    page,
    references,
    report,
    throughput,
)
from titokzip.bench.baselines import BASELINES
from titokzip.bench.cache import Cache
from titokzip.bench.datasets import DatasetError, Protocol, find
from titokzip.bench.earlier import AnotherRun, Earlier
from titokzip.bench.measure import Line, lines, run
from titokzip.bench.networks import Extractor, Files
from titokzip.bench.ours import DEFAULT_MODEL, Ours
from titokzip.bench.plan import KEPT, Plan, Point
from titokzip.bench.programs import Program
from titokzip.bench.references import References
from titokzip.errors import TitokzipError

ROWS, RESULT, PAGE, MARKER = "rows.jsonl", "result.json", "report.html", "settings.json"


@dataclass(frozen=True)
class Settings:
    """Everything that a run depends on."""

    dataset: str
    root: Path | None
    out: Path
    protocol: Protocol
    points: tuple[Point, ...]
    codecs: tuple[str, ...] | None = None  # None: all that are here
    extra: tuple[Program, ...] = ()  # codecs that the user describes
    folders: tuple[Path, ...] = ()  # where programs are, besides the PATH
    bare: bool = True  # baselines are compared by their codestreams, else by whole files
    cache: Path | None = None  # folder; None keeps nothing
    repeat: Path | None = None  # result of a run whose searches are not repeated
    limit: int | None = None
    seed: int = 0
    models: tuple[str, ...] = (DEFAULT_MODEL,)
    device: str = "auto"
    workers: int = 2
    files: Files = field(default_factory=Files)
    patch: int | None = None
    anchor: str | None = None  # None: the strongest baseline
    speed: bool = True
    fresh: bool = False
    command: str = ""

    def __post_init__(self) -> None:
        if len(self.ours) < len(self.models):
            raise ValueError(f"two models of one name: {', '.join(self.models)}")
        known = (*BASELINES, *(program.name for program in self.extra))
        for name in self.codecs or ():
            if name not in known:
                raise ValueError(f"no baseline named {name!r}; there are {', '.join(known)}")
        if self.anchor is not None and self.anchor not in (*known, *self.ours):
            names = ", ".join((*known, *self.ours))
            raise ValueError(f"no codec named {self.anchor!r}; there are {names}")

    @property
    def compared(self) -> str:
        """Which bytes of baselines count."""
        return "codestreams" if self.bare else "files"

    @property
    def ours(self) -> dict[str, str]:
        """Models by what their codecs are called: titokzip if there is one, else by name."""
        if len(self.models) == 1:
            return {OURS: self.models[0]}
        return {f"{OURS} {ours.name_of(model)}": model for model in self.models}


def start(settings: Settings, progress: Callable[[int, int], None]) -> Line:
    """Run, or resume a run; write result and page into the folder, and return the result.

    Raises:
        DatasetError: the images are not here, or all are broken.
        ModelError: the model or a network is not here.
        AnotherRun: the folder, or the run to repeat, has other settings or images.
    """
    plan, missing = _plan(settings)
    setting = _described(settings, plan)
    _claim(settings.out, setting, settings.fresh)
    taken = references.take(plan.dataset, plan.extractors, settings.out)
    plan = replace(plan, references=taken.known)
    for count, _ in enumerate(run(plan, settings.out), 1):
        progress(count, len(plan.dataset.items))
    result = _result(settings, plan, setting, taken, missing)
    report.write(settings.out / RESULT, result)
    page.write(settings.out / PAGE, result, gallery.gallery(plan, settings.out))
    plan.cache.close()
    return result


def _plan(settings: Settings) -> tuple[Plan, dict[str, str]]:
    """Load what a run needs; also say which baselines are not here, and why."""
    asked = (settings.dataset, settings.root, settings.limit, settings.seed)
    dataset = find(*asked, settings.protocol, settings.out)
    cache = Cache(settings.cache)
    models = {
        name: Ours.load(model, settings.device, settings.protocol.truncate)
        for name, model in settings.ours.items()
    }
    here = baselines.available(cache, settings.folders, settings.bare, settings.extra)
    known = (*BASELINES, *(program.name for program in settings.extra))
    names = dict.fromkeys(known if settings.codecs is None else settings.codecs)
    device = next(iter(models.values())).device
    plan = Plan(
        dataset,
        settings.points,
        models,
        tuple(here.codecs[name] for name in names if name in here.codecs),
        tuple(distances.distances(settings.files, device)),
        tuple(metric_programs.available()),
        tuple(networks.extractors(settings.files, settings.patch, device)),
        workers=settings.workers,
        cache=cache,
        earlier=Earlier.read(settings.repeat, dataset.digest, settings.compared)
        if settings.repeat
        else None,
    )
    return plan, {name: here.missing[name] for name in names if name in here.missing}


def _described(settings: Settings, plan: Plan) -> Line:
    """Say what a result depends on: the same words, the same numbers."""
    dataset = plan.dataset
    return {
        "dataset": {
            "name": dataset.name,
            "images": len(dataset.items),
            "sha256": dataset.digest,
            "protocol": str(dataset.protocol),
            "limit": settings.limit,
            "seed": settings.seed if settings.limit else None,
        },
        "models": {name: ours.identity(model) for name, model in settings.ours.items()},
        "points": [point.name for point in plan.points],
        "compared": settings.compared,
        "repeated": plan.earlier and plan.earlier.sha256,
        "codecs": dict.fromkeys(plan.ours, "this")
        | {codec.name: codec.note for codec in plan.baselines},
        "networks": {d.name: _network(d.network, d.sha256) for d in plan.distances}
        | {p.name: _network("", p.sha256) for p in plan.programs}
        | {e.name: _network(e.network, _hashes(e)) for e in plan.extractors},
    }


def _network(network: str, sha256: tuple[str, ...]) -> Line:
    return {"network": network, "sha256": list(sha256)}


def _hashes(one: Extractor) -> tuple[str, ...]:
    given = () if one.reference is None else (networks.sha256(one.reference),)
    return (one.sha256, *given)


def _claim(folder: Path, setting: Line, fresh: bool) -> None:
    """Take the folder for this run, or refuse to mix it with another."""
    marker = folder / MARKER
    if fresh and marker.exists():
        for name in (ROWS, RESULT, PAGE, MARKER):
            (folder / name).unlink(missing_ok=True)
        for name in ("files", "features"):
            shutil.rmtree(folder / name, ignore_errors=True)
    if marker.exists() and json.loads(marker.read_text()) != setting:
        raise AnotherRun(
            f"{folder} holds a run with other settings or other images; --fresh starts over"
        )
    folder.mkdir(parents=True, exist_ok=True)
    report.write(marker, setting)


def _result(
    settings: Settings, plan: Plan, setting: Line, taken: References, missing: dict[str, str]
) -> Line:
    journal = settings.out / ROWS
    broken = {line["image"]: line["broken"] for line in lines(journal) if "broken" in line}
    table = report.summary(lines(journal))
    if not table:
        raise DatasetError(f"{settings.dataset}: none of {len(broken)} images can be read")
    widths = _widths(settings.out)
    references.finish(taken, plan.dataset, plan.extractors, settings.out, widths)
    report.add_frechet(table, settings.out, widths, taken.known)
    anchor = settings.anchor or comparison.anchor(table) or next(iter(plan.ours))
    return {
        "schema": report.SCHEMA,
        "command": settings.command,
        **setting,
        "references": taken.origins,
        "environment": report.environment(next(iter(plan.ours.values())).device),
        "summary": table,
        "strongest": comparison.strongest(table),
        "bd_rate": comparison.bd_rates(table, anchor),
        "broken": broken,
        "skipped": plan.dataset.skipped,
        "other_than_held_out": held_out.check(plan.dataset),
        "not_measured": missing | _not_measured(plan, table),
        "throughput": _throughput(settings, plan),
        "rows": list(islice((line for line in lines(journal) if "rows" in line), KEPT)),
    }


def _widths(folder: Path) -> dict[str, int]:
    for line in lines(folder / ROWS):
        if "features" in line:
            return {name: width for name, (_, width) in line["features"].items()}
    return {}


def _not_measured(plan: Plan, table: list[Line]) -> dict[str, str]:
    """Name the measures that are in no row: not asked for, or not possible on these images."""
    asked = [*(d.name for d in plan.distances), *(p.name for p in plan.programs)]
    asked += [e.name for e in plan.extractors]
    plain = {name.split()[-1] for name in asked}
    how = networks.HOW_TO_GET | metric_programs.HOW_TO_GET
    missing = {name: words for name, words in how.items() if name not in plain}
    if "fid" in plain:
        missing["rfid"] = "leave out the reference statistics"
    found = {key for row in table for key in row}
    for one in plan.extractors:
        if one.name not in found:
            missing[one.name] = "a Frechet distance takes two images or more"
    for name in ["ms_ssim", *asked]:
        if name not in found:
            missing.setdefault(name, "no image here is large enough, or has what it measures")
    return missing


def _throughput(settings: Settings, plan: Plan) -> Line | None:
    """Time our models and the baselines at the middle point; None where that was not asked for."""
    if not settings.speed:
        return None
    try:
        return throughput.measure(plan, settings.points[len(settings.points) // 2])
    except TitokzipError as error:
        return {"failed": str(error)}
