"""Where the photos of a data set are, in the layouts in which people have them.

A data set is a folder with photos at any depth (flat, or ImageFolder's a folder a class), a folder
with tar shards of photos (WebDataset), one tar, or one photo. Labels are not needed.
"""

import hashlib
import random
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

from PIL import Image

from titokzip import images
from titokzip.errors import TitokzipError

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".avif", ".bmp", ".tif", ".tiff", ".ppm"}
SAMPLES = (
    "astronaut.png", "camera.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg",
)  # fmt: skip


class DatasetError(TitokzipError):
    """A data set is not here, or holds no photo."""


@dataclass(frozen=True)
class Place:
    """Where a well-known data set usually lies, and where it comes from."""

    folders: tuple[str, ...]  # below the data root; the first is the one to recommend
    source: str


PLACES = {
    "imagenet-val": Place(
        (
            "imagenet/val",
            "imagenet-val",
            "ILSVRC2012_img_val",
            "ILSVRC2012_img_val.tar",
            "imagenet/ILSVRC2012_img_val.tar",
            "ILSVRC/Data/CLS-LOC/val",
            "val",
        ),
        "https://image-net.org (ILSVRC2012 validation images, 6.3 GB, free account)",
    ),
    "kodak": Place(("kodak", "Kodak", "kodak.tar"), "https://r0k.us/graphics/kodak (24 photos)"),
    "clic": Place(
        ("clic2020/test", "clic2020", "clic", "CLIC2020", "clic.tar"),
        "https://clic.compression.cc (CLIC 2020 test, professional and mobile)",
    ),
    "div2k": Place(
        ("DIV2K_valid_HR", "DIV2K/DIV2K_valid_HR", "div2k", "div2k.tar"),
        "https://data.vision.ee.ethz.ch/cvl/DIV2K (DIV2K_valid_HR.zip)",
    ),
}


@dataclass(frozen=True)
class Protocol:
    """What is done to a photo before anything is measured, and to what our codec paints."""

    resize: int | None = None  # shorter side in pixels, bicubic
    crop: int | None = None  # side of the centre square in pixels
    truncate: bool = False  # what is painted to 8 bits, as TiTok's evaluator does; else rounded

    def apply(self, image: Image.Image) -> Image.Image:
        """Resize, then crop."""
        if self.resize is not None:
            scale = self.resize / min(image.size)
            size = [max(self.resize, round(side * scale)) for side in image.size]
            image = image.resize((size[0], size[1]), Image.Resampling.BICUBIC)
        if self.crop is not None:
            left, top = (image.width - self.crop) // 2, (image.height - self.crop) // 2
            image = image.crop((left, top, left + self.crop, top + self.crop))
        return image

    def __str__(self) -> str:
        steps = [f"shorter side {self.resize} bicubic"] if self.resize else []
        steps += [f"centre crop {self.crop}"] if self.crop else []
        steps = steps or ["full resolution"]
        return ", ".join([*steps, "painted pixels truncated"] if self.truncate else steps)


@dataclass(frozen=True)
class Item:
    """One photo of a data set: a file, or a stretch of a tar."""

    name: str
    path: Path
    offset: int = 0
    size: int = -1  # bytes; -1 is all of the file

    def read(self) -> bytes:
        """Read the bytes of the photo's file."""
        with self.path.open("rb") as file:
            file.seek(self.offset)
            return file.read(self.size)

    def load(self, protocol: Protocol) -> images.InputImage:
        """Open the photo and bring it under the protocol, transparency laid on white.

        Raises:
            ImageError: it is broken.
        """
        picture = images.read(BytesIO(self.read()), "white")
        image = protocol.apply(picture.image)
        image.info = {}  # a profile that Pillow carries along would cost some rivals their bytes
        return images.InputImage(image, picture.grey)


@dataclass(frozen=True)
class Dataset:
    """The photos to measure, in a fixed order."""

    name: str
    items: list[Item] = field(repr=False)
    protocol: Protocol

    @property
    def digest(self) -> str:
        """SHA-256 of the list of photos: their names and bytes' numbers, in order."""
        hasher = hashlib.sha256()
        for item in self.items:
            size = item.path.stat().st_size if item.size < 0 else item.size
            hasher.update(f"{item.name} {size}\n".encode())
        return hasher.hexdigest()

    @cached_property
    def contents(self) -> str:
        """SHA-256 of all bytes of all photos, which takes as long as reading them."""
        hasher = hashlib.sha256()
        for item in self.items:
            try:
                data = item.read()
            except OSError:
                data = b""  # the run will name it as broken
            hasher.update(f"{item.name} {len(data)}\n".encode() + data)
        return hasher.hexdigest()


def find(
    name: str,
    root: Path | None = None,
    limit: int | None = None,
    seed: int = 0,
    protocol: Protocol | None = None,
) -> Dataset:
    """Find a data set by its name below `root`, or by its path; `limit` draws that many at random.

    Raises:
        DatasetError: it is not here, or holds no photo; the line says where to get and put it.
    """
    items = _samples() if name == "samples" else list(_items(_path(name, root)))
    if not items:
        raise DatasetError(f"{_path(name, root)}: no photos and no tar of photos in there")
    if limit is not None and limit < len(items):
        chosen = random.Random(seed).sample(range(len(items)), limit)
        items = [items[i] for i in sorted(chosen)]
    return Dataset(
        name if name in {*PLACES, "samples"} else Path(name).resolve().name,
        items,
        protocol or Protocol(),
    )


def _path(name: str, root: Path | None) -> Path:
    if name not in PLACES:
        path = Path(name)
        if not path.exists():
            known = ", ".join(["samples", *PLACES])
            raise DatasetError(f"{name}: no such data set ({known}), and no such folder")
        return path
    place = PLACES[name]
    root = root or Path("data")
    for folder in place.folders:
        if (root / folder).exists():
            return root / folder
    raise DatasetError(
        f"{name} is not in {root}: get it from {place.source} and put it into"
        f" {root / place.folders[0]}, or name another root by --data-root or TITOKZIP_DATA"
    )


def _items(path: Path) -> Iterator[Item]:
    if path.suffix == ".tar":
        yield from _members(path, "")
    elif path.is_file():
        yield Item(path.name, path)
    else:
        files = sorted(f for f in path.rglob("*") if f.is_file() and not f.name.startswith("."))
        for file in files:
            inside = file.relative_to(path).as_posix()
            if file.suffix.lower() in SUFFIXES:
                yield Item(inside, file)
            elif file.suffix == ".tar":
                yield from _members(file, f"{inside}/")


def _members(path: Path, prefix: str) -> Iterator[Item]:
    """List the photos of a tar; their bytes are read later, by their place in it."""
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                if member.isfile() and Path(member.name).suffix.lower() in SUFFIXES:
                    inside = "/".join(p for p in Path(member.name).parts if p not in ("/", ".."))
                    yield Item(prefix + inside, path, member.offset_data, member.size)
    except tarfile.TarError as error:
        raise DatasetError(f"{path}: not a tar that can be read ({error})") from error


def _samples() -> list[Item]:
    spec = find_spec("skimage")  # found, not imported: that would take a second
    if spec is None or not spec.submodule_search_locations:
        raise DatasetError("the samples are inside scikit-image: pip install scikit-image")
    folder = Path(spec.submodule_search_locations[0]) / "data"
    return [Item(name, folder / name) for name in SAMPLES if (folder / name).exists()]
