"""Write the tables between <!-- bench --> and <!-- /bench --> in README.md from committed results.

python benchmarks/readme_table.py            # refresh
python benchmarks/readme_table.py --check    # exit 1 if they are not fresh
"""

import argparse
import json
import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

ROOT = Path(__file__).parent.parent
RESULTS = ("kodak", "imagenet", "samples")
OURS, SHOWN = "titokzip", ("webp", "avif", "jxl", "thumbnail")
DISTANCES = ("lpips", "dists", "pd-", "rfid", "fd-", "patch-")
BLOCK = re.compile(r"(<!-- bench -->\n).*?(<!-- /bench -->)", re.DOTALL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--readme", type=Path, default=ROOT / "README.md")
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results")
    args = parser.parse_args()
    text = args.readme.read_text()
    if not BLOCK.search(text):
        sys.exit(f"{args.readme}: no <!-- bench --> and <!-- /bench --> in it")
    made = tables(args.results)
    fresh = BLOCK.sub(lambda match: match[1] + made + match[2], text)
    if args.check and fresh != text:
        sys.exit(f"{args.readme}: not fresh; run python benchmarks/readme_table.py")
    args.readme.write_text(fresh)


def tables(folder: Path) -> str:
    paths = [folder / f"{name}.json" for name in RESULTS]
    found = [json.loads(path.read_text()) for path in paths if path.exists()]
    return "\n".join(table(result) for result in found)


def table(result: dict) -> str:
    """A row a point: PSNR in dB and MS-SSIM of each codec at the same bytes; distances below."""
    data, rows = result["dataset"], result["summary"]
    models = result.get("models") or {OURS: result["model"]}  # schema 1 had a single one
    codecs = [*models, *(name for name in SHOWN if any(row["codec"] == name for row in rows))]
    several = len(models) > 1
    which = ", ".join(
        f"{model['name']} {model['digest'][:8]}" if several else model["digest"][:8]
        for model in models.values()
    )
    lines = [
        f"{data['name']}, {data['photos']} photos, {data['protocol']}"
        f" (model{'s' * several} {which}, {result['environment']['date']}):",
        "",
        f"| bytes | bpp | {' | '.join(codecs)} |",
        f"|---|---|{'---|' * len(codecs)}",
    ]
    sections = {"": fidelity}
    for key in dict.fromkeys(key for row in rows for key in row if key.startswith(DISTANCES)):
        label = key.replace("pd-", "distance by ").replace("fd-", "Frechet distance by ")
        sections[label] = partial(plain, key)
    for label, shown in sections.items():
        if label:
            lines.append(f"| **{label}** |{' |' * (len(codecs) + 1)}")
        for point in dict.fromkeys(row["point"] for row in rows):
            own = {row["codec"]: row for row in rows if row["point"] == point}
            first = own[codecs[0]]
            if first["fit"]:
                cells = [f"{first['bytes']:,.0f}", f"{first['bpp']:.4f}"]
                cells += [cell(own[name], shown) for name in codecs]
                lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def cell(row: dict, shown: Callable[[dict], str]) -> str:
    """What is shown of a codec, with how many photos it could do where not all."""
    if not row["fit"]:
        return "cannot"
    return shown(row) + (f" ({row['fit']}/{row['photos']})" if row["fit"] < row["photos"] else "")


def fidelity(row: dict) -> str:
    similarity = f" / {row['ms_ssim']:.3f}" if "ms_ssim" in row else ""
    return f"{row['psnr']:.2f}{similarity}"


def plain(key: str, row: dict) -> str:
    return f"{row[key]:.2f}" if row.get(key) is not None else "–"


if __name__ == "__main__":
    main()
