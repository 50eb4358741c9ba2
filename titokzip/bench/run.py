"""Go through the photos of a data set, and write a line of results for each.

Photos are read ahead and rivals are searched in threads, while our codec takes batches on the
calling one. A photo's line is written when all about it is known, so a run that was killed goes on
at the photos that have none; nothing is held but what is under way.
"""

import json
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from titokzip import container
from titokzip.bench.codecs import ImageCodec
from titokzip.bench.datasets import Dataset, Item
from titokzip.bench.frechet import Stores
from titokzip.bench.metrics import ms_ssim, psnr
from titokzip.bench.networks import Distance, Extractor, Features
from titokzip.codec import Codec
from titokzip.errors import PictureError, TitokzipError
from titokzip.pictures import Picture
from titokzip.prefetch import ahead
from titokzip.rate import Rate

OURS = "titokzip"
KEPT = 1000  # photos whose files stay, and whose rows are in the result
LOSSLESS = 100.0  # dB written for a picture that came back as it was
Line = dict[str, Any]  # one photo's results
A = TypeVar("A")
B = TypeVar("B")


@dataclass(frozen=True)
class Point:
    """An operating point: a quality of ours, whose bytes rivals get, or bytes for everybody."""

    value: float
    in_bytes: bool = False

    @property
    def name(self) -> str:
        """Name it, as q50 or 96B."""
        return f"{self.value:g}B" if self.in_bytes else f"q{self.value:g}"

    @property
    def rate(self) -> Rate:
        """What our codec is asked for."""
        return Rate(max_bytes=int(self.value)) if self.in_bytes else Rate(quality=self.value)


@dataclass(frozen=True)
class Plan:
    """What is measured, of which photos, by which codecs."""

    dataset: Dataset
    points: tuple[Point, ...]
    rivals: tuple[ImageCodec, ...]
    distances: tuple[Distance, ...] = ()
    extractors: tuple[Extractor, ...] = ()
    workers: int = 2

    @cached_property
    def kept(self) -> frozenset[str]:
        """Photos whose files stay on disk: the first ones of a huge data set."""
        return frozenset(item.name for item in self.dataset.items[:KEPT])


@dataclass(frozen=True)
class Coded:
    """A photo after our codec: for each point the file and what it decodes to, or why not."""

    photo: Picture
    files: list[bytes | TitokzipError]
    decoded: list[Image.Image | None]


def run(plan: Plan, codec: Codec, folder: Path) -> Iterator[Line]:
    """Measure the photos that have no line yet; yield every line, old ones first."""
    journal = folder / "rows.jsonl"
    done: set[str] = set()
    counts: dict[str, list[int]] = {}
    for line in lines(journal):
        done.add(line["photo"])
        for name, (rows, width) in line.get("features", {}).items():
            counts[name] = [counts.get(name, [0])[0] + rows, width]
        yield line
    stores = Stores(folder / "features", counts)
    todo = (item for item in plan.dataset.items if item.name not in done)
    with ThreadPoolExecutor(plan.workers) as pool, journal.open("ab") as file:
        for line, features in _measured(plan, codec, folder, todo, pool):
            stores.append(features)
            file.write(json.dumps(line, allow_nan=False).encode() + b"\n")
            file.flush()
            yield line


def lines(journal: Path) -> Iterator[Line]:
    """Read the whole lines of a journal, and cut off what a killed run left of one."""
    journal.touch()
    whole = 0
    with journal.open("rb") as file:
        for raw in file:
            if not raw.endswith(b"\n"):
                break
            whole += len(raw)
            yield json.loads(raw)
    if whole < journal.stat().st_size:
        with journal.open("r+b") as file:
            file.truncate(whole)


def _measured(
    plan: Plan, codec: Codec, folder: Path, todo: Iterable[Item], pool: ThreadPoolExecutor
) -> Iterator[tuple[Line, dict[tuple[str, str], Features]]]:
    def load(item: Item) -> tuple[Item, Picture | Exception]:
        try:
            return item, item.load(plan.dataset.protocol)
        except (PictureError, OSError) as error:
            return item, error

    waiting: deque[Future[tuple[Line, dict[tuple[str, str], Features]]]] = deque()
    for group in _groups(ahead(pool, load, todo, 2 * plan.workers), plan.workers):
        photos = [photo for _, photo in group if isinstance(photo, Picture)]
        coded = iter(_coded(codec, photos, plan.points))
        for item, photo in group:
            if isinstance(photo, Picture):
                waiting.append(pool.submit(measure, plan, folder, item.name, next(coded)))
            else:
                waiting.append(pool.submit(_broken, item.name, photo))
        while len(waiting) > 2 * plan.workers:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _broken(name: str, error: Exception) -> tuple[Line, dict[tuple[str, str], Features]]:
    return {"photo": name, "broken": str(error)}, {}


