"""Curves of a result as SVG: every measure over the bits per pixel, a line a codec.

Points that others published are drawn as hollow diamonds, where the data set and the measure are
theirs; they come from other machines and other protocols.
"""

import math
from collections.abc import Sequence
from html import escape
from itertools import cycle
from typing import Any

from titokzip.bench import OURS, published
from titokzip.bench.report import is_measure, rate_of
from titokzip.bench.table import columns, name

Line = dict[str, Any]
OUR_COLOURS = ("#d6336c", "#0b7285", "#862e9c", "#364fc7")
COLOURS = {
    "vvc": "#1864ab", "av1": "#d9480f", "hevc": "#5f3dc4", "avif": "#e8890c", "webp": "#1c7ed6",
    "jxl": "#2b8a3e", "heic": "#5c940d", "jpeg2000": "#7048e8", "jpeg": "#868e96",
    "thumbnail": "#a08060", "blurhash": "#c0a000",
}  # fmt: skip
_OTHERS = ("#0ca678", "#ae3ec9", "#495057", "#a61e4d", "#087f5b")
_WIDTH, _HEIGHT, _MARGIN = 520, 330, 46
_FIRST = ("psnr", "ms_ssim", "lpips", "dists")
_STYLE = """<style>text { font: 12px system-ui, sans-serif; fill: #212529; }
.name { font-weight: 600; font-size: 14px; } .left { text-anchor: end; }
.below { text-anchor: middle; } .grid { stroke: #dee2e6; } polyline { fill: none; }</style>"""


def measures(result: Line) -> list[str]:
    """List the measures to draw, the most quoted first."""
    keys = [key for key in columns(result) if is_measure(key)]
    return sorted(keys, key=lambda key: _FIRST.index(key) if key in _FIRST else len(_FIRST))


def curve(result: Line, key: str) -> str:
    """Draw a measure over log bits per pixel, a line a codec; dots are hollow where not all fit."""
    table = result["summary"]
    rows = [row for row in table if row.get(key) is not None and row.get("bpp")]
    if not rows:
        return ""
    rates = [math.log2(rate_of(row, key)) for row in rows]
    others = _published(result, key, min(rates), max(rates))
    values = [*(float(row[key]) for row in rows), *(value for _, _, value in others)]
    x, y = _scale(rates, _MARGIN, _WIDTH - 12), _scale(values, _HEIGHT - _MARGIN, 28)
    parts = _axes(name(key), values, x, y)
    for codec, colour in colours(table).items():
        own = sorted((r for r in rows if r["codec"] == codec), key=lambda row: rate_of(row, key))
        points = [(x(math.log2(rate_of(r, key))), y(r[key]), r) for r in own]
        parts += [_line(codec, colour, points)] if points else []
    parts += [_diamond(label, x(rate), y(value)) for label, rate, value in others]
    box = f'viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(name(key))}"'
    return f"<svg {box}>{''.join(parts)}</svg>"


def document(result: Line, keys: Sequence[str]) -> str:
    """Draw some measures side by side, with a legend, as an SVG file of its own."""
    drawn = [text for key in keys if (text := curve(result, key))]
    legend, at = [], 10.0
    for codec, colour in colours(result["summary"]).items():
        legend.append(f'<circle cx="{at:.0f}" cy="14" r="5" fill="{colour}"/>')
        legend.append(f'<text x="{at + 9:.0f}" y="18">{escape(codec)}</text>')
        at += 24 + 7.2 * len(codec)
    placed = [
        text.replace(
            "<svg ", f'<svg x="{i * _WIDTH}" y="26" width="{_WIDTH}" height="{_HEIGHT}" ', 1
        )
        for i, text in enumerate(drawn)
    ]
    width, height = _WIDTH * max(len(drawn), 1), _HEIGHT + 26
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">'
    paper = f'<rect width="{width}" height="{height}" fill="#fff"/>'
    return head + _STYLE + paper + "".join(legend) + "".join(placed) + "</svg>\n"


