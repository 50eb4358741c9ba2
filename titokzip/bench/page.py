"""One HTML page of a result: curves, table, pictures to slide over, published numbers.

Everything is inline: no font, script or picture comes from a network.
"""

import json
import math
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from itertools import cycle
from pathlib import Path
from string import Template
from typing import Any

from titokzip.bench import published
from titokzip.bench.gallery import Shown
from titokzip.bench.plan import OURS
from titokzip.bench.table import columns, footnotes, name, shown, title

Line = dict[str, Any]
OUR_COLOURS = ("#d6336c", "#0b7285", "#862e9c", "#364fc7")
COLOURS = {
    "jpeg": "#868e96", "webp": "#1c7ed6", "avif": "#e8590c",
    "jpeg2000": "#7048e8", "jxl": "#2b8a3e", "heic": "#5c940d", "thumbnail": "#a08060",
    "blurhash": "#c0a000",
}  # fmt: skip
_WIDTH, _HEIGHT, _MARGIN = 520, 330, 46
_CURVES = ("psnr", "ms_ssim", "lpips", "dists")
_PROVENANCE = (
    "dataset", "models", "codecs", "networks", "references", "environment", "throughput", "broken",
)  # fmt: skip
_NOT_CURVES = ("bytes", "header", "bpp")


def write(path: Path, result: Line, pictures: Sequence[Shown]) -> None:
    """Write the page."""
    template = Template(files("titokzip.bench").joinpath("page.html").read_text("utf-8"))
    text = template.substitute(
        title=escape(title(result)),
        facts=_facts(result),
        curves="".join(curve(result["summary"], key) for key in _curves(result)),
        legend=_legend(result),
        table=_table(result),
        notes="".join(f"<li>{escape(note)}</li>" for note in footnotes(result)),
        pictures="".join(_figure(one) for one in pictures) or "<p>No photo could be shown.</p>",
        published=_published(),
        environment=escape(json.dumps(_provenance(result), indent=2)),
    )
    path.write_text(text, "utf-8")


def curve(table: Sequence[Line], key: str) -> str:
    """Draw a measure over log bits per pixel, a line a codec, as SVG; dots where not all fit."""
    rows = [row for row in table if row.get(key) is not None and row.get("bpp")]
    if not rows:
        return ""
    x = _scale([math.log2(row["bpp"]) for row in rows], _MARGIN, _WIDTH - 12)
    y = _scale([row[key] for row in rows], _HEIGHT - _MARGIN, 28)
    parts = [f'<text x="{_MARGIN}" y="16" class="name">{escape(name(key))}</text>']
    for value in _ticks([row[key] for row in rows]):
        parts.append(f'<path class="grid" d="M{_MARGIN} {y(value):.1f}H{_WIDTH - 12}"/>')
        parts.append(
            f'<text x="{_MARGIN - 6}" y="{y(value) + 4:.1f}" class="left">{value:g}</text>'
        )
    for bpp in (digit * 10.0**power for power in range(-4, 2) for digit in (1, 2, 5)):
        at = x(math.log2(bpp))
        if _MARGIN <= at <= _WIDTH - 12:
            parts.append(f'<path class="grid" d="M{at:.1f} 28V{_HEIGHT - _MARGIN}"/>')
            parts.append(f'<text x="{at:.1f}" y="{_HEIGHT - 26}" class="below">{bpp:g}</text>')
    parts.append(f'<text x="{_WIDTH // 2}" y="{_HEIGHT - 6}" class="below">bits per pixel</text>')
    for codec, colour in colours(table).items():
        own = sorted((r for r in rows if r["codec"] == codec), key=lambda row: float(row["bpp"]))
        points = [(x(math.log2(r["bpp"])), y(r[key]), r) for r in own]
        parts += [_line(codec, colour, points)] if points else []
    box = f'viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(name(key))}"'
    return f"<svg {box}>{''.join(parts)}</svg>"


def colours(table: Sequence[Line]) -> dict[str, str]:
    """Give every codec of a table its colour, in the table's order."""
    codecs = dict.fromkeys(row["codec"] for row in table)
    ours = dict(zip(filter(_is_ours, codecs), cycle(OUR_COLOURS), strict=False))
    return {codec: ours.get(codec) or COLOURS.get(codec, "#000") for codec in codecs}


def _is_ours(codec: str) -> bool:
    return codec.startswith(OURS)


