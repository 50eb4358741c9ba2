"""From what was asked on the command line to a folder with rows, result and page."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from titokzip import zoo
from titokzip.bench import baselines, gallery, networks, page, references, report, throughput
from titokzip.bench.baselines import RIVALS
from titokzip.bench.datasets import DatasetError, Protocol, find
from titokzip.bench.measure import Line, lines, run
from titokzip.bench.networks import HOW_TO_GET, Extractor, Files
from titokzip.bench.plan import KEPT, OURS, Plan, Point
from titokzip.bench.references import References
from titokzip.codec import Codec

ROWS, RESULT, PAGE = "rows.jsonl", "result.json", "report.html"


@dataclass(frozen=True)
class Settings:
    """Everything that a run depends on."""

    dataset: str
    root: Path | None
    out: Path
    protocol: Protocol
    points: tuple[Point, ...]
    codecs: tuple[str, ...] = RIVALS
    limit: int | None = None
    seed: int = 0
    models: tuple[str, ...] = (zoo.DEFAULT,)
    device: str = "auto"
    workers: int = 2
    files: Files = field(default_factory=Files)
    patch: int | None = None
    anchor: str = "webp"
    speed: bool = True
    fresh: bool = False
    command: str = ""

    def __post_init__(self) -> None:
        if len(self.ours) < len(self.models):
            raise ValueError(f"two models of one name: {', '.join(self.models)}")
        if self.anchor not in (known := (*RIVALS, *self.ours)):
            raise ValueError(f"no codec named {self.anchor!r}; there are {', '.join(known)}")

    @property
    def ours(self) -> dict[str, str]:
        """Models by what their codecs are called: titokzip if there is one, else by name."""
        if len(self.models) == 1:
            return {OURS: self.models[0]}
        return {f"{OURS} {Path(m).name.removesuffix('.safetensors')}": m for m in self.models}


class AnotherRun(ValueError):
    """The folder holds a run with other settings."""


def start(settings: Settings, progress: Callable[[int, int], None]) -> dict[str, Any]:
    """Run, or go on with a run; write result and page into the folder, and return the result.

    Raises:
        DatasetError: the photos are not here, or all are broken.
        ModelError: the model or a network is not here.
        AnotherRun: the folder holds a run with other settings.
    """
    dataset = find(
        settings.dataset, settings.root, settings.limit, settings.seed, settings.protocol
    )
    truncate = settings.protocol.truncate
    ours = {
        name: replace(Codec.load(model, settings.device), truncate=truncate)
        for name, model in settings.ours.items()
    }
    here, device = baselines.rivals(), next(iter(ours.values())).device
    plan = Plan(
        dataset,
        settings.points,
        ours,
        tuple(here[name] for name in settings.codecs if name in here),
        tuple(networks.distances(settings.files, device)),
        tuple(networks.extractors(settings.files, settings.patch, device)),
        workers=settings.workers,
    )
    setting = _described(settings, plan)
    _claim(settings.out, setting, settings.fresh)
    taken = references.take(dataset, plan.extractors, settings.out)
    plan = replace(plan, references=taken.known)
    for count, _ in enumerate(run(plan, settings.out), 1):
        progress(count, len(dataset.items))
    result = _result(settings, plan, setting, taken)
    report.write(settings.out / RESULT, result)
    page.write(settings.out / PAGE, result, gallery.gallery(plan, settings.out))
    return result


def _described(settings: Settings, plan: Plan) -> Line:
    """Say what a result depends on: the same words, the same numbers."""
    dataset = plan.dataset
    return {
        "dataset": {
            "name": dataset.name,
            "photos": len(dataset.items),
            "list_sha256": dataset.digest,
            "protocol": str(dataset.protocol),
            "limit": settings.limit,
            "seed": settings.seed if settings.limit else None,
        },
        "models": {name: _identity(model) for name, model in settings.ours.items()},
        "points": [point.name for point in plan.points],
        "codecs": dict.fromkeys(plan.ours, "this")
        | {codec.name: codec.note for codec in plan.rivals},
        "networks": {d.name: list(d.sha256) for d in plan.distances}
        | {e.name: _hashes(e) for e in plan.extractors},
    }


def _identity(model: str) -> dict[str, str]:
    manifest = zoo.find(model)
    return {
        "name": manifest.name,
        "fingerprint": manifest.fingerprint.hex(),
        "digest": manifest.digest.hex(),
    }


def _hashes(one: Extractor) -> list[str]:
    given = [] if one.reference is None else [networks.sha256(one.reference)]
    return [one.sha256, *given]


def _claim(folder: Path, setting: Line, fresh: bool) -> None:
    """Take the folder for this run, or refuse to mix it with another."""
    marker = folder / "settings.json"
    if fresh and marker.exists():
        for name in (ROWS, RESULT, PAGE, "settings.json"):
            (folder / name).unlink(missing_ok=True)
        for name in ("files", "features"):
            shutil.rmtree(folder / name, ignore_errors=True)
    if marker.exists() and json.loads(marker.read_text()) != setting:
        raise AnotherRun(f"{folder} holds a run with other settings; --fresh starts over")
    folder.mkdir(parents=True, exist_ok=True)
    report.write(marker, setting)


def _result(settings: Settings, plan: Plan, setting: Line, taken: References) -> Line:
    journal = settings.out / ROWS
    broken = {line["photo"]: line["broken"] for line in lines(journal) if "broken" in line}
    table = report.summary(lines(journal))
    if not table:
        raise DatasetError(f"{settings.dataset}: none of {len(broken)} photos can be read")
    widths = _widths(settings.out)
    references.finish(taken, plan.dataset, plan.extractors, settings.out, widths)
    report.add_frechet(table, settings.out, widths, taken.known)
    return {
        "schema": report.SCHEMA,
        "command": settings.command,
        **setting,
        "references": taken.origins,
        "environment": report.environment(next(iter(plan.ours.values())).device),
        "summary": table,
        "bd_rate": {"anchor": settings.anchor, "percent": report.bd_rates(table, settings.anchor)},
        "broken": broken,
        "not_measured": _not_measured(settings, plan),
        "throughput": _throughput(settings, plan),
        "rows": list(islice((line for line in lines(journal) if "rows" in line), KEPT)),
    }


def _widths(folder: Path) -> dict[str, int]:
    for line in lines(folder / ROWS):
        if "features" in line:
            return {name: width for name, (_, width) in line["features"].items()}
    return {}


def _not_measured(settings: Settings, plan: Plan) -> dict[str, str]:
    """Name what this run leaves out, and how to get it."""
    names = [*(d.name for d in plan.distances), *(e.name for e in plan.extractors)]
    measured = {name.split()[-1] for name in names}
    missing = {name: how for name, how in HOW_TO_GET.items() if name not in measured}
    if "fid" in measured:
        missing["rfid"] = "leave out --reference"
    here = {codec.name for codec in plan.rivals}
    absent = (name for name in settings.codecs if name not in here)
    return missing | {name: baselines.HOW_TO_GET[name] for name in absent}


def _throughput(settings: Settings, plan: Plan) -> Line | None:
    """Time each of our models at the middle point; None where that was not asked for."""
    if not settings.speed:
        return None
    middle = settings.points[len(settings.points) // 2].rate
    return {
        name: throughput.measure(codec, settings.ours[name], plan.dataset, middle)
        for name, codec in plan.ours.items()
    }
