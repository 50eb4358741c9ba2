"""How fast: stage by stage, at batch 1 and at the best batch, beside the device's matmul peak.

Every time is of one picture after warm-up, the device synchronised at the end of each stage.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from itertools import cycle, islice
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from titokzip import images, tiling
from titokzip.bench.datasets import Dataset
from titokzip.bitstream import container
from titokzip.codec import Codec
from titokzip.errors import ModelError, TitokzipError
from titokzip.images import InputImage
from titokzip.rate_control import Rate
from titokzip.tiling import Grid
from titokzip.tiling.lapped import Tiles

BATCHES = {"cpu": (1, 16), "mps": (1, 16, 64), "cuda": (1, 16, 64, 256)}  # tiles
_PHOTOS = 4
_ROUNDS, _ENOUGH = (2, 24), 4.0  # timed rounds of a batch at the least and most; seconds of them
_PEAK_SIDE = 1024
_NETWORK = ("tokenize", "network and join")
_ALONE = """
import sys
from titokzip.codec import Codec
codec = Codec.load({!r}, {!r})
print(flush=True)
from titokzip.bench.throughput import there_and_back
print(there_and_back(codec, sys.stdin.buffer.read()))
"""
Stages = dict[str, dict[str, float]]  # seconds by direction and stage


def measure(codec: Codec, model: str, dataset: Dataset, rate: Rate) -> dict[str, Any] | None:
    """Time the first photos of a data set; None if none of them can be read."""
    files = [data for item in dataset.items[:_PHOTOS] if (data := _png(item, dataset)) is not None]
    if not files:
        return None
    quality = rate if rate.max_bytes is None else Rate()
    batches = {
        batch: _at(replace(codec, batch=batch), files, quality) for batch in BATCHES[codec.device]
    }
    best = min(batches, key=lambda batch: _seconds(batches[batch]))
    peak = matmul_peak(codec.device)
    start, memory = alone(model, codec.device, files[0])
    return {
        "rate": f"quality {quality.quality:g}" if quality.quality else "default quality",
        "photos": len(files),
        "batch_1": batches[1],
        "best_batch": best,
        "best": batches[best],
        "matmul_peak_gflops": peak / 1e9,
        "matmul_share": network_share(codec, peak, 16 if codec.device == "cpu" else 64),
        "outside_networks": 1 - _seconds(batches[best], _NETWORK) / _seconds(batches[best]),
        "peak_memory_mb": memory,
        "start_seconds": start,
    }


def matmul_peak(device: str) -> float:
    """Measure the device's float32 matmul speed in FLOP/s: the best of some."""
    a = torch.rand(_PEAK_SIDE, _PEAK_SIDE, device=device)
    return 2 * _PEAK_SIDE**3 / min(_timed(lambda: a @ a, device)[1] for _ in range(8))


@torch.inference_mode()
def network_share(codec: Codec, peak: float, batch: int) -> dict[str, float]:
    """Share of the matmul peak that the networks reach at a batch of tiles, by direction."""
    tokenizer, device = codec.model.tokenizer, codec.device
    tiles = torch.rand(batch, 3, tokenizer.size, tokenizer.size, device=device)
    tokens = tokenizer.encode(tiles)
    stages: dict[str, Callable[[], Any]] = {
        "encode": lambda: tokenizer.encode(tiles),
        "decode": lambda: tokenizer.decode_pixels(tokenizer.decode_features(tokens)),
    }
    shares = {"batch": float(batch)}
    for name, stage in stages.items():
        with FlopCounterMode(display=False) as counter:
            stage()
        seconds = min(_timed(stage, device)[1] for _ in range(3))
        shares[name] = counter.get_total_flops() / seconds / peak
    return shares


def _png(item: Any, dataset: Dataset) -> bytes | None:
    try:
        image = item.load(dataset.protocol).image
    except (TitokzipError, OSError):
        return None
    file = BytesIO()
    image.save(file, "PNG", compress_level=1)
    return file.getvalue()


