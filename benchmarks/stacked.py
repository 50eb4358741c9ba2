"""Stack pictures above one another, each with a line of words, as docs/training-64.webp has them.

python benchmarks/stacked.py --out docs/training-64.webp "words" a.png "more words" b.png
"""

import argparse
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

LABEL = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="+", help="words and a picture, by turns")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    words, paths = args.parts[::2], args.parts[1::2]
    pictures = [Image.open(path).convert("RGB") for path in paths]
    width = max(picture.width for picture in pictures)
    height = sum(picture.height + LABEL for picture in pictures)
    sheet, top = Image.new("RGB", (width, height), "white"), 0
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for line, picture in zip(words, pictures, strict=True):
        draw.text((2, top + 2), line, "black", font)
        sheet.paste(picture, (0, top + LABEL))
        top += LABEL + picture.height
    sheet.save(args.out, quality=90, method=6)


if __name__ == "__main__":
    main()
