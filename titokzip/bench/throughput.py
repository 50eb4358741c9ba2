"""How fast: images a second of every codec on this machine, and what share of it is arithmetic.

Times are of whole calls, pixels to file and file to pixels, after a warm-up and with the device
synchronised at both ends. Ours runs at batch 1 and with enough images to fill a batch; a baseline
runs one image at a time. Both are also told for each core that they may use.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from io import BytesIO
from typing import Any

import numpy as np
import torch
from PIL import Image

from titokzip.bench.downscale_search import Searched
from titokzip.bench.image_codec import ImageCodec
from titokzip.bench.ours import BATCHES, Ours
from titokzip.bench.plan import Plan, Point
from titokzip.errors import ModelError, TitokzipError
from titokzip.images import InputImage
from titokzip.images import read as read_image
from titokzip.rate_control import Rate
from titokzip.runtime.device import synchronize
from titokzip.runtime.matmul_peak import count_flops, matmul_peak

Line = dict[str, Any]
_IMAGES = 4  # of the data set, repeated where a batch takes more
_ROUNDS, _ENOUGH = (2, 24), 4.0  # timed rounds at the least and most; seconds that are enough
_ALONE = """
import sys
from titokzip.bench.ours import Ours
ours = Ours.load({!r}, {!r})
print(flush=True)
from titokzip.bench.throughput import there_and_back
print(there_and_back(ours, sys.stdin.buffer.read()))
"""


def measure(plan: Plan, point: Point) -> Line | None:
    """Time all codecs on the first images of a data set; None if none of them can be read."""
    images = _images(plan)
    if not images:
        return None
    from titokzip.runtime.cores import cores

    made: Line = {"images": len(images), "cores": cores(), "threads": torch.get_num_threads()}
    made["ours"] = {name: _of_ours(one, images, point) for name, one in plan.ours.items()}
    first = next(iter(plan.ours.values()))
    made["baselines"] = {
        one.name: of_baseline(one, images, _budgets(first, images, point)) for one in plan.baselines
    }
    return made


def _images(plan: Plan) -> list[InputImage]:
    found: list[InputImage] = []
    for item in plan.dataset.items[: 2 * _IMAGES]:
        try:
            found.append(item.load(plan.dataset.protocol))
        except (TitokzipError, OSError):
            continue
    return found[:_IMAGES]


def _budgets(first: Ours, images: Sequence[InputImage], point: Point) -> list[int]:
    if point.in_bytes:
        return [int(point.value)] * len(images)
    return [len(first.encode_one(image, point.rate)) for image in images]


def _of_ours(one: Ours, images: list[InputImage], point: Point) -> Line:
    """Time one of our models at every batch, and its networks beside the device's peak."""
    batches = {}
    for batch in BATCHES[one.device]:
        count = 1 if batch == 1 else one.images_per_batch(images[0], point.rate, batch)
        batches[batch] = _at(one.batched(batch), _repeated(images, count), point.rate)
    best = min(batches, key=lambda b: _seconds(batches[b]))
    start, memory = alone(one.model, one.device, _png(images[0].image))
    return {
        "point": point.name,
        "batch_1": batches[1],
        "best_batch": best,
        "best": batches[best],
        **_shares(one.batched(best), _repeated(images, batches[best]["images"]), point.rate),
        "peak_memory_mb": memory,
        "start_seconds": start,
    }


