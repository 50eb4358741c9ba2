"""Lay images above what the codec decodes, with the bytes under each.

python benchmarks/contact_sheet.py DIR --out docs/kodak.webp
python benchmarks/contact_sheet.py DIR --only 04 15 20 --columns 3 --out docs/strip.webp
"""

import argparse
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

import titokzip
from titokzip.codec import Codec
from titokzip.images import plain
from titokzip.rate_control import Rate

GAP, LABEL = 6, 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", nargs="*", help="parts of the names of the photos to show")
    parser.add_argument("--columns", type=int, default=6)
    parser.add_argument("--width", type=int, default=240, help="pixels of a photo on the sheet")
    parser.add_argument("--max-bytes", type=int, nargs="*", help="a row for each limit")
    parser.add_argument("--model", nargs="+", default=["xs"], help="each with its own files")
    args = parser.parse_args()
    codecs = {name: titokzip.load(name) for name in args.model}
    rates = [Rate(max_bytes=n) for n in args.max_bytes or []] or [Rate()]
    files = sorted(f for f in args.folder.iterdir() if f.suffix in (".png", ".webp", ".jpg"))
    if args.only:
        files = [f for f in files if any(part in f.stem for part in args.only)]
    photos = {file.stem: Image.open(file).convert("RGB") for file in files}
    cells = [stacked(codecs, photo, name, rates, args.width) for name, photo in photos.items()]
    cells.sort(key=lambda cell: cell.height)  # upright photos last: lines stay even
    lines = [cells[i : i + args.columns] for i in range(0, len(cells), args.columns)]
    heights = [max(cell.height for cell in line) + GAP for line in lines]
    sheet = Image.new("RGB", (args.columns * (args.width + GAP) - GAP, sum(heights)), "white")
    for i, line in enumerate(lines):
        for j, cell in enumerate(line):
            sheet.paste(cell, (j * (args.width + GAP), sum(heights[:i])))
    sheet.save(args.out, quality=88, method=6)
    print(f"{args.out}: {sheet.width} x {sheet.height}, {args.out.stat().st_size:,} bytes")


def stacked(
    codecs: dict[str, Codec], photo: Image.Image, name: str, rates: list[Rate], width: int
) -> Image.Image:
    """Stack a photo and what each codec decodes at each rate, a line of words below each."""
    rows = [(photo, f"{name}, {photo.width} x {photo.height}")]
    for rate in rates:
        for model, codec in codecs.items():
            data = codec.compress(plain(photo), rate)
            by = f", {model}" if len(codecs) > 1 else ""
            rows.append((codec.decompress(data), f"{len(data):,} bytes{by}"))
    height = round(width * photo.height / photo.width)
    picture = Image.new("RGB", (width, len(rows) * (height + LABEL)), "white")
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(13)
    for i, (image, words) in enumerate(rows):
        top = i * (height + LABEL)
        picture.paste(image.resize((width, height), Image.Resampling.LANCZOS), (0, top))
        draw.text((width // 2, top + height + 2), words, "black", font, anchor="ma")
    return picture


if __name__ == "__main__":
    main()