def colours(table: Sequence[Line]) -> dict[str, str]:
    """Give every codec of a table its colour, in the table's order."""
    codecs = dict.fromkeys(row["codec"] for row in table)
    ours = dict(zip(filter(_is_ours, codecs), cycle(OUR_COLOURS), strict=False))
    unknown = (c for c in codecs if not _is_ours(c) and c not in COLOURS)
    others = dict(zip(unknown, cycle(_OTHERS), strict=False))
    return {codec: ours.get(codec) or COLOURS.get(codec) or others[codec] for codec in codecs}


def _axes(title: str, values: Sequence[float], x: Any, y: Any) -> list[str]:
    parts = [f'<text x="{_MARGIN}" y="16" class="name">{escape(title)}</text>']
    for value in ticks(values):
        at = y(value)
        parts.append(f'<path class="grid" d="M{_MARGIN} {at:.1f}H{_WIDTH - 12}"/>')
        parts.append(f'<text x="{_MARGIN - 6}" y="{at + 4:.1f}" class="left">{value:g}</text>')
    for bpp in (digit * 10.0**power for power in range(-4, 2) for digit in (1, 2, 5)):
        at = x(math.log2(bpp))
        if _MARGIN <= at <= _WIDTH - 12:
            parts.append(f'<path class="grid" d="M{at:.1f} 28V{_HEIGHT - _MARGIN}"/>')
            parts.append(f'<text x="{at:.1f}" y="{_HEIGHT - 26}" class="below">{bpp:g}</text>')
    parts.append(f'<text x="{_WIDTH // 2}" y="{_HEIGHT - 6}" class="below">bits per pixel</text>')
    return parts


def _published(result: Line, key: str, low: float, high: float) -> list[tuple[str, float, float]]:
    """Published points of this data set and measure within the drawn rates: name, rate, value."""
    column = {"psnr": 2, "lpips": 3, "dists": 4}.get(key)
    if column is None or result["dataset"]["name"] != "kodak":
        return []
    found = [
        (str(row[0]), math.log2(float(row[1])), float(row[column])) for row in published.CODECS
    ]
    return [one for one in found if low - 0.3 <= one[1] <= high + 0.3]


def _diamond(label: str, x: float, y: float) -> str:
    path = f"M{x:.1f} {y - 5:.1f}l5 5l-5 5l-5 -5z"
    title = f"<title>{escape(label)}, published, not measured here</title>"
    return f'<path class="published" d="{path}" fill="none" stroke="#868e96">{title}</path>'


def _is_ours(codec: str) -> bool:
    return codec.startswith(OURS)


def _line(codec: str, colour: str, points: Sequence[tuple[float, float, Line]]) -> str:
    whole = [f"{x:.1f},{y:.1f}" for x, y, row in points if row["fit"] == row["images"]]
    width = 3 if _is_ours(codec) else 1.8
    parts = [f'<polyline points="{" ".join(whole)}" stroke="{colour}" stroke-width="{width}"/>']
    for x, y, row in points:
        fill = colour if row["fit"] == row["images"] else "none"
        label = f"{codec} {row['point']}: {row['fit']}/{row['images']}, {row['bpp']:.4f} bpp"
        circle = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{fill}" stroke="{colour}">'
        parts.append(f"{circle}<title>{escape(label)}</title></circle>")
    return "".join(parts)


def _scale(values: Sequence[float], start: float, end: float) -> Any:
    low, high = min(values), max(values)
    pad = (high - low) * 0.05 or 0.5
    low, high = low - pad, high + pad
    return lambda value: start + (value - low) / (high - low) * (end - start)


def ticks(values: Sequence[float]) -> list[float]:
    """Choose round values, four to nine of them, over the range."""
    low, high = min(values), max(values)
    if low == high:
        return [low]
    rough = (high - low) / 5
    unit = 10 ** math.floor(math.log10(rough))
    step = unit * next(s for s in (1, 2, 5, 10) if s * unit >= rough)
    first, last = math.ceil(low / step), math.floor(high / step)
    return [round(i * step, 10) for i in range(first, last + 1)]