def _at(codec: Codec, files: list[bytes], rate: Rate) -> dict[str, Any]:
    """Time both directions; at a batch of 1, one picture at a time, else all of them together."""
    group = 1 if codec.batch == 1 else len(files)
    rounds: list[Stages] = []
    pixels, spent = 0, 0.0
    turns = cycle(files)
    _round(codec, list(islice(turns, group)), rate)  # the warm-up
    while len(rounds) < _ROUNDS[0] or (len(rounds) < _ROUNDS[1] and spent < _ENOUGH):
        seconds, pixels_now = _round(codec, list(islice(turns, group)), rate)
        rounds.append(seconds)
        pixels += pixels_now
        spent += sum(sum(stages.values()) for stages in seconds.values())
    return {
        direction: _figures(
            [{stage: s / group for stage, s in one[direction].items()} for one in rounds],
            pixels / group,
        )
        for direction in rounds[0]
    }


def _round(codec: Codec, files: list[bytes], rate: Rate) -> tuple[Stages, int]:
    """Compress and decompress files once; seconds, and pixels."""
    device = codec.device
    photos, load = _timed(lambda: [images.read(BytesIO(f)) for f in files], device)
    grids = [rate.grid(*p.image.size) for p in photos]
    cut, tile = _timed(
        lambda: [_cut(codec, *both) for both in zip(photos, grids, strict=True)], device
    )
    tokens, tokenize = _timed(lambda: codec.tokenize(r for rows in cut for r in rows), device)
    own = np.split(tokens, np.cumsum([grid.tiles for grid in grids])[:-1])
    data, write = _timed(
        lambda: [codec.write(p, g, t) for p, g, t in zip(photos, grids, own, strict=True)], device
    )
    contents, unpack = _timed(lambda: [container.unpack(d) for d in data], device)
    _, pack = _timed(lambda: [container.pack(c.header, c.payloads) for c in contents], device)
    read, entropy = _timed(lambda: [(c.header, codec.read(c)) for c in contents], device)
    _, paint = _timed(lambda: list(codec.paint_all(read)), device)
    encode = {"load": load, "tile": tile, "tokenize": tokenize}
    encode |= {"entropy": max(write - pack, 0), "container": pack}  # `write` does both
    decode = {"container": unpack, "entropy": entropy, "network and join": paint}
    pixels = sum(p.image.width * p.image.height for p in photos)
    return {"encode": encode, "decode": decode}, pixels


def _cut(codec: Codec, picture: InputImage, grid: Grid) -> list[Tiles]:
    tokenizer = codec.model.tokenizer
    size = tokenizer.size
    image = tiling.resample(picture.image, grid.columns * size, grid.rows * size)
    return list(tiling.split(np.asarray(image), size, tokenizer.overlap))


def _seconds(figures: dict[str, Any], only: tuple[str, ...] | None = None) -> float:
    """Sum up the stages of both directions, or some of them."""
    stages = [stage for direction in figures.values() for stage in direction["stages"].items()]
    return float(sum(seconds for name, seconds in stages if only is None or name in only))


def _figures(rounds: list[dict[str, float]], pixels: float) -> dict[str, Any]:
    """Sum up seconds a picture by stage, and pixels of all rounds' pictures."""
    totals = [sum(stages.values()) for stages in rounds]
    median = float(np.median(totals))
    return {
        "rounds": len(rounds),
        "median_seconds": median,
        "p95_seconds": float(np.percentile(totals, 95)),
        "pictures_per_second": 1 / median,
        "megapixels_per_second": pixels / sum(totals) / 1e6,
        "stages": {key: float(np.median([stages[key] for stages in rounds])) for key in rounds[0]},
    }


def _timed(function: Callable[[], Any], device: str) -> tuple[Any, float]:
    begun = time.perf_counter()
    value = function()
    if device == "cuda":
        torch.cuda.synchronize()
    elif device == "mps":
        torch.mps.synchronize()
    return value, time.perf_counter() - begun


def alone(model: str, device: str, file: bytes) -> tuple[float, float | None]:
    """Code one picture in a new process: seconds until the model is ready, and peak megabytes.

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
        code = process.returncode
        raise ModelError(
            f"coding one picture by itself ended with {code}; --no-speed leaves it out"
        )
    return ready, json.loads(said)


def there_and_back(codec: Codec, file: bytes) -> str:
    """Compress and decompress a picture; peak megabytes as JSON."""
    codec.decompress(codec.compress(images.read(BytesIO(file)).image))
    return json.dumps(_memory(codec.device))


def _memory(device: str) -> float | None:
    """Peak megabytes: of the process, or of the GPU."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
