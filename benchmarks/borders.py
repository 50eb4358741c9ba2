"""Look for borders of blocks: steps between pixels by their place in a block, over the mean step.

python benchmarks/borders.py $DATA/kodak > benchmarks/results/borders.json

A block has another size in every file, eight pixels of its working image. Steps between columns
and between rows are sorted into bins by their place in a block, and averaged over photos. If
borders showed, one bin would stand out. Photos are few, so some bin always does: what chance gives
is found by moving each photo by a random number of pixels.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import titokzip
from titokzip.bench.report import environment
from titokzip.bitstream import container
from titokzip.images import read
from titokzip.rate_control import Rate
from titokzip.transform.working_size import working_blocks

BINS = 8  # places in a block
EDGE = 8  # steps that are left out on each side: some photos have frames
BESIDE = 6  # steps on either side
KERNEL = np.ones(2 * BESIDE + 1) / (2 * BESIDE + 1)
MOST = 3.0  # of a step over those beside it: a line that was drawn is no border
CHANCES = 50
Steps = tuple[NDArray[np.float64], float]  # of an image along an axis, and pixels of a block


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--bytes", type=int, nargs="+", default=[140, 400, 1700])
    parser.add_argument("-m", "--model", default="xs")
    args = parser.parse_args()
    codec = titokzip.load(args.model)
    paths = [path for folder in args.folders for path in sorted(folder.iterdir()) if path.is_file()]
    steps: dict[int, list[Steps]] = {size: [] for size in args.bytes}
    for number, path in enumerate(paths, 1):
        image = read(path)
        for size in args.bytes:
            data = codec.compress(image, Rate(max_bytes=size))
            steps[size] += both_ways(codec.decompress(data).convert("L"), data)
        print(f"\r{number} of {len(paths)}", end="", file=sys.stderr)
    result = {
        "model": args.model,
        "images": len(paths),
        "worst": {size: compared(rows) for size, rows in steps.items()},
        "environment": environment("cpu"),
    }
    print(json.dumps(result, indent=1))


def both_ways(image: Image.Image, data: bytes) -> list[Steps]:
    """Give the steps between columns and between rows, each over the mean of those beside it."""
    layout = container.unpack(data).header.layout
    rows, columns = working_blocks(*image.size, layout.blocks)
    luma = np.asarray(image, np.float64)
    found = []
    for turned, blocks in ((luma, columns), (luma.T, rows)):
        pitch = turned.shape[1] / blocks if layout.blocks else 8.0
        steps = np.abs(np.diff(turned, axis=1)).mean(axis=0)
        around = np.convolve(np.pad(steps, BESIDE, mode="reflect"), KERNEL, mode="valid")
        found.append((np.minimum(steps / np.maximum(around, 1e-3), MOST), pitch))
    return found


def compared(rows: list[Steps]) -> dict[str, float]:
    """Find the worst step, and the worst ones of chance."""
    random = np.random.default_rng(0)
    chance = [
        worst([(np.roll(steps, random.integers(steps.size)), pitch) for steps, pitch in rows])
        for _ in range(CHANCES)
    ]
    most = [one["step"] for one in chance]
    return worst(rows) | {"chance_mean": float(np.mean(most)), "chance_most": max(most)}


def worst(rows: list[Steps]) -> dict[str, float]:
    """Find the place in a block whose mean step is the largest over the mean of all places."""
    total, count = np.zeros(BINS), np.zeros(BINS)
    for steps, pitch in rows:
        at = np.arange(EDGE, steps.size - EDGE)
        places = ((at + 1) % pitch / pitch * BINS + 0.5).astype(int) % BINS  # 0: at the border
        total += np.bincount(places, steps[at], minlength=BINS)
        count += np.bincount(places, minlength=BINS)
    means = total / np.maximum(count, 1)
    return {"step": float(means.max() / means.mean()), "place": int(means.argmax())}


if __name__ == "__main__":
    main()
