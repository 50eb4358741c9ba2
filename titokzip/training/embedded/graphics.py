"""Drawn training images: text, charts, logos, screens, line art, patterns, gradients, scenes.

Photos alone would teach the context model and the decoder network nothing about sharp edges, flat
colours and small text.
"""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Final

import numpy as np
from PIL import Image, ImageDraw

from titokzip.training.embedded.pen import Colour, Fonts, Pen

LEAST, MOST = 96, 560  # sides in pixels
_LANCZOS = Image.Resampling.LANCZOS


def draw(random: np.random.Generator, fonts: Fonts = ()) -> Image.Image:
    """Draw an image of mode RGB, sides 96 to 560 pixels, at most three to one."""
    pen = Pen(random, fonts)
    width, height = (int(side) for side in np.exp(random.uniform(np.log(LEAST), np.log(MOST), 2)))
    if max(width, height) > 3 * min(width, height):
        height = width
    image = _KINDS[pen.count(0, len(_KINDS))](pen, width, height)
    return image.convert("L").convert("RGB") if pen.chance(0.08) else image


def _text(pen: Pen, width: int, height: int) -> Image.Image:
    """Draw lines of text, in one colour or as a terminal shows them."""
    ground = (255, 255, 255) if pen.chance(0.5) else pen.colour()
    image, drawing = _canvas(width, height, ground)
    size, y = pen.count(8, 28), pen.count(2, 20)
    font, terminal = pen.font(size), pen.chance(0.4)
    colours = [pen.contrast(ground) for _ in range(4 if terminal else 1)]
    while y < height:
        x: float = 4 + 2 * size * (terminal and pen.chance(0.4))
        if not terminal and pen.chance(0.12):
            heading = size * pen.random.uniform(1.3, 2.4)
            drawing.text((x, y), pen.words(3), pen.contrast(ground), pen.font(heading))
            y += int(size * 1.3)
        for _ in range(pen.count(0, 7) if terminal else 1):
            words = pen.words(pen.count(1, 3) if terminal else width // (3 * size)) + " "
            drawing.text((x, y), words, colours[pen.count(0, len(colours))], font)
            x += drawing.textlength(words, font)
        y += int(size * (1.35 + pen.chance(0.12)))
    return image


def _chart(pen: Pen, width: int, height: int) -> Image.Image:
    """Draw bars, curves, dots or a pie, with axes and a title."""
    ground = (255, 255, 255) if pen.chance(0.7) else pen.colour()
    image, drawing = _canvas(width, height, ground)
    ink, font = pen.contrast(ground), pen.font(max(8, height // 24))
    left, right, top, bottom = width * 0.12, width * 0.95, height * 0.1, height * 0.88
    w, h = right - left, bottom - top
    for i in range(6):
        y = bottom - h * i / 5
        drawing.line((left, y, right, y), tuple((a + 3 * b) // 4 for a, b in zip(ink, ground)))  # noqa: B905
        drawing.text((2, y - 6), str(i * pen.count(1, 30)), ink, font)
    drawing.line((left, top, left, bottom, right, bottom), ink, pen.count(1, 3))
    kind = pen.count(0, 4)
    if kind == 0:
        count = pen.count(3, 14)
        for i in range(count):
            x, y = left + w * (i + 0.15) / count, bottom - h * pen.random.random()
            drawing.rectangle((x, y, x + 0.7 * w / count, bottom), pen.colour())
    elif kind == 1:
        for _ in range(pen.count(1, 5)):
            walk = np.cumsum(pen.random.normal(size=pen.count(5, 60)))
            walk = (walk - walk.min()) / (np.ptp(walk) + 1e-6)
            xs = np.linspace(left, right, len(walk))
            curve = [(float(x), float(y)) for x, y in zip(xs, bottom - h * walk, strict=True)]
            drawing.line(curve, pen.contrast(ground), pen.count(1, 4))
    elif kind == 2:
        for x, y in pen.points(pen.count(20, 200), int(w), int(h)):
            drawing.circle((left + x, top + y), pen.random.uniform(1, 5), pen.contrast(ground))
    else:
        angles = np.cumsum(pen.random.uniform(15, 120, 24))
        for start, end in pairwise(angles):
            if start < angles[0] + 360:
                end = min(end, angles[0] + 360)
                box = (width * 0.25, height * 0.15, width * 0.25 + h * 0.9, height * 0.15 + h * 0.9)
                drawing.pieslice(box, start, end, pen.colour())
    drawing.text((width // 3, 3), pen.words(3), ink, pen.font(max(9, height // 16)))
    return image


def _logo(pen: Pen, width: int, height: int) -> Image.Image:
    """Draw a few shapes and a word, smooth or with hard edges."""
    w, h = 3 * width, 3 * height
    ground = pen.colour()
    image, drawing = _canvas(w, h, ground)
    for x, y in pen.points(pen.count(1, 8), w, h):
        a, b = pen.random.uniform(0.05, 0.4, 2) * (w, h)
        box, colour, kind = (x - a, y - b, x + a, y + b), pen.colour(), pen.count(0, 5)
        if kind == 0:
            drawing.ellipse(box, colour)
        elif kind == 1:
            drawing.rectangle(box, colour)
        elif kind == 2:
            drawing.polygon(pen.points(pen.count(3, 7), w, h), colour)
        elif kind == 3:
            start, end = pen.random.uniform(0, 360, 2)
            drawing.arc(box, start, end, colour, pen.count(4, 40))
        else:
            drawing.rounded_rectangle(box, min(a, b) / 2, colour, pen.colour(), pen.count(0, 20))
    if pen.chance(0.7):
        font = pen.font(h * pen.random.uniform(0.1, 0.3))
        place = (w * 0.1, h * pen.random.uniform(0.2, 0.7))
        drawing.text(place, pen.words(1), pen.contrast(ground), font)
    return image.resize((width, height), _LANCZOS if pen.chance(0.7) else Image.Resampling.BOX)


def _screen(pen: Pen, width: int, height: int) -> Image.Image:
    """Draw windows with something in them."""
    grounds = [(240, 240, 240), (32, 33, 36), (255, 255, 255), pen.colour()]
    image, drawing = _canvas(width, height, grounds[pen.count(0, 4)])
    for _ in range(pen.count(1, 5)):
        x, y = pen.count(0, width * 2 // 3), pen.count(0, height * 2 // 3)
        w, h = pen.count(width // 4, width), pen.count(height // 4, height)
        bar = pen.colour()
        image.paste((_text, _chart, _gradient)[pen.count(0, 3)](pen, w, h), (x, y + 18))
        drawing.rectangle((x, y, x + w, y + 18), bar)
        drawing.text((x + 5, y + 3), pen.words(2), pen.contrast(bar), pen.font(11))
        drawing.rectangle((x, y, x + w, y + h + 18), outline=(90, 90, 90))
        for i in range(3):
            drawing.circle((x + w - 16 * i - 10, y + 9), 4, pen.colour())
    return image


def _lines(pen: Pen, width: int, height: int) -> Image.Image:
    """Draw strokes, rings or closed curves, smooth."""
    w, h, ground = 2 * width, 2 * height, pen.colour()
    image, drawing = _canvas(w, h, ground)
    ink, kind = pen.contrast(ground), pen.count(0, 3)
    if kind == 0:
        for _ in range(pen.count(5, 60)):
            colour = ink if pen.chance(0.7) else pen.contrast(ground)
            drawing.line(pen.points(pen.count(2, 5), w, h), colour, pen.count(1, 7))
    elif kind == 1:
        (centre,), pitch = pen.points(1, w, h), pen.random.uniform(5, 40)
        for i in range(1, 40):
            drawing.circle(centre, pitch * i, outline=ink, width=pen.count(1, 6))
    else:
        at = np.linspace(0, 2 * math.pi, 400)
        for _ in range(pen.count(1, 6)):
            x = width * (1 + 0.9 * np.sin(pen.count(1, 7) * at + pen.random.uniform(0, 6)))
            y = height * (1 + 0.9 * np.sin(pen.count(1, 7) * at))
            curve = [(float(a), float(b)) for a, b in zip(x, y, strict=True)]
            drawing.line(curve, pen.contrast(ground), pen.count(2, 8))
    return image.resize((width, height), _LANCZOS)


def _pattern(pen: Pen, width: int, height: int) -> Image.Image:
    """Draw checks, stripes, grids or steps, down to single pixels."""
    y, x = np.mgrid[:height, :width]
    period, other = (int(n) for n in pen.random.integers(1, 65, 2))
    colours = np.array([pen.colour() for _ in range(pen.count(2, 12))], np.uint8)
    chosen = [
        (x // period + y // period) % 2,
        (x // period) % 2,
        (y // period) % 2,
        ((x % period < max(1, period // 8)) | (y % other < max(1, other // 8))).astype(int),
        (x + y) // period % 2,
        x * len(colours) // width,
        y * len(colours) // height,
    ][pen.count(0, 7)]
    return Image.fromarray(colours[chosen])


def _gradient(pen: Pen, width: int, height: int) -> Image.Image:
    """Draw a ramp between two colours: straight, round or wavy, at times in steps."""
    y, x = np.mgrid[:height, :width] / max(width, height)
    a, b = pen.random.normal(size=2)
    kind = pen.count(0, 3)
    ramp = (a * x + b * y, np.hypot(x - a, y - b), np.sin(6 * a * x + 3) * np.cos(6 * b * y))[kind]
    ramp = ((ramp - ramp.min()) / (np.ptp(ramp) + 1e-6))[..., None]
    if pen.chance(0.3):
        ramp = np.floor(ramp * 6) / 6
    pixels = np.array(pen.colour()) * (1 - ramp) + np.array(pen.colour()) * ramp
    return Image.fromarray(pixels.round().clip(0, 255).astype(np.uint8))


def _scene(pen: Pen, width: int, height: int) -> Image.Image:
    """Draw a cartoon: sky, hills, houses and trees."""
    w, h = 2 * width, 2 * height
    image = _gradient(pen, w, h)
    drawing, outline = ImageDraw.Draw(image), (0, 0, 0) if pen.chance(0.5) else None
    for i in range(pen.count(1, 4)):
        wave = 0.5 + 0.12 * i + 0.12 * np.sin(np.arange(13) * pen.random.uniform(0.3, 1))
        ridge = [(w * j / 12, h * float(level)) for j, level in enumerate(wave)]
        drawing.polygon([(0, h), *ridge, (w, h)], pen.colour(), outline)
    for x, y in pen.points(pen.count(1, 9), w, h):
        y, s, colour = 0.4 * h + y / 2, pen.random.uniform(0.05, 0.2) * w, pen.colour()
        if pen.chance(0.5):
            roof = [(x - s / 5, y - s), (x + s / 2, y - 1.6 * s), (x + 1.2 * s, y - s)]
            drawing.rectangle((x, y - s, x + s, y), colour, outline)
            drawing.polygon(roof, pen.colour(), outline)
        else:
            drawing.rectangle((x - s / 10, y - s, x + s / 10, y), (90, 60, 30))
            drawing.ellipse((x - s / 2, y - 1.8 * s, x + s / 2, y - 0.8 * s), colour, outline)
    return image.resize((width, height), _LANCZOS)


def _canvas(width: int, height: int, ground: Colour) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new("RGB", (width, height), ground)
    return image, ImageDraw.Draw(image)


_KINDS: Final[tuple[Callable[[Pen, int, int], Image.Image], ...]] = (
    _text, _text, _chart, _logo, _screen, _lines, _pattern, _gradient, _scene,
)  # fmt: skip
