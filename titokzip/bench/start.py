"""From what was asked on the command line to a folder with rows, result and page."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from titokzip import zoo
from titokzip.bench import gallery, networks, page, report, throughput
from titokzip.bench.codecs import RIVALS, rivals
from titokzip.bench.datasets import Dataset, DatasetError, Protocol, find
from titokzip.bench.networks import HOW_TO_GET, Files
from titokzip.bench.run import KEPT, OURS, Line, Plan, Point, lines, run
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
    model: str = zoo.DEFAULT
    device: str = "auto"
    workers: int = 2
    files: Files = field(default_factory=Files)
    patch: int | None = None
    anchor: str = "webp"
    speed: bool = True
    fresh: bool = False
    command: str = ""


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
    codec, here = Codec.load(settings.model, settings.device), rivals()
    plan = Plan(
        dataset,
        settings.points,
        tuple(here[name] for name in settings.codecs if name in here),
        tuple(networks.distances(settings.files, codec.device)),
        tuple(networks.extractors(settings.files, settings.patch, codec.device)),
        settings.workers,
    )
    setting = _described(settings, plan)
    _claim(settings.out, setting, settings.fresh)
    for count, _ in enumerate(run(plan, codec, settings.out), 1):
        progress(count, len(dataset.items))
    result = _result(settings, plan, setting, codec)
    report.write(settings.out / RESULT, result)
    page.write(settings.out / PAGE, result, gallery.gallery(plan, codec, settings.out))
    return result


def _described(settings: Settings, plan: Plan) -> Line:
    """Say what a result depends on: the same words, the same numbers."""
    dataset, card = plan.dataset, zoo.find(settings.model)
    return {
        "dataset": {
            "name": dataset.name,
            "photos": len(dataset.items),
            "list_sha256": dataset.digest,
            "protocol": str(dataset.protocol),
            "limit": settings.limit,
            "seed": settings.seed if settings.limit else None,
        },
        "model": {
            "name": card.name,
            "fingerprint": card.fingerprint.hex(),
            "digest": card.digest.hex(),
        },
        "points": [point.name for point in plan.points],
        "codecs": {OURS: "this"} | {codec.name: codec.note for codec in plan.rivals},
        "networks": {d.name: list(d.sha256) for d in plan.distances}
        | {e.name: [e.sha256] for e in plan.extractors},
    }


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


def _result(settings: Settings, plan: Plan, setting: Line, codec: Codec) -> Line:
    journal = settings.out / ROWS
    broken = {line["photo"]: line["broken"] for line in lines(journal) if "broken" in line}
    table = report.summary(lines(journal))
    if not table:
        raise DatasetError(f"{settings.dataset}: none of {len(broken)} photos can be read")
    report.add_frechet(table, settings.out, _widths(settings.out))
    return {
        "schema": report.SCHEMA,
        "command": settings.command,
        **setting,
        "environment": report.environment(codec.device),
        "summary": table,
        "bd_rate": {"anchor": settings.anchor, "percent": report.bd_rates(table, settings.anchor)},
        "broken": broken,
        "not_measured": _not_measured(settings, plan),
        "throughput": _throughput(settings, plan.dataset, codec),
        "rows": list(islice((line for line in lines(journal) if "rows" in line), KEPT)),
    }


def _widths(folder: Path) -> dict[str, int]:
    for line in lines(folder / ROWS):
        if "features" in line:
            return {name: width for name, (_, width) in line["features"].items()}
    return {}


def _not_measured(settings: Settings, plan: Plan) -> dict[str, str]:
    """Name what this run leaves out, and how to get it."""
    measured = {name.split()[-1] for name in _described(settings, plan)["networks"]}
    missing = {name: how for name, how in HOW_TO_GET.items() if name not in measured}
    if "jxl" in settings.codecs and not any(codec.name == "jxl" for codec in plan.rivals):
        missing["jxl"] = "pip install imagecodecs"
    return missing


def _throughput(settings: Settings, dataset: Dataset, codec: Codec) -> Line | None:
    if not settings.speed:
        return None
    middle = settings.points[len(settings.points) // 2].rate
    return throughput.measure(codec, settings.model, dataset, middle)
