"""Training images by number: photos, drawn images, and how each is reduced and quantised.

All that is random about an image follows from its number, so parts of a data set can be made at
different times, in any number of processes.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from titokzip import images
from titokzip.errors import ImageError
from titokzip.tokenizers.embedded.quantizer import FINEST_STEP, STEPS_PER_OCTAVE
from titokzip.training.data.sources import Entry, Source, Split
from titokzip.training.embedded import graphics
from titokzip.transform import planes as conversion
from titokzip.transform.lapped import SIDE
from titokzip.transform.planes import Planes
from titokzip.transform.working_size import largest

HELD_OUT: Final = 0.025  # share of the photos
HELD_OUT_NUMBERS: Final = 10_000_000  # held-out images have numbers from here on
# The step that is usual at a shorter side of the working image, measured on photos.
_SIDES = np.log2([24, 48, 128, 192, 256, 320, 512])
_USUAL_STEPS = np.log2([230, 205, 165, 136, 122, 110, 106])


@dataclass(frozen=True)
class Settings:
    """Which working sizes and steps are drawn; ranges are of log-uniform distributions."""

    sides: tuple[float, float]  # pixels of the shorter side
    spread: float = 0.4  # octaves, of steps around the usual one
    fine_share: float = 0.0  # of images that are quantised finely, at these sides and steps
    fine_sides: tuple[float, float] = (128, 288)
    fine_steps: tuple[float, float] = (4, 100)
    steps: tuple[float, float] | None = None  # instead of steps around the usual one
    most: float = 1.0  # of the source's shorter side
    graphics_share: float = 0.2
    sharp_share: float = 0.0  # of drawn images that are cut instead of reduced
    cut_share: float = 0.0  # of images that are cut before they are reduced
    grey_share: float = 0.0
    salt: int = 7  # what tells the numbers of one kind of data from those of another

    def draw(self, random: np.random.Generator, source: int) -> tuple[float, int]:
        """Draw a shorter side, at most that of the source, and a step index."""
        source_side = source * self.most
        side = min(source_side, _log_uniform(random, *self.sides))
        if self.steps:
            return side, step_index(_log_uniform(random, *self.steps))
        usual = float(np.interp(np.log2(side), _SIDES, _USUAL_STEPS))
        if random.random() >= self.fine_share:
            return side, step_index(2 ** (usual + random.normal() * self.spread))
        side = max(side, min(source_side, _log_uniform(random, *self.fine_sides)))
        return side, step_index(_log_uniform(random, *self.fine_steps))


DECODER: Final = Settings((36, 400), 0.4, 0.18, sharp_share=0.5)
# Photos at half their size or less, with steps that are usual for larger images: what decoding at
# twice the working size learns from.
REDUCED: Final = Settings((96, 148), steps=(60, 190), most=0.5, graphics_share=0.0, salt=8)
CONTEXT: Final = Settings(
    (24, 420), 0.45, 0.2, (64, 288), (1.5, 100), cut_share=0.15, grey_share=0.06, salt=11
)


def step_index(step: float) -> int:
    """Give the index of the quantisation step that is nearest to one."""
    return int(np.clip(round(STEPS_PER_OCTAVE * np.log2(step / FINEST_STEP)), 0, 255))


@dataclass(frozen=True)
class Drawn:
    """A training image and how it is to be coded."""

    name: str
    is_photo: bool
    image: Image.Image  # RGB
    blocks: int  # along the shorter side of the working image; 0 keeps the image's size
    step: int  # index
    grey: bool  # code luma alone

    def working_planes(self) -> Planes:
        """Give the planes [C, H, W] of the working image."""
        planes = conversion.to_planes(np.asarray(self.image))
        reduced = conversion.reduce(planes, self.blocks, self.image.size)
        return reduced[:1] if self.grey else reduced


class Images:
    """Photos and drawn images, by number."""

    def __init__(
        self, photos: Sequence[Entry], settings: Settings, fonts: Sequence[Path] = ()
    ) -> None:
        self.photos, self.settings, self.fonts = photos, settings, tuple(fonts)

    def __call__(self, number: int) -> Drawn:
        """Draw an image.

        Raises:
            ImageError: its photo cannot be read.
        """
        how, random = self.settings, np.random.default_rng([self.settings.salt, number])
        is_photo = random.random() >= how.graphics_share
        if is_photo:
            entry = self.photos[int(random.integers(len(self.photos)))]
            name, image = entry.key, _read(entry)
            if random.random() < 0.5:
                image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        else:
            name, image = f"graphic-{number}", graphics.draw(random, self.fonts)
        if random.random() < how.cut_share:
            image = _window(image, random)
        side, step = how.draw(random, min(image.size))
        blocks = int(np.clip(round(side / SIDE), 1, max(largest(*image.size), 1)))
        if not is_photo and random.random() < how.sharp_share and min(image.size) >= SIDE:
            image, blocks = _corner(image, blocks), 0
        return Drawn(name, is_photo, image, blocks, step, bool(random.random() < how.grey_share))


def find_photos(
    paths: Sequence[Path], pattern: str = "", held_out: float = HELD_OUT
) -> tuple[list[Entry], list[Entry]]:
    """List the photos of folders and tar shards: those to train on, and those held out.

    `pattern` is as in `Split`: its group names the source that several photos are crops of.

    Raises:
        ImageError: there are no photos, or none on one of the sides.
    """
    source, split = Source(paths), Split(held_out, pattern)
    entries = [entry for shard in range(len(source)) for entry in source.entries(shard)]
    kept = [entry for entry in entries if not split.held_out(entry.key)]
    held = [entry for entry in entries if split.held_out(entry.key)]
    if not kept or not held:
        raise ImageError(f"{len(held)} of {len(entries)} photos are held out: there are too few")
    return kept, held


def _window(image: Image.Image, random: np.random.Generator) -> Image.Image:
    """Cut a window out at random, of 0.3 to 0.9 of both sides."""
    share = random.uniform(0.3, 0.9)
    width, height = (max(SIDE, int(side * share)) for side in image.size)
    left = int(random.integers(max(image.width - width, 0) + 1))
    top = int(random.integers(max(image.height - height, 0) + 1))
    return image.crop((left, top, left + width, top + height))


def _corner(image: Image.Image, blocks: int) -> Image.Image:
    """Cut the top left corner out, of about the size of a working image, in whole blocks."""
    short = min(image.size)
    width, height = (
        SIDE * min(side // SIDE, max(1, round(blocks * side / short)), 40) for side in image.size
    )
    return image.crop((0, 0, width, height))


def _read(entry: Entry) -> Image.Image:
    try:
        return images.read(io.BytesIO(entry.image.read()), background="white").image
    except (ImageError, OSError) as error:
        raise ImageError(f"{entry.key}: {error}") from error


def _log_uniform(random: np.random.Generator, least: float, most: float) -> float:
    return float(2 ** random.uniform(np.log2(least), np.log2(most)))