def _coded(codec: Codec, photos: list[Picture], points: Iterable[Point]) -> list[Coded]:
    """Compress and decompress photos at every point, tiles batched across photos."""
    coded = [Coded(photo, [], []) for photo in photos]
    for point in points:
        files = list(codec.compress_all(photos, point.rate))
        whole = [container.unpack(data) for data in files if isinstance(data, bytes)]
        painted = codec.paint_all([(c.header, codec.read(c)) for c in whole])
        for one, data in zip(coded, files, strict=True):
            one.files.append(data)
            one.decoded.append(next(painted) if isinstance(data, bytes) else None)
    return coded


def measure(
    plan: Plan, folder: Path, name: str, coded: Coded
) -> tuple[Line, dict[tuple[str, str], Features]]:
    """Measure all codecs on one photo; its line, and features by (extractor, codec and point)."""
    image = coded.photo.image
    original = np.asarray(image)
    rows: list[Line] = []
    features = {(e.name, "reference"): e(original) for e in plan.extractors}

    def add(row: Line, decoded: Image.Image | None) -> None:
        pixels = None if decoded is None else np.asarray(decoded.convert("RGB"))
        if pixels is not None:
            row |= {"psnr": min(psnr(original, pixels), LOSSLESS)}
            row |= {"ms_ssim": ms_ssim(original, pixels)}
            row |= {d.name: d(original, pixels) for d in plan.distances}
        rows.append(row)
        for extractor in plan.extractors:
            empty = np.full_like(features[extractor.name, "reference"], np.nan)
            key = extractor.name, f"{row['codec']}.{row['point']}"
            features[key] = empty if pixels is None else extractor(pixels)

    for point, data, decoded in zip(plan.points, coded.files, coded.decoded, strict=True):
        own = data if isinstance(data, bytes) else None
        row: Line = {"codec": OURS, "point": point.name} | _stored(
            plan, folder, name, point, ".ttk", own
        )[0]
        if own is not None:
            contents = container.unpack(own)
            row |= {"header": len(own) - sum(map(len, contents.payloads))}
            row |= {"tiles": contents.header.grid.tiles, "tokens": contents.header.tokens}
        add(_with_bpp(row, image), decoded)
        budget = int(point.value) if point.in_bytes else len(own or b"")
        for rival in plan.rivals:
            made = rival.encode(image, budget)
            facts, read = _stored(plan, folder, name, point, rival.suffix, made)
            row = {"codec": rival.name, "point": point.name, "budget": budget} | facts
            add(_with_bpp(row, image), None if read is None else rival.decode(read, image.size))
    line: Line = {"photo": name, "width": image.width, "height": image.height, "rows": rows}
    if plan.extractors:
        line["features"] = {
            e.name: list(features[e.name, "reference"].shape) for e in plan.extractors
        }
    return line, features


def file_of(folder: Path, photo: str, point: str, suffix: str) -> Path:
    """Name the file of a photo at a point."""
    return folder / "files" / f"{photo}.{point}{suffix}"


def _stored(
    plan: Plan, folder: Path, name: str, point: Point, suffix: str, data: bytes | None
) -> tuple[Line, bytes | None]:
    """Write a file, count its bytes on disk and read it back."""
    if data is None:
        return {"bytes": None}, None
    path = file_of(folder, name, point.name, suffix)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    size, read = path.stat().st_size, path.read_bytes()
    if name not in plan.kept:
        path.unlink()
    return {"bytes": size}, read


def _with_bpp(row: Line, image: Image.Image) -> Line:
    size = row["bytes"]
    return row | {"bpp": None if size is None else 8 * size / (image.width * image.height)}


def _groups(many: Iterable[A], size: int) -> Iterator[list[A]]:
    group: list[A] = []
    for one in many:
        group.append(one)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group
