"""Lay images beside what our codec and a baseline make of them, at the same bytes.

python benchmarks/beside.py $DATA/kodak --programs PROGRAMS --out docs/beside-vvc.webp
python benchmarks/beside.py FOUR --bytes 400 966 --width 260 --columns 2 --out docs/drawn.webp

FOUR has four drawn images: bar-chart, cartoon, city-map and flat-logo of `graphics.py`.

Ours on the left, by whole files; the baseline on the right, by bare streams, after its search over
scales. TITOKZIP_BENCH_CACHE keeps what the search found.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from contact_sheet import GAP, LABEL
from PIL import Image, ImageDraw, ImageFont, ImageOps

import titokzip
from titokzip.bench import baselines
from titokzip.bench.cache import Cache, default_folder
from titokzip.images import plain
from titokzip.rate_control import Rate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--programs", type=Path, action="append", default=[])
    parser.add_argument("--baseline", default="vvc")
    parser.add_argument("--bytes", type=int, nargs="+", default=[140, 400, 1720])
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--columns", type=int, default=4)
    parser.add_argument("--width", type=int, default=200, help="pixels of an image on the sheet")
    args = parser.parse_args()
    ours = titokzip.load()
    other = baselines.available(Cache(default_folder()), args.programs).codecs[args.baseline]
    files = sorted(f for f in args.folder.iterdir() if f.suffix in (".png", ".webp", ".jpg"))
    images = map(opened, files[: args.images])
    cells = [cell(image, ours, other, args.bytes, args.width) for image in images]
    width, height = cells[0].width + 2 * GAP, max(one.height for one in cells) + 2 * GAP
    lines = -(-len(cells) // args.columns)
    sheet = Image.new("RGB", (args.columns * width, lines * height), "white")
    for i, one in enumerate(cells):
        sheet.paste(one, (i % args.columns * width + GAP, i // args.columns * height + GAP))
    sheet.save(args.out, quality=84, method=6)


def opened(path: Path) -> Image.Image:
    return Image.open(path).convert("RGB")


def cell(
    original: Image.Image,
    ours: titokzip.Codec,
    other: baselines.ImageCodec,
    budgets: Sequence[int],
    width: int,
) -> Image.Image:
    """Draw an image above pairs of what is left of it, each in a box of three by two."""
    found = dict(zip(budgets, other.encode(original, budgets), strict=True))
    height = round(width * 2 / 3)
    picture = Image.new("RGB", (2 * width, (len(budgets) + 1) * (height + LABEL)), "white")
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(12)
    picture.paste(reduced(original, width, height), (width // 2, 0))
    draw.text((width, height + 2), "original", "black", font, anchor="ma")
    for row, budget in enumerate(budgets, 1):
        data, there = ours.compress(plain(original), Rate(max_bytes=budget)), found[budget]
        pair = [(ours.decompress(data), f"titokzip, {len(data):,} bytes")]
        if there is not None:
            size = other.compared_bytes(there.data)
            pair.append((other.decode(there, original.size), f"{other.name}, {size:,} bytes"))
        for column, (image, words) in enumerate(pair):
            top = row * (height + LABEL)
            picture.paste(reduced(image, width, height), (column * width, top))
            middle = column * width + width // 2
            draw.text((middle, top + height + 2), words, "black", font, anchor="ma")
    return picture


def reduced(image: Image.Image, width: int, height: int) -> Image.Image:
    """Reduce an image to fit into a box, in the middle of it."""
    return ImageOps.pad(image.convert("RGB"), (width, height), Image.Resampling.LANCZOS, "white")


if __name__ == "__main__":
    main()
