"""Write headline, tables and curves of README.md and docs/benchmarks.md from committed results.

    python benchmarks/readme_table.py            # refresh
    python benchmarks/readme_table.py --check    # exit 1 if they are not fresh

README gets our codec beside the strongest baseline at each size, wins and losses alike; the page of
benchmarks gets every codec. What is between `<!-- headline -->`, `<!-- bench -->` or
`<!-- results -->` and its closing mark is replaced.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

from titokzip.bench import curves
from titokzip.bench.table import compared, name, trained, trained_against

ROOT = Path(__file__).parent.parent
RESULTS = ("kodak", "imagenet", "cq100", "graphics", "samples")
LEADING = ("psnr", "lpips", "dists")
DIGITS = {"psnr": 2, "ms_ssim": 3, "lpips": 3, "dists": 3, "lpips-vgg": 3, "st-lpips": 3}
NAMES = {
    "vvc": "VVC", "av1": "AV1", "hevc": "HEVC", "avif": "AVIF", "jxl": "JPEG XL", "webp": "WebP",
    "jpeg2000": "JPEG 2000", "jpeg": "JPEG", "heic": "HEIC",
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--root", type=Path, default=ROOT, help="folder with README.md and docs/")
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results")
    args = parser.parse_args()
    results = read(args.results)
    for path, text in made(args.root, results):
        if not args.check:
            path.write_text(text, "utf-8")
        elif path.read_text("utf-8") != text:
            sys.exit(f"{path}: not fresh; run python benchmarks/readme_table.py")


def read(folder: Path) -> list[dict]:
    """Read the results that are there; those of an older schema are passed over."""
    paths = [folder / f"{name}.json" for name in RESULTS]
    found = [json.loads(path.read_text("utf-8")) for path in paths if path.exists()]
    return [result for result in found if result["schema"] >= 3]


def made(root: Path, results: list[dict]) -> list[tuple[Path, str]]:
    """Make every file anew that has a place for something."""
    blocks: dict[str, Callable[[], str]] = {
        "headline": lambda: headline(results[0]),
        "bench": lambda: "\n".join(beside_strongest(result) for result in results),
        "results": lambda: "\n".join(every_codec(result) for result in results),
    }
    files = []
    for path in (root / "README.md", root / "docs" / "benchmarks.md"):
        if not path.exists():
            continue
        text = path.read_text("utf-8")
        for mark, block in blocks.items():
            place = re.compile(rf"(<!-- {mark} -->\n).*?(<!-- /{mark} -->)", re.DOTALL)
            if place.search(text) and results:
                fresh = block()
                text = place.sub(lambda match, fresh=fresh: match[1] + fresh + match[2], text)
        files.append((path, text))
    for result in results:
        path = root / "docs" / f"curves-{result['dataset']['name']}.svg"
        if path.exists():
            files.append((path, curves.document(result, LEADING)))
    if not any("<!-- bench -->" in text for _, text in files):
        sys.exit(f"{root}: no <!-- bench --> and <!-- /bench --> in README.md")
    return files


def headline(result: dict) -> str:
    """One sentence of the middle point: what is best of ours by some measure, by every measure.

    A measure whose network a model was trained against, or may have been, is left out for it.
    """
    points = list(dict.fromkeys(row["point"] for row in result["summary"]))
    point = points[len(points) // 2]
    by = {row["codec"]: row for row in rows_at(result, point) if row["codec"] in result["models"]}
    parts, best = {model: [] for model in by}, set()
    for one in result["strongest"]:
        if one["point"] == point and one["measure"] in LEADING:
            taught = trained_against(result, one["measure"])
            leads = {model: lead for model, lead in one["lead"].items() if taught[model] is False}
            best |= {max(leads, key=leads.__getitem__)} if leads else set()
            for model, lead in leads.items():
                parts[model].append(standing(one, by[model], lead))
    data, own = result["dataset"], next(iter(by.values()))
    start = f"{data['name'].capitalize()}, {data['images']} images in {amount(own)} bytes each"
    rest = "; ".join(which(model, by) + ", ".join(parts[model]) for model in by if model in best)
    return f"**{start} ({own['bpp']:.3f} bits a pixel). {rest}.**\n"


def standing(strongest: dict, row: dict, lead: float) -> str:
    """A measure of ours, and how far it is from the strongest baseline."""
    key, unit = strongest["measure"], " dB" if strongest["measure"] == "psnr" else ""
    word = f"{'ahead of' if lead >= 0 else 'behind'} {label(strongest['baseline'])}"
    return f"{plain(key)} {number(key, row[key])}{unit} ({number(key, abs(lead))}{unit} {word})"


def which(model: str, models: dict) -> str:
    """Name one of several models."""
    return f"{model.removeprefix('titokzip ')}: " if len(models) > 1 else ""


def amount(row: dict) -> str:
    """The bytes of an image: the limit that all codecs got, or the mean of ours."""
    return f"at most {size(row)}" if is_limit(row["point"]) else size(row)


def size(row: dict) -> str:
    """That amount as a number."""
    point = row["point"]
    return f"{float(point[:-1]):,.0f}" if is_limit(point) else f"{row['bytes']:,.0f}"


def is_limit(point: str) -> bool:
    """Tell whether a point is a limit of bytes, such as 400B, and no quality."""
    return point.endswith("B")


def sizes(result: dict) -> str:
    """Head the column of sizes."""
    limits = all(is_limit(row["point"]) for row in result["summary"])
    return "bytes, at most" if limits else "bytes"


def beside_strongest(result: dict) -> str:
    """A row a point: each of our models with its lead, and the strongest baseline."""
    models = list(result["models"])
    head = f"| {sizes(result)} | bpp | {' | '.join(models)} | strongest baseline |"
    lines = [heading(result), "", head]
    lines.append(f"|---|---|{'---|' * (len(models) + 1)}")
    for key in LEADING:
        chosen = [one for one in result["strongest"] if one["measure"] == key]
        if not chosen:
            continue
        lines.append(f"| **{name(key)}** |{' |' * (len(models) + 2)}")
        for one in chosen:
            by = {row["codec"]: row for row in rows_at(result, one["point"])}
            first = by[models[0]]
            cells = [size(first), f"{first['bpp']:.4f}"]
            cells += [led(by[model], key, one) for model in models]
            cells.append(f"{label(one['baseline'])} {number(key, one['value'])}")
            lines.append(f"| {' | '.join(cells)} |")
    networks = [f"{note}." for note in trained(result, LEADING)]
    return "\n".join([*lines, "", " ".join([bd_rates(result), *networks])]) + "\n"


def led(row: dict, key: str, strongest: dict) -> str:
    """A measure of ours, with its lead over the strongest baseline."""
    lead = strongest["lead"].get(row["codec"])
    if lead is None:
        return cell(row, key)
    return f"{number(key, row[key])} ({'+' if lead >= 0 else '−'}{number(key, abs(lead))})"


def bd_rates(result: dict) -> str:
    """Bits that our models need more or fewer than the strongest baseline, or why nobody knows."""
    rates, parts = result["bd_rate"], []
    for model in result["models"]:
        for key in LEADING:
            value = rates["percent"].get(model, {}).get(key)
            if value is not None:
                percent = f"{value:+.0f} %".replace("-", "−")
                parts.append(f"{model} {percent} by {plain(key)}")
            elif why := rates["refused"].get(model, {}).get(key):
                parts.append(f"{model} none by {plain(key)} ({why})")
    return f"BD-rate against {label(rates['anchor'])}: {', '.join(parts) or 'none'}."


def every_codec(result: dict) -> str:
    """A section a measure, a row a point, a column a codec."""
    codecs = list(dict.fromkeys(row["codec"] for row in result["summary"]))
    lines = [heading(result), "", f"| {sizes(result)} | {' | '.join(map(label, codecs))} |"]
    lines.append(f"|---|{'---|' * len(codecs)}")
    for key in curves.measures(result):
        lines.append(f"| **{name(key)}** |{' |' * len(codecs)}")
        for point in dict.fromkeys(row["point"] for row in result["summary"]):
            by = {row["codec"]: row for row in rows_at(result, point)}
            first = size(by[codecs[0]]) if by[codecs[0]]["fit"] or is_limit(point) else point
            cells = [cell(by[codec], key) for codec in codecs]
            lines.append(f"| {first} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def heading(result: dict) -> str:
    data = result["dataset"]
    digests = [f"{m['name']} {m['digest'][:8]}" for m in result["models"].values()]
    models = ", ".join(dict.fromkeys(digests))
    where = f"{data['name']}, {data['images']} images, {data['protocol']}"
    return f"{where} (model {models}, {result['environment']['date']}). {compared(result)}"


def rows_at(result: dict, point: str) -> list[dict]:
    return [row for row in result["summary"] if row["point"] == point]


def cell(row: dict, key: str) -> str:
    """A measure of a codec, with how many images it is of where not all."""
    if not row["fit"]:
        return "cannot"
    if row.get(key) is None:
        return "–"
    count = row.get("over", {}).get(key, {}).get("images", row["fit"])
    return number(key, row[key]) + (f" ({count}/{row['images']})" if count < row["images"] else "")


def number(key: str, value: float) -> str:
    return f"{value:.{DIGITS.get(key, 2)}f}"


def plain(key: str) -> str:
    return name(key).removesuffix(" dB")


def label(codec: str) -> str:
    return NAMES.get(codec, codec)


if __name__ == "__main__":
    main()
