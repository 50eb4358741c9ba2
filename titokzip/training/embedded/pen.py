"""What drawn training images are drawn with: random colours, words, fonts and places."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from PIL import ImageFont

Colour = tuple[int, ...]
Fonts = Sequence[Path]
_WORDS: Final = (
    "the of image codec and rate bytes loss a in transform light sum map value river 2024 17 3.5 % "
    "total open save file edit View Help market share year Q1 Q2 error warning ok kernel signal "
    "window title page section figure table index water wind sun city road time home about login "
    "next cancel apply settings"
)


@dataclass(frozen=True)
class Pen:
    """What draws: the random numbers and the fonts."""

    random: np.random.Generator
    fonts: Fonts

    def colour(self) -> Colour:
        """Draw a colour: saturated, grey, white, black, web-safe or any."""
        kind, random = int(self.random.integers(6)), self.random
        if kind == 1:
            return (int(random.integers(256)),) * 3
        if kind in (2, 3):
            return (255,) * 3 if kind == 2 else (0,) * 3
        levels = {0: [0, 255], 4: [0, 51, 102, 153, 204, 255]}.get(kind)
        return tuple(int(x) for x in random.choice(levels or 256, 3))

    def contrast(self, with_: Colour) -> Colour:
        """Draw a colour that differs from another."""
        for _ in range(20):
            colour = self.colour()
            if sum(abs(a - b) for a, b in zip(colour, with_, strict=True)) > 150:
                return colour
        return tuple(255 - level for level in with_)

    def words(self, count: int) -> str:
        """Draw words."""
        return " ".join(self.random.choice(_WORDS.split(), max(1, count)))

    def font(self, size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
        """Draw a font: Pillow's own or one of the given."""
        pick = int(self.random.integers(len(self.fonts) + 1))
        if pick:
            return ImageFont.truetype(str(self.fonts[pick - 1]), max(6, int(size)))
        return ImageFont.load_default(max(6, int(size)))

    def chance(self, share: float) -> bool:
        """Draw whether something happens."""
        return bool(self.random.random() < share)

    def count(self, least: int, most: int) -> int:
        """Draw a whole number, `most` excluded."""
        return int(self.random.integers(least, most))

    def points(self, count: int, width: int, height: int) -> list[tuple[float, float]]:
        """Draw points."""
        places = self.random.uniform(0, 1, (count, 2)) * (width, height)
        return [(float(x), float(y)) for x, y in places]
