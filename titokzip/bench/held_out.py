"""Whether the images of a well-known test set are the ones that nobody may tune on.

`held_out.json` lists their names and SHA-256. Pixels are hashed, not files: the same
photo is at hand as PNG, lossless WebP or PPM.
"""

import json
from importlib.resources import files
from io import BytesIO
from pathlib import Path

from PIL import Image

from titokzip.bench.cache import hash_of_pixels
from titokzip.bench.datasets import Dataset, Item
from titokzip.errors import ImageError


def listed(name: str) -> dict[str, str]:
    """Read the list of a data set: SHA-256 of pixels by name without suffix; empty if unknown."""
    found = json.loads(files("titokzip.bench").joinpath("held_out.json").read_text("utf-8"))
    return dict(found.get(name, {}))


def check(dataset: Dataset) -> str | None:
    """Say how the images differ from the list of their data set; None where they do not.

    A draw by `limit` is compared with that part of the list.
    """
    known = listed(dataset.name)
    if not known:
        return None
    other = [item.name for item in dataset.items if known.get(Path(item.name).stem) != _hash(item)]
    if not other:
        return None
    names = ", ".join(other[:3]) + (", ..." if len(other) > 3 else "")
    count = f"{len(other)} of {len(dataset.items)} images"
    return f"{count} are not those of the held-out list of {dataset.name}: {names}"


def hashes(dataset: Dataset) -> dict[str, str]:
    """Make the list of a data set."""
    return {Path(item.name).stem: _hash(item) for item in dataset.items}


def _hash(item: Item) -> str:
    try:
        with Image.open(BytesIO(item.read())) as image:
            return hash_of_pixels(image.convert("RGB"))
    except (OSError, ImageError, SyntaxError, ValueError):
        return ""
