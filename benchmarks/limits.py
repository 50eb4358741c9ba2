"""Show what goes wrong: a face from a folder of photos, and a page of text that is drawn here.

python benchmarks/limits.py DIR/kodim04.webp --out docs/limits.webp
"""

import argparse
from pathlib import Path

from contact_sheet import GAP, stacked
from PIL import Image, ImageDraw, ImageFont

import titokzip
from titokzip.rate_control import Rate

WORDS = (
    "A codec of so few bytes keeps what an image shows, not what it says. Letters become strokes: "
    "what you read below is what is left of lines of text. Send text as text; it is smaller, too."
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("face", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    codec = titokzip.load()
    face = Image.open(args.face).convert("RGB")
    face = face.crop((0, 64, 512, 576)).resize((512, 512))
    cells = [
        stacked({"xs": codec}, image, name, [Rate(max_bytes=400)], 400)
        for image, name in ((face, "a face"), (page(512), "a page of text"))
    ]
    sheet = Image.new("RGB", (sum(c.width + GAP for c in cells) - GAP, cells[0].height), "white")
    for i, cell in enumerate(cells):
        sheet.paste(cell, (i * (cell.width + GAP), 0))
    sheet.save(args.out, quality=88, method=6)


def page(side: int) -> Image.Image:
    image = Image.new("RGB", (side, side), "#fbfaf5")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(30)
    lines, line = [], ""
    for word in WORDS.split():
        if draw.textlength(f"{line} {word}", font) > side - 60:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    draw.multiline_text((30, 40), "\n".join([*lines, line]), "#222222", font, spacing=14)
    return image


if __name__ == "__main__":
    main()