def _repeated(images: list[InputImage], count: int) -> list[InputImage]:
    """Take as many images as a batch needs, each one at least."""
    return (images * (count // len(images) + 1))[: max(count, 1)]


def _at(one: Ours, group: list[InputImage], rate: Rate) -> Line:
    files = [one.encode_one(image, rate) for image in group]
    return {
        "images": len(group),
        "encode": _timed(lambda: list(one.encode(group, rate)), group, one.device),
        "decode": _timed(lambda: list(one.decode(files)), group, one.device),
    }


def _shares(one: Ours, group: list[InputImage], rate: Rate) -> Line:
    """Share of the time inside the networks, and of the device's matmul rate that they reach.

    The peak is that of the networks' own precision. Where the networks are faster than any matmul
    that was timed, theirs is the peak: a share never exceeds one.
    """
    files = [one.encode_one(image, rate) for image in group]
    work: dict[str, Callable[[], object]] = {
        "encode": lambda: list(one.encode(group, rate)),
        "decode": lambda: list(one.decode(files)),
    }
    rates, inside = dict[str, float](), dict[str, float]()
    for name, call in work.items():
        operations = count_flops(call)
        with one.network_seconds(lambda: synchronize(one.device)) as seconds:
            begun = time.perf_counter()
            call()
            whole = time.perf_counter() - begun
        spent = sum(seconds)
        inside[name] = spent / whole
        rates[name] = operations / spent if spent else 0.0
    peak = max(matmul_peak(torch.device(one.device), one.dtype), *rates.values())
    return {
        "precision": str(one.dtype).removeprefix("torch."),
        "matmul_peak_gflops": peak / 1e9,
        "matmul_share": {name: rate / peak for name, rate in rates.items()},
        "inside_networks": inside,
    }


def of_baseline(
    codec: ImageCodec, images: Sequence[InputImage], budgets: Sequence[int]
) -> Line | None:
    """Time a baseline at the settings that its search found, without the search."""
    made = []
    for image, budget in zip(images, budgets, strict=True):
        grey = image.image.convert("L") if image.grey else image.image
        encoded = codec.encode(grey, [budget])[0]
        if encoded is not None:
            made.append((grey, encoded))
    if not made:
        return None
    sizes = [image for image, _ in made]
    line: Line = {"images": len(made)}
    if isinstance(codec, Searched):
        small = [
            (image.resize(encoded.coded, Image.Resampling.LANCZOS), float(encoded.setting))
            for image, encoded in made
        ]
        line["encode"] = _timed(lambda: [codec.save(*one) for one in small], sizes, "cpu")
    line["decode"] = _timed(
        lambda: [codec.decode(encoded, image.size) for image, encoded in made], sizes, "cpu"
    )
    return line


def _timed(work: Callable[[], object], group: Sequence[object], device: str) -> Line:
    """Time work on a group of images: seconds and images a second, for one image."""
    work()  # the warm-up
    rounds: list[float] = []
    while len(rounds) < _ROUNDS[0] or (len(rounds) < _ROUNDS[1] and sum(rounds) < _ENOUGH):
        synchronize(device)
        begun = time.perf_counter()
        work()
        synchronize(device)
        rounds.append(time.perf_counter() - begun)
    each = [seconds / len(group) for seconds in rounds]
    median = float(np.median(each))
    threads = torch.get_num_threads() if device == "cpu" else 1
    return {
        "rounds": len(rounds),
        "median_seconds": median,
        "p95_seconds": float(np.percentile(each, 95)),
        "images_per_second": 1 / median,
        "images_per_second_and_core": 1 / median / threads,
    }


def _seconds(figures: Line) -> float:
    return float(sum(figures[way]["median_seconds"] for way in ("encode", "decode")))


def _png(image: Image.Image) -> bytes:
    file = BytesIO()
    image.save(file, "PNG", compress_level=1)
    return file.getvalue()


def alone(model: str, device: str, file: bytes) -> tuple[float, float | None]:
    """Code one image in a new process: seconds until the model is ready, and peak megabytes.

    Raises:
        ModelError: the process failed.
    """
    command = [sys.executable, "-c", _ALONE.format(model, device)]
    begun = time.perf_counter()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        ready = time.perf_counter() - begun
        said, _ = process.communicate(file)
    if process.returncode:
        raise ModelError(f"coding one image by itself ended with {process.returncode}")
    return ready, json.loads(said)


def there_and_back(one: Ours, file: bytes) -> str:
    """Compress and decompress an image; peak megabytes as JSON."""
    list(one.decode([one.encode_one(read_image(BytesIO(file)), Rate())]))
    return json.dumps(_memory(one.device))


def _memory(device: str) -> float | None:
    """Peak megabytes: of the process, or of the GPU."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated() / 2**20
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
