"""One HTML page of a result: curves, table, images to slide over, published numbers.

Everything is inline: no font, script or image comes from a network.
"""

import json
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from titokzip.bench import OURS, curves, published
from titokzip.bench.gallery import Shown
from titokzip.bench.table import columns, compared, footnotes, name, shown, title

Line = dict[str, Any]
_PROVENANCE = (
    "dataset", "models", "compared", "codecs", "networks", "references", "environment",
    "throughput", "broken", "skipped",
)  # fmt: skip


def write(path: Path, result: Line, images: Sequence[Shown]) -> None:
    """Write the page."""
    template = Template(files("titokzip.bench").joinpath("page.html").read_text("utf-8"))
    text = template.substitute(
        title=escape(title(result)),
        facts=_facts(result),
        curves="".join(curves.curve(result, key) for key in curves.measures(result)),
        legend=_legend(result),
        table=_table(result),
        notes="".join(f"<li>{escape(note)}</li>" for note in footnotes(result)),
        compared=escape(compared(result)),
        images="".join(_figure(one) for one in images) or "<p>No image could be shown.</p>",
        published=_published(),
        environment=escape(json.dumps(_provenance(result), indent=2)),
    )
    path.write_text(text, "utf-8")


def _facts(result: Line) -> str:
    here = result["environment"]
    facts = [here["date"], f"titokzip {here['titokzip']}", here["machine"], result["command"]]
    return " · ".join(escape(str(fact)) for fact in facts)


def _legend(result: Line) -> str:
    dot = '<span class="key"><i style="background:{}"></i>{}</span>'
    named = curves.colours(result["summary"]).items()
    return "".join(dot.format(colour, escape(codec)) for codec, colour in named)


def _table(result: Line) -> str:
    keys = columns(result)
    head = ["point", "codec", "fit", *map(name, keys)]
    body = []
    for row in result["summary"]:
        cells = [row["point"], row["codec"], f"{row['fit']}/{row['images']}"]
        cells += [shown(row, key) for key in keys]
        body.append((row["codec"].startswith(OURS), cells))
    return _rows(head, body)


def _rows(head: Sequence[str], body: Sequence[tuple[bool, Sequence[str]]]) -> str:
    lines = ["<tr>" + "".join(f"<th>{escape(cell)}</th>" for cell in head) + "</tr>"]
    for ours, cells in body:
        mark = ' class="ours"' if ours else ""
        lines.append(f"<tr{mark}>" + "".join(f"<td>{escape(c)}</td>" for c in cells) + "</tr>")
    return f'<div class="wide"><table>{"".join(lines)}</table></div>'


def _figure(one: Shown) -> str:
    """An image with a slider between two codecs, chosen from lists."""
    data = escape(json.dumps(one.versions), quote=True)
    pair = f'data-left="{escape(one.ours)}" data-right="{escape(one.baseline)}"'
    chosen = f"{one.word} of {one.ours} beside {one.baseline} by {name(one.measure)}, {one.point}"
    return (
        f'<figure class="pair" data-versions="{data}" {pair}><figcaption>'
        f"<b>{escape(one.image)}</b> ({escape(chosen)})</figcaption></figure>"
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
