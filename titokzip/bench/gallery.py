"""The photos that the page shows: where our codec did best and worst beside the others."""

import base64
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from heapq import nlargest, nsmallest
from pathlib import Path

from PIL import Image

from titokzip.bench.downscale_search import Size
from titokzip.bench.measure import Line, lines
from titokzip.bench.plan import OURS, Plan, file_of
from titokzip.bench.report import is_distance
from titokzip.bitstream import container
from titokzip.codec import Codec

_EACH, _SIDE = 3, 640  # photos at either end; pixels of the longer side on the page

Decoder = Callable[[bytes, Size], Image.Image]


@dataclass(frozen=True)
class Shown:
    """One photo with what every codec made of it at about the same bytes."""

    photo: str
    word: str  # best or worst
    point: str
    pictures: dict[str, tuple[str, str]]  # by codec: a data URI, and a caption


def gallery(plan: Plan, folder: Path) -> list[Shown]:
    """Choose photos at the middle point, and decode their files again."""
    point = plan.points[len(plan.points) // 2].name
    kept = [one for one in lines(folder / "rows.jsonl") if one["photo"] in plan.kept]
    scored = [(score, line) for line in kept if (score := advantage(line, point)) is not None]
    return [
        _shown(plan, folder, line, point, word)
        for word, chosen in chosen_of(scored, _EACH).items()
        for line in chosen
    ]


def advantage(line: Line, point: str) -> float | None:
    """How far our first model is ahead of the best rival, by the most telling measure there is."""
    rows = [
        row for row in line.get("rows", []) if row["point"] == point and row["bytes"] is not None
    ]
    distances = [(key, -1) for key in (rows[0] if rows else ()) if is_distance(key)]
    for metric, sign in (*distances, ("ms_ssim", 1), ("psnr", 1)):
        has = [(row["codec"], sign * row[metric]) for row in rows if row.get(metric) is not None]
        own = [value for codec, value in has if codec.startswith(OURS)]
        if own:
            others = [value for codec, value in has if not codec.startswith(OURS)]
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


def _shown(plan: Plan, folder: Path, line: Line, point: str, word: str) -> Shown:
    name, size = line["photo"], (line["width"], line["height"])
    item = next(item for item in plan.dataset.items if item.name == name)
    original = item.load(plan.dataset.protocol).image
    pictures = {"original": (_uri(original), f"{size[0]} x {size[1]} pixels")}
    decoders: dict[str, Decoder] = {rival.name: rival.decode for rival in plan.rivals}
    decoders |= {own: partial(_painted, codec) for own, codec in plan.ours.items()}
    for row in line["rows"]:
        if row["point"] == point and row["bytes"] is not None:
            data = file_of(folder, name, point, plan.suffixes[row["codec"]]).read_bytes()
            pictures[row["codec"]] = _uri(decoders[row["codec"]](data, size)), _caption(row)
    return Shown(name, word, point, pictures)


def _painted(codec: Codec, data: bytes, _: Size) -> Image.Image:
    return codec.paint(container.unpack(data))


def _caption(row: Line) -> str:
    return f"{row['bytes']:,} bytes, {row['bpp']:.4f} bpp, {row['psnr']:.2f} dB"


def _uri(image: Image.Image) -> str:
    """Turn a picture into a data URI that looks the same at the size of the page."""
    small = image.convert("RGB")
    small.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    small.save(file, "WEBP", quality=82)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode()
