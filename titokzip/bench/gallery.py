"""The photos that the page shows: where our codec did best and worst beside the others."""

import base64
import io
from collections.abc import Iterable
from dataclasses import dataclass
from heapq import nlargest, nsmallest
from pathlib import Path
from typing import Any

from PIL import Image

from titokzip import container
from titokzip.bench.run import OURS, Line, Plan, file_of, lines
from titokzip.codec import Codec

_EACH, _SIDE = 3, 640  # photos at either end; pixels of the longer side on the page


@dataclass(frozen=True)
class Shown:
    """One photo with what every codec made of it at about the same bytes."""

    photo: str
    word: str  # best or worst
    point: str
    pictures: dict[str, tuple[str, str]]  # by codec: a data URI, and a caption


def gallery(plan: Plan, codec: Codec, folder: Path) -> list[Shown]:
    """Choose photos at the middle point, and decode their files again."""
    point = plan.points[len(plan.points) // 2].name
    kept = [one for one in lines(folder / "rows.jsonl") if one["photo"] in plan.kept]
    scored = [(score, line) for line in kept if (score := advantage(line, point)) is not None]
    return [
        _shown(plan, codec, folder, line, point, word)
        for word, chosen in chosen_of(scored, _EACH).items()
        for line in chosen
    ]


def advantage(line: Line, point: str) -> float | None:
    """How far ours is ahead of the best rival, by LPIPS, or else MS-SSIM, or else PSNR."""
    rows = [
        row for row in line.get("rows", []) if row["point"] == point and row["bytes"] is not None
    ]
    for metric, sign in (("lpips", -1), ("ms_ssim", 1), ("psnr", 1)):
        has = [(row["codec"], sign * row[metric]) for row in rows if row.get(metric) is not None]
        own = [value for codec, value in has if codec == OURS]
        if own:
            others = [value for codec, value in has if codec != OURS]
            return float(own[0] - max(others, default=0.0))
    return None


def chosen_of(scored: Iterable[tuple[float, Line]], each: int) -> dict[str, list[Line]]:
    """Take the best and the worst, no photo twice."""
    scored = list(scored)
    each = min(each, -(-len(scored) // 2))
    best = nlargest(each, scored, key=lambda one: one[0])
    left = [one for one in scored if one not in best]
    worst = nsmallest(each, left, key=lambda one: one[0])
    return {"best": [line for _, line in best], "worst": [line for _, line in worst]}


def _shown(plan: Plan, codec: Codec, folder: Path, line: Line, point: str, word: str) -> Shown:
    name, size = line["photo"], (line["width"], line["height"])
    item = next(item for item in plan.dataset.items if item.name == name)
    original = item.load(plan.dataset.protocol).image
    pictures = {"original": (_uri(original), f"{size[0]} x {size[1]} pixels")}
    suffixes = {OURS: ".ttk"} | {rival.name: rival.suffix for rival in plan.rivals}
    decoders: dict[str, Any] = {rival.name: rival.decode for rival in plan.rivals}
    decoders[OURS] = lambda data, _: codec.paint(container.unpack(data))
    for row in line["rows"]:
        if row["point"] == point and row["bytes"] is not None:
            data = file_of(folder, name, point, suffixes[row["codec"]]).read_bytes()
            pictures[row["codec"]] = _uri(decoders[row["codec"]](data, size)), _caption(row)
    return Shown(name, word, point, pictures)


def _caption(row: Line) -> str:
    return f"{row['bytes']:,} bytes, {row['bpp']:.4f} bpp, {row['psnr']:.2f} dB"


def _uri(image: Image.Image) -> str:
    """Turn a picture into a data URI that looks the same at the size of the page."""
    small = image.convert("RGB")
    small.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    small.save(file, "WEBP", quality=82)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()
