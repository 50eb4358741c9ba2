"""Go through the images of a data set, and write a line of results for each.

Images are read ahead and baselines are searched in threads, while our models take batches on the
calling one. An image's line is written when all about it is known, so a run that was killed resumes
at the images that have none; nothing is held but what is under way.
"""

import json
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from titokzip.bench.datasets import Item
from titokzip.bench.frechet import Stores
from titokzip.bench.image_codec import Encoded
from titokzip.bench.measures import Measures
from titokzip.bench.metrics import Pixels
from titokzip.bench.networks import Extractor, Features
from titokzip.bench.plan import Plan, Point, file_of
from titokzip.errors import ImageError, ModelError
from titokzip.images import InputImage
from titokzip.runtime.grouping import in_groups
from titokzip.runtime.prefetch import ahead

Line = dict[str, Any]  # one image's results


@dataclass(frozen=True)
class Coded:
    """An image after our models: by model and point the file and what it decodes to, if any."""

    image: InputImage
    files: dict[tuple[str, Point], tuple[bytes, Image.Image] | None]


def run(plan: Plan, folder: Path) -> Iterator[Line]:
    """Measure the images that have no line yet; yield every line, old ones first."""
    journal = folder / "rows.jsonl"
    done: set[str] = set()
    counts: dict[str, list[int]] = {}
    for line in lines(journal):
        done.add(line["image"])
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
    read = ahead(pool, load, todo, 2 * plan.workers)
    for group in in_groups(read, lambda _: 1, plan.workers):
        images = [image for _, image in group if isinstance(image, InputImage)]
        coded = iter(_coded(plan, images))
        for item, image in group:
            if isinstance(image, InputImage):
                waiting.append(pool.submit(measure, plan, folder, item.name, next(coded)))
            else:
                waiting.append(pool.submit(_broken, item.name, image))
        while len(waiting) > 2 * plan.workers:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _broken(name: str, error: Exception) -> tuple[Line, dict[tuple[str, str], Features]]:
    return {"image": name, "broken": str(error)}, {}


def _coded(plan: Plan, images: list[InputImage]) -> list[Coded]:
    """Compress and decompress images by every model at every point, batched across images."""
    coded = [Coded(image, {}) for image in images]
    for name, model in plan.ours.items():
        for point in plan.points:
            files = list(model.encode(images, point.rate))
            decoded = model.decode([data for data in files if isinstance(data, bytes)])
            for one, data in zip(coded, files, strict=True):
                made = (data, next(decoded)) if isinstance(data, bytes) else None
                one.files[name, point] = made
    return coded


def measure(
    plan: Plan, folder: Path, name: str, coded: Coded
) -> tuple[Line, dict[tuple[str, str], Features]]:
    """Measure all codecs on one image; its line, and features by (extractor, codec and point)."""
    image = coded.image.image
    original = np.asarray(image)
    measures = Measures(plan, name, image)
    rows: list[Line] = []
    features = {
        (e.name, "reference"): e(original) for e in plan.extractors if e.name not in plan.references
    }
    shapes = {e.name: _shape(plan, e, original, features) for e in plan.extractors}
    for row, decoded in _rows(plan, folder, name, coded):
        size = row["bytes"]
        row["bpp"] = None if size is None else 8 * size / (image.width * image.height)
        pixels = None if decoded is None else decoded.convert("RGB")
        known = plan.earlier.measured(name, row, plan.distances) if plan.earlier else {}
        rows.append(row if pixels is None else row | measures.of(pixels, known))
        for e in plan.extractors:
            found = np.full(shapes[e.name], np.nan) if pixels is None else e(np.asarray(pixels))
            if found.shape != shapes[e.name]:
                raise ModelError(f"{e.name}: {found.shape} features, not {shapes[e.name]}")
            features[e.name, f"{row['codec']}.{row['point']}"] = found
    line: Line = {"image": name, "width": image.width, "height": image.height, "rows": rows}
    if coded.image.grey:
        line["grey"] = True
    if plan.extractors:
        line["features"] = {key: list(shape) for key, shape in shapes.items()}
    return line, features


def _rows(
    plan: Plan, folder: Path, name: str, coded: Coded
) -> Iterator[tuple[Line, Image.Image | None]]:
    """Give the facts of every codec's file at every point, and what it decodes to, if any.

    A greyscale image goes to the baselines with one channel, as our codec is told that it is grey.
    """
    image = coded.image.image.convert("L") if coded.image.grey else coded.image.image
    budgets = [_budget(plan, coded, point) for point in plan.points]
    if plan.earlier:
        plan.earlier.repeat(name, image, plan.baselines)
    made = {one.name: one.encode(image, budgets) for one in plan.baselines}
    for i, point in enumerate(plan.points):
        for own, model in plan.ours.items():
            data, decoded = coded.files[own, point] or (None, None)
            read = None if data is None else _stored(plan, folder, name, point, own, data)
            row: Line = {"codec": own, "point": point.name, "bytes": read and len(read)}
            facts = {} if read is None else {"file_bytes": len(read)} | model.facts(read)
            yield row | facts, decoded
        for one in plan.baselines:
            row = {"codec": one.name, "point": point.name, "budget": budgets[i]}
            encoded = made[one.name][i]
            if encoded is None:
                yield row | {"bytes": None}, None
                continue
            read = _stored(plan, folder, name, point, one.name, encoded.data)
            row |= {"bytes": one.compared_bytes(read), "file_bytes": len(read)}
            row |= {"coded": list(encoded.coded), "setting": encoded.setting}
            yield row, one.decode(_as_read(encoded, read), image.size)


def _as_read(encoded: Encoded, read: bytes) -> Encoded:
    return Encoded(read, encoded.coded, encoded.grey, encoded.setting)


def _budget(plan: Plan, coded: Coded, point: Point) -> int:
    """Bytes that baselines get: those of the point, or of our first model's file."""
    if point.in_bytes:
        return int(point.value)
    first = coded.files[next(iter(plan.ours)), point]
    return len(first[0]) if first else 0


def _shape(
    plan: Plan, one: Extractor, original: Pixels, features: dict[tuple[str, str], Features]
) -> tuple[int, ...]:
    """Tell the shape [n, D] of the features that every codec's version of an image has."""
    known = plan.references.get(one.name)
    if known is None:
        return features[one.name, "reference"].shape
    return one.patches(original), len(known.mean)


def _stored(plan: Plan, folder: Path, name: str, point: Point, codec: str, data: bytes) -> bytes:
    """Write a file, and read it back."""
    path = file_of(folder, name, point.name, plan.suffixes[codec])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    read = path.read_bytes()
    if name not in plan.kept:
        path.unlink()
    return read