def _line(codec: str, colour: str, points: Sequence[tuple[float, float, Line]]) -> str:
    whole = [f"{x:.1f},{y:.1f}" for x, y, row in points if row["fit"] == row["photos"]]
    width = 3 if _is_ours(codec) else 1.8
    parts = [f'<polyline points="{" ".join(whole)}" stroke="{colour}" stroke-width="{width}"/>']
    for x, y, row in points:
        fill = colour if row["fit"] == row["photos"] else "none"
        label = f"{codec} {row['point']}: {row['fit']}/{row['photos']}, {row['bpp']:.4f} bpp"
        circle = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{fill}" stroke="{colour}">'
        parts.append(f"{circle}<title>{escape(label)}</title></circle>")
    return "".join(parts)


def _scale(values: Sequence[float], start: float, end: float) -> Any:
    low, high = min(values), max(values)
    pad = (high - low) * 0.05 or 0.5
    low, high = low - pad, high + pad
    return lambda value: start + (value - low) / (high - low) * (end - start)


def _ticks(values: Sequence[float]) -> list[float]:
    """Round values, four to nine of them, over the range."""
    low, high = min(values), max(values)
    if low == high:
        return [low]
    rough = (high - low) / 5
    unit = 10 ** math.floor(math.log10(rough))
    step = unit * next(s for s in (1, 2, 5, 10) if s * unit >= rough)
    first, last = math.ceil(low / step), math.floor(high / step)
    return [round(i * step, 10) for i in range(first, last + 1)]


def _curves(result: Line) -> list[str]:
    keys = [
        key for key in columns(result) if key not in _NOT_CURVES and key not in ("tiles", "tokens")
    ]
    return sorted(keys, key=lambda key: _CURVES.index(key) if key in _CURVES else len(_CURVES))


def _facts(result: Line) -> str:
    here = result["environment"]
    facts = [here["date"], f"titokzip {here['titokzip']}", here["machine"], result["command"]]
    return " · ".join(escape(str(fact)) for fact in facts)


def _legend(result: Line) -> str:
    dot = '<span class="key"><i style="background:{}"></i>{}</span>'
    named = colours(result["summary"]).items()
    return "".join(dot.format(colour, escape(codec)) for codec, colour in named)


def _table(result: Line) -> str:
    keys = columns(result)
    head = ["point", "codec", "fit", *map(name, keys)]
    body = []
    for row in result["summary"]:
        cells = [row["point"], row["codec"], f"{row['fit']}/{row['photos']}"]
        cells += [shown(row, key) for key in keys]
        body.append((_is_ours(row["codec"]), cells))
    return _rows(head, body)


def _rows(head: Sequence[str], body: Sequence[tuple[bool, Sequence[str]]]) -> str:
    lines = ["<tr>" + "".join(f"<th>{escape(cell)}</th>" for cell in head) + "</tr>"]
    for ours, cells in body:
        mark = ' class="ours"' if ours else ""
        lines.append(f"<tr{mark}>" + "".join(f"<td>{escape(c)}</td>" for c in cells) + "</tr>")
    return f'<div class="wide"><table>{"".join(lines)}</table></div>'


def _figure(one: Shown) -> str:
    """A photo with a slider between two codecs, chosen from lists."""
    data = escape(json.dumps(one.pictures), quote=True)
    return (
        f'<figure class="pair" data-pictures="{data}"><figcaption><b>{escape(one.photo)}</b>'
        f" ({one.word} of ours beside the rivals, {escape(one.point)})</figcaption></figure>"
    )


def _published() -> str:
    tokenizers = [
        (False, (n, str(size), f"{bpp:g}", "–" if fid is None else f"{fid:.2f}"))
        for n, size, bpp, fid in published.TOKENIZERS
    ]
    codecs = [
        (False, (n, f"{bpp:.4f}", f"{db:.2f}", f"{lp:.3f}", f"{ds:.3f}"))
        for n, bpp, db, lp, ds in published.CODECS
    ]
    return (
        f"<p>{escape(published.TITOK)}</p>"
        + _rows(("published", "bytes", "bpp", "rFID"), tokenizers)
        + f"<p>{escape(published.KODAK)}</p>"
        + _rows(("published", "bpp", "PSNR dB", "LPIPS", "DISTS"), codecs)
    )


def _provenance(result: Line) -> Line:
    return {key: result[key] for key in _PROVENANCE}
