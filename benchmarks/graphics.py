"""Draw the images of the fourth test set: what people compress that is no photo.

    python benchmarks/graphics.py FOLDER

Logos, charts, screens of text, cartoons, bars, checkers, line art, gradients, a map. Everything is
drawn here, and the same on every machine: glyphs are a 5 x 7 grid of our own, and nothing is random
but what a seeded generator gives.
"""

import sys
from pathlib import Path

import numpy as np
from lettering import BLACK, WHITE, WORDS, canvas, smoothed, write
from PIL import Image
from screens import bar_chart, diagram, line_chart, ruled, terminal, text_page, window


def logo() -> Image.Image:
    def make(k: int) -> Image.Image:
        image, draw = canvas(512 * k, 512 * k)
        draw.ellipse((56 * k, 56 * k, 456 * k, 456 * k), fill=(214, 51, 108))
        draw.ellipse((116 * k, 116 * k, 396 * k, 396 * k), fill=WHITE)
        draw.polygon([(256 * k, 90 * k), (420 * k, 400 * k), (92 * k, 400 * k)], fill=(16, 78, 139))
        write(draw, (166 * k, 300 * k), "TTK", WHITE, 10 * k)
        return image

    return smoothed(make, 512, 512)


def flat_logo() -> Image.Image:
    def make(k: int) -> Image.Image:
        image, draw = canvas(640 * k, 320 * k, (18, 20, 26))
        for i, colour in enumerate(((255, 203, 5), (0, 174, 219), (243, 119, 53), (0, 177, 89))):
            x, y = (60 + i % 2 * 90) * k, (70 + i // 2 * 90) * k
            draw.rounded_rectangle((x, y, x + 80 * k, y + 80 * k), 14 * k, fill=colour)
        write(draw, (280 * k, 120 * k), "ZIPPED", WHITE, 9 * k)
        write(draw, (282 * k, 200 * k), "SMALL IMAGES", (150, 156, 168), 4 * k)
        return image

    return smoothed(make, 640, 320)


def cartoon() -> Image.Image:
    def make(k: int) -> Image.Image:
        image, draw = canvas(512 * k, 384 * k, (142, 202, 230))
        draw.ellipse((390 * k, 30 * k, 470 * k, 110 * k), fill=(255, 209, 102))
        draw.polygon([(0, 300 * k), (140 * k, 140 * k), (280 * k, 300 * k)], fill=(82, 121, 111))
        draw.polygon(
            [(160 * k, 300 * k), (330 * k, 110 * k), (512 * k, 300 * k)], fill=(53, 79, 82)
        )
        draw.rectangle((0, 290 * k, 512 * k, 384 * k), fill=(106, 153, 78))
        face = (160 * k, 170 * k, 300 * k, 330 * k)
        draw.ellipse(face, fill=(255, 221, 187), outline=BLACK, width=4 * k)
        for x in (200, 250):
            draw.ellipse((x * k, 220 * k, (x + 16) * k, 246 * k), fill=BLACK)
        draw.arc((195 * k, 235 * k, 270 * k, 300 * k), 20, 160, fill=(190, 40, 50), width=5 * k)
        draw.pieslice((150 * k, 140 * k, 310 * k, 290 * k), 190, 350, fill=(90, 50, 30))
        return image

    return smoothed(make, 512, 384)


def flags() -> Image.Image:
    image, draw = canvas(600, 400)
    bands = (
        ((206, 17, 38), WHITE, (0, 48, 135)), ((0, 146, 70), WHITE, (206, 43, 55)),
        (BLACK, (221, 0, 0), (255, 206, 0)), ((252, 209, 22), (0, 56, 147), (206, 17, 38)),
    )  # fmt: skip
    for i, band in enumerate(bands):
        for j, colour in enumerate(band):
            x, y = i % 2 * 300, i // 2 * 200
            upright = (x + 100 * j, y, x + 100 * j + 99, y + 199)
            lying = (x, y + 67 * j, x + 299, min(y + 67 * j + 66, y + 199))
            draw.rectangle(upright if i < 2 else lying, fill=colour)
    return image


def colour_bars() -> Image.Image:
    image, draw = canvas(640, 360)
    bars = [(r, g, b) for g in (191, 0) for r in (191, 0) for b in (191, 0)]
    for i, colour in enumerate(bars):
        draw.rectangle((80 * i, 0, 80 * i + 79, 269), fill=colour)
    for i in range(16):
        draw.rectangle((40 * i, 270, 40 * i + 39, 359), fill=(17 * i,) * 3)
    return image


def checkers() -> Image.Image:
    y, x = np.mgrid[:384, :512]
    cells = ((x // 32 + y // 32) % 2).astype(bool)
    pixels = np.where(cells[..., None], (240, 217, 181), (181, 136, 99))
    return Image.fromarray(pixels.astype(np.uint8))


def line_art() -> Image.Image:
    def make(k: int) -> Image.Image:
        image, draw = canvas(512 * k, 512 * k)
        for i in range(40):
            angle, radius = i * 2.399963, 10 + 6 * i
            x, y = 256 + radius * np.cos(angle), 256 + radius * np.sin(angle)
            r = 6 + i / 2
            draw.ellipse(
                ((x - r) * k, (y - r) * k, (x + r) * k, (y + r) * k), outline=BLACK, width=k
            )
        for i in range(24):
            draw.line((256 * k, 256 * k, 512 * k * (i % 2), 21 * i * k), fill=(60, 60, 60), width=k)
        return image

    return smoothed(make, 512, 512)


def gradient() -> Image.Image:
    y, x = np.linspace(0, 255, 384)[:, None], np.linspace(0, 255, 512)[None]
    pixels = np.stack(np.broadcast_arrays(x, y, 255 - x), axis=2)
    return Image.fromarray(np.rint(pixels).astype(np.uint8))


def rainbow() -> Image.Image:
    hue = np.linspace(0, 6, 640, endpoint=False)[None, :, None]
    wheel = np.abs((hue + np.array([0, 4, 2])) % 6 - 3) - 1
    light = np.linspace(0, 1, 320)[:, None, None]
    colour = wheel.clip(0, 1)
    pixels = np.where(light < 0.5, 2 * light * colour, 1 - 2 * (1 - light) * (1 - colour))
    return Image.fromarray(np.rint(255 * pixels).astype(np.uint8))


def city_map() -> Image.Image:
    def make(k: int) -> Image.Image:
        image, draw = canvas(640 * k, 480 * k, (242, 239, 233))
        random = np.random.Generator(np.random.PCG64(7))
        draw.polygon(
            [
                *[(0, 330 * k), (200 * k, 290 * k), (420 * k, 380 * k), (640 * k, 340 * k)],
                *[(640 * k, 410 * k), (420 * k, 450 * k), (200 * k, 360 * k), (0, 400 * k)],
            ],
            fill=(170, 211, 223),
        )
        draw.rectangle((60 * k, 60 * k, 190 * k, 160 * k), fill=(200, 230, 190))
        for i in range(14):
            x, y = int(46 * i * k), int((34 * i + 8) * k)
            draw.line((x, 0, x + 60 * k, 480 * k), fill=(200, 200, 200), width=9 * k)
            draw.line((x, 0, x + 60 * k, 480 * k), fill=WHITE, width=6 * k)
            draw.line((0, y, 640 * k, y - 30 * k), fill=(247, 220, 130), width=(3 + i % 3 * 3) * k)
        for _ in range(18):
            x, y = (int(v) for v in random.integers(20, 440, 2))
            write(draw, (x * k, y * k), WORDS[x % 3].split()[y % 6], (90, 90, 90), 2 * k)
        return image

    return smoothed(make, 640, 480)


def pixel_art() -> Image.Image:
    random = np.random.Generator(np.random.PCG64(3))
    half = random.integers(0, 5, (16, 8))
    palette = np.array(
        [(26, 28, 44), (93, 39, 93), (177, 62, 83), (239, 125, 87), (255, 205, 117)], np.uint8
    )
    sprite = palette[np.concatenate([half, half[:, ::-1]], axis=1)]
    return Image.fromarray(sprite.repeat(24, axis=0).repeat(24, axis=1))


def rosette() -> Image.Image:
    y, x = np.mgrid[-256:256, -256:256] / 256
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    petals = np.cos(8 * angle) * 0.25 + 0.6 > radius
    pixels = np.where(petals[..., None], (148, 41, 131), (253, 246, 227))
    pixels[radius < 0.15] = (255, 205, 60)
    return Image.fromarray(pixels.astype(np.uint8))


DRAWN = (
    logo, flat_logo, bar_chart, line_chart, text_page, terminal, window, cartoon, flags,
    colour_bars, checkers, ruled, line_art, gradient, rainbow, city_map, diagram, pixel_art,
    rosette,
)  # fmt: skip


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for draw in DRAWN:
        draw().save(folder / f"{draw.__name__.replace('_', '-')}.png", optimize=True)


if __name__ == "__main__":
    main()
