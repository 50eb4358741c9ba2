"""The images that the page shows: where ours did best and worst beside the strongest baseline."""

import base64
import io
from collections.abc import Iterable
from dataclasses import dataclass, replace
from heapq import nlargest, nsmallest
from pathlib import Path

from PIL import Image

from titokzip.bench import OURS
from titokzip.bench.image_codec import Encoded
from titokzip.bench.measure import Line, lines
from titokzip.bench.plan import Plan, file_of
from titokzip.bench.report import sign_of

_EACH, _SIDE = 3, 640  # images at either end; pixels of the longer side on the page


@dataclass(frozen=True)
class Shown:
    """One image with what every codec made of it at about the same bytes."""

    image: str
    word: str  # best or worst
    point: str
    ours: str  # the codecs that are compared
    baseline: str
    measure: str  # by which it was chosen
    versions: dict[str, tuple[str, str]]  # by codec: a data URI, and a caption


def gallery(plan: Plan, folder: Path) -> list[Shown]:
    """Choose images for each of our models at the middle point, and decode their files again."""
    point = plan.points[len(plan.points) // 2].name
    kept = [one for one in lines(folder / "rows.jsonl") if one["image"] in plan.kept]
    drawn: dict[str, dict[str, tuple[str, str]]] = {}
    shown = []
    for own in plan.ours:
        measure, baseline = opponent(kept, point, own)
        if not measure:
            continue
        scored = [
            (score, line)
            for line in kept
            if (score := advantage(line, point, own, baseline, measure)) is not None
        ]
        for word, chosen in chosen_of(scored, _EACH).items():
            for line in chosen:
                name = line["image"]
                if name not in drawn:
                    drawn[name] = _versions(plan, folder, line, point)
                shown.append(Shown(name, word, point, own, baseline, measure, drawn[name]))
    return shown


def opponent(kept: Iterable[Line], point: str, own: str) -> tuple[str, str]:
    """Name the measure to choose by, LPIPS where there is one, and the baseline best in it."""
    rows = [row for line in kept for row in line.get("rows", []) if row["point"] == point]
    has = {key for row in rows if row["codec"] == own for key in row if row[key] is not None}
    measure = next((key for key in ("lpips", "psnr") if key in has), "")
    totals: dict[str, list[float]] = {}
    for row in rows:
        if not row["codec"].startswith(OURS) and measure and row.get(measure) is not None:
            totals.setdefault(row["codec"], []).append(sign_of(measure) * row[measure])
    most = max(map(len, totals.values()), default=0)
    means = {codec: sum(v) / len(v) for codec, v in totals.items() if len(v) == most}
    return measure, max(means, key=lambda codec: means[codec], default="")


def advantage(line: Line, point: str, own: str, baseline: str, measure: str) -> float | None:
    """Tell how far our codec is ahead of a baseline on an image; None where either is missing."""
    rows = {row["codec"]: row for row in line.get("rows", []) if row["point"] == point}
    mine, other = (rows.get(codec, {}).get(measure) for codec in (own, baseline))
    if mine is None or (other is None and baseline):
        return None
    return float(sign_of(measure) * (mine - (other or 0.0)))


def chosen_of(scored: Iterable[tuple[float, Line]], each: int) -> dict[str, list[Line]]:
    """Take the best and the worst, no image twice."""
    scored = list(scored)
    each = min(each, -(-len(scored) // 2))
    best = nlargest(each, scored, key=lambda one: one[0])
    left = [one for one in scored if one not in best]
    worst = nsmallest(each, left, key=lambda one: one[0])
    return {"best": [line for _, line in best], "worst": [line for _, line in worst]}


def _versions(plan: Plan, folder: Path, line: Line, point: str) -> dict[str, tuple[str, str]]:
    name, size = line["image"], (line["width"], line["height"])
    item = next(item for item in plan.dataset.items if item.name == name)
    original = item.load(plan.dataset.protocol).image
    made = {"original": (_uri(original), f"{size[0]} x {size[1]} pixels")}
    by_name = {codec.name: codec for codec in plan.baselines}
    for row in line["rows"]:
        if row["point"] != point or row["bytes"] is None:
            continue
        codec = row["codec"]
        data = file_of(folder, name, point, plan.suffixes[codec]).read_bytes()
        if codec in plan.ours:
            decoded = next(iter(plan.ours[codec].decode([data])))
        else:
            encoded = Encoded(data, (row["coded"][0], row["coded"][1]), line.get("grey", False))
            decoded = by_name[codec].decode(replace(encoded, setting=row["setting"]), size)
        made[codec] = _uri(decoded), _caption(row)
    return made


def _caption(row: Line) -> str:
    words = f"{row['bytes']:,} bytes, {row['bpp']:.4f} bpp, {row['psnr']:.2f} dB"
    return words + (f", LPIPS {row['lpips']:.3f}" if row.get("lpips") is not None else "")


def _uri(image: Image.Image) -> str:
    """Turn an image into a data URI that looks the same at the size of the page."""
    small = image.convert("RGB")
    small.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    small.save(file, "WEBP", quality=82)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()
