"""Images that are mostly text and lines, for `graphics.py`: charts, pages, screens."""

import numpy as np
from lettering import BLACK, WHITE, WORDS, canvas, smoothed, write
from PIL import Image


def bar_chart() -> Image.Image:
    image, draw = canvas(640, 480)
    for i in range(6):
        y = 400 - 60 * i
        draw.line((70, y, 610, y), fill=(222, 226, 230))
        write(draw, (24, y - 4), f"{20 * i}", (73, 80, 87), 1)
    heights = (120, 210, 180, 300, 95, 250)
    colours = ((28, 126, 214), (232, 89, 12), (47, 158, 68))
    for i, height in enumerate(heights):
        for j, colour in enumerate(colours):
            left = 90 + 88 * i + 22 * j
            draw.rectangle((left, 400 - height + 30 * j, left + 20, 400), fill=colour)
        write(draw, (100 + 88 * i, 412), f"Q{i + 1}", BLACK, 2)
    write(draw, (180, 24), "BYTES A MONTH", BLACK, 3)
    return image


def line_chart() -> Image.Image:
    def make(k: int) -> Image.Image:
        image, draw = canvas(640 * k, 400 * k)
        draw.rectangle((60 * k, 30 * k, 620 * k, 350 * k), outline=BLACK, width=k)
        x = np.arange(57)
        for i, colour in enumerate(((214, 51, 108), (28, 126, 214), (47, 158, 68))):
            y = 320 - 230 * (1 - np.exp(-x / (8 + 6 * i))) - 12 * np.sin(x / (2 + i))
            points = [((60 + 10 * a) * k, float(b) * k) for a, b in zip(x, y, strict=True)]
            draw.line(points, fill=colour, width=2 * k)
        for i in range(8):
            write(draw, ((56 + 80 * i) * k, 362 * k), str(i), BLACK, 2 * k)
        return image

    return smoothed(make, 640, 400)


def text_page() -> Image.Image:
    image, draw = canvas(600, 800, (252, 252, 250))
    write(draw, (60, 50), "ON SMALL FILES", BLACK, 4)
    for i in range(44):
        write(
            draw, (60, 110 + 15 * i), WORDS[i % 4][: 40 - i % 7], (33, 37, 41), 2 if i < 10 else 1
        )
    return image


def terminal() -> Image.Image:
    image, draw = canvas(800, 480, (12, 12, 12))
    colours = ((204, 204, 204), (19, 161, 14), (97, 214, 214), (231, 72, 86))
    for i in range(27):
        write(draw, (10, 8 + 17 * i), "$ " + WORDS[(3 * i) % 4], colours[i * i % 4], 2)
    return image


def window() -> Image.Image:
    image, draw = canvas(768, 512, (0, 120, 140))
    draw.rectangle((60, 40, 700, 470), fill=(243, 243, 243), outline=(120, 120, 120))
    draw.rectangle((60, 40, 700, 70), fill=(0, 84, 166))
    write(draw, (72, 50), "SETTINGS", WHITE, 2)
    for i in range(3):
        draw.rectangle((620 + 26 * i, 47, 640 + 26 * i, 63), outline=WHITE)
    for i in range(9):
        y = 92 + 40 * i
        draw.rectangle((80, y, 96, y + 16), fill=WHITE, outline=(90, 90, 90))
        if i % 2:
            draw.line((83, y + 8, 87, y + 13, 94, y + 3), fill=(0, 84, 166), width=2)
        write(draw, (108, y + 2), WORDS[i % 4][:26], (20, 20, 20), 2)
    draw.rounded_rectangle((560, 424, 680, 454), 4, fill=(0, 84, 166))
    write(draw, (598, 432), "OK", WHITE, 2)
    return image


def ruled() -> Image.Image:
    image, draw = canvas(512, 384)
    for y in range(0, 384, 8):
        draw.line((0, y, 511, y), fill=(70, 130, 200))
    draw.line((60, 0, 60, 383), fill=(220, 60, 60), width=2)
    for i in range(6):
        write(draw, (80, 33 + 56 * i), WORDS[i % 4][:24], (20, 20, 90), 3)
    return image


def diagram() -> Image.Image:
    image, draw = canvas(720, 360)
    names = ("IMAGE", "TOKENS", "BYTES", "FILE")
    for i, name in enumerate(names):
        left = 30 + 175 * i
        draw.rectangle((left, 140, left + 130, 220), fill=(231, 245, 255), outline=(28, 126, 214))
        write(draw, (left + 65 - 9 * len(name), 170), name, BLACK, 3)
        if i < 3:
            draw.line((left + 130, 180, left + 175, 180), fill=BLACK, width=2)
            draw.polygon([(left + 175, 180), (left + 163, 174), (left + 163, 186)], fill=BLACK)
    return image
