"""Go through the photos of a data set, and write a line of results for each.

Photos are read ahead and rivals are searched in threads, while our models take batches on the
calling one. A photo's line is written when all about it is known, so a run that was killed goes on
at the photos that have none; nothing is held but what is under way.
"""

import json
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from titokzip.bench.datasets import Item
from titokzip.bench.frechet import Stores
from titokzip.bench.metrics import Pixels, ms_ssim, psnr
from titokzip.bench.networks import Extractor, Features
from titokzip.bench.plan import Plan, Point, file_of
from titokzip.bitstream import container
from titokzip.errors import ImageError, ModelError
from titokzip.images import InputImage
from titokzip.runtime.prefetch import ahead

LOSSLESS = 100.0  # dB written for a picture that came back as it was
Line = dict[str, Any]  # one photo's results
A = TypeVar("A")


@dataclass(frozen=True)
class Coded:
    """A photo after our models: by model and point the file and what it decodes to, if any."""

    photo: InputImage
    files: dict[tuple[str, Point], tuple[bytes, Image.Image] | None]


def run(plan: Plan, folder: Path) -> Iterator[Line]:
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
        for line, features in _measured(plan, folder, todo, pool):
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
    plan: Plan, folder: Path, todo: Iterable[Item], pool: ThreadPoolExecutor
) -> Iterator[tuple[Line, dict[tuple[str, str], Features]]]:
    def load(item: Item) -> tuple[Item, InputImage | Exception]:
        try:
            return item, item.load(plan.dataset.protocol)
        except (ImageError, OSError) as error:
            return item, error

    waiting: deque[Future[tuple[Line, dict[tuple[str, str], Features]]]] = deque()
    for group in _groups(ahead(pool, load, todo, 2 * plan.workers), plan.workers):
        photos = [photo for _, photo in group if isinstance(photo, InputImage)]
        coded = iter(_coded(plan, photos))
        for item, photo in group:
            if isinstance(photo, InputImage):
                waiting.append(pool.submit(measure, plan, folder, item.name, next(coded)))
            else:
                waiting.append(pool.submit(_broken, item.name, photo))
        while len(waiting) > 2 * plan.workers:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _broken(name: str, error: Exception) -> tuple[Line, dict[tuple[str, str], Features]]:
    return {"photo": name, "broken": str(error)}, {}


def _coded(plan: Plan, photos: list[InputImage]) -> list[Coded]:
    """Compress and decompress photos by every model at every point, tiles batched across photos."""
    coded = [Coded(photo, {}) for photo in photos]
    for name, codec in plan.ours.items():
        for point in plan.points:
            files = list(codec.compress_all(photos, point.rate))
            whole = [container.unpack(data) for data in files if isinstance(data, bytes)]
            painted = codec.paint_all([(c.header, codec.read(c)) for c in whole])
            for one, data in zip(coded, files, strict=True):
                made = (data, next(painted)) if isinstance(data, bytes) else None
                one.files[name, point] = made
    return coded


def measure(
    plan: Plan, folder: Path, name: str, coded: Coded
) -> tuple[Line, dict[tuple[str, str], Features]]:
    """Measure all codecs on one photo; its line, and features by (extractor, codec and point)."""
    image = coded.photo.image
    original = np.asarray(image)
    rows: list[Line] = []
    features = {
        (e.name, "reference"): e(original) for e in plan.extractors if e.name not in plan.references
    }
    shapes = {e.name: _shape(plan, e, original, features) for e in plan.extractors}

    def add(row: Line, decoded: Image.Image | None) -> None:
        pixels = None if decoded is None else np.asarray(decoded.convert("RGB"))
        if pixels is not None:
            row |= {"psnr": min(psnr(original, pixels), LOSSLESS)}
            row |= {"ms_ssim": ms_ssim(original, pixels)}
            row |= {d.name: d(original, pixels) for d in plan.distances}
        rows.append(row)
        for e in plan.extractors:
            found = np.full(shapes[e.name], np.nan) if pixels is None else e(pixels)
            if found.shape != shapes[e.name]:
                raise ModelError(f"{e.name}: {found.shape} features, not {shapes[e.name]}")
            features[e.name, f"{row['codec']}.{row['point']}"] = found

    budgets = [_budget(plan, coded, point) for point in plan.points]
    made = {rival.name: rival.encode(image, budgets) for rival in plan.rivals}
    for i, point in enumerate(plan.points):
        for own in plan.ours:
            data, decoded = coded.files[own, point] or (None, None)
            facts, _ = _stored(plan, folder, name, point, own, data)
            row: Line = {"codec": own, "point": point.name} | facts
            if data is not None:
                contents = container.unpack(data)
                row |= {"header": len(data) - sum(map(len, contents.payloads))}
                row |= {"tiles": contents.header.grid.tiles, "tokens": contents.header.tokens}
            add(_with_bpp(row, image), decoded)
        for rival in plan.rivals:
            facts, read = _stored(plan, folder, name, point, rival.name, made[rival.name][i])
            row = {"codec": rival.name, "point": point.name, "budget": budgets[i]} | facts
            add(_with_bpp(row, image), None if read is None else rival.decode(read, image.size))
    line: Line = {"photo": name, "width": image.width, "height": image.height, "rows": rows}
    if plan.extractors:
        line["features"] = {key: list(shape) for key, shape in shapes.items()}
    return line, features


def _budget(plan: Plan, coded: Coded, point: Point) -> int:
    """Bytes that rivals get: those of the point, or of our first model's file."""
    if point.in_bytes:
        return int(point.value)
    first = coded.files[next(iter(plan.ours)), point]
    return len(first[0]) if first else 0


def _shape(
    plan: Plan, one: Extractor, original: Pixels, features: dict[tuple[str, str], Features]
) -> tuple[int, ...]:
    """Tell the shape [n, D] of the features that every codec's version of a photo has."""
    known = plan.references.get(one.name)
    if known is None:
        return features[one.name, "reference"].shape
    return one.patches(original), len(known.mean)


def _stored(
    plan: Plan, folder: Path, name: str, point: Point, codec: str, data: bytes | None
) -> tuple[Line, bytes | None]:
    """Write a file, count its bytes on disk and read it back."""
    if data is None:
        return {"bytes": None}, None
    path = file_of(folder, name, point.name, plan.suffixes[codec])
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
