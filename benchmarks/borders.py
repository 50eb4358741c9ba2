"""Look for borders: steps between pixels at any phase of any period, over those beside them.

python benchmarks/borders.py $DATA/kodak $DATA/cq100 > benchmarks/results/borders.json

A grid of tiles or blocks shows as steps that are larger wherever a column of pixels is at the same
phase of some period. Photos are few, so some phase always stands out: what chance gives is found
by moving each photo by a random number of pixels, which no grid survives.
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
from titokzip.images import read
from titokzip.rate_control import Rate

PERIODS = range(8, 257)
EDGE = 8  # steps that are left out on each side: some photos have frames
BESIDE = 6  # steps on either side
KERNEL = np.ones(2 * BESIDE + 1) / (2 * BESIDE + 1)
MOST = 3.0  # of a step over those beside it: a line that was drawn is no border
CHANCES = 20
Steps = NDArray[np.float64]


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
            decoded = codec.decompress(codec.compress(image, Rate(max_bytes=size)))
            steps[size] += both_ways(decoded.convert("L"))
        print(f"\r{number} of {len(paths)}", end="", file=sys.stderr)
    result = {
        "model": args.model,
        "images": len(paths),
        "worst": {size: compared(rows) for size, rows in steps.items()},
        "environment": environment("cpu"),
    }
    print(json.dumps(result, indent=1))


def both_ways(image: Image.Image) -> list[Steps]:
    """Give the steps between columns and between rows, each over the mean of those beside it."""
    luma = np.asarray(image, np.float64)
    found = []
    for turned in (luma, luma.T):
        steps = np.abs(np.diff(turned, axis=1)).mean(axis=0)[EDGE:-EDGE]
        around = np.convolve(np.pad(steps, BESIDE, mode="reflect"), KERNEL, mode="valid")
        found.append(np.minimum(steps / np.maximum(around, 1e-3), MOST))
    return found


def compared(rows: list[Steps]) -> dict[str, float]:
    """Find the worst step, and the worst ones of chance."""
    random = np.random.default_rng(0)
    chance = [
        worst([np.roll(row, random.integers(row.size)) for row in rows])["step"]
        for _ in range(CHANCES)
    ]
    return worst(rows) | {"chance_mean": float(np.mean(chance)), "chance_most": max(chance)}


def worst(rows: list[Steps]) -> dict[str, float]:
    """Find the period and phase whose mean step is the largest over the mean of all phases."""
    longest = max(map(len, rows))
    total, count = np.zeros(longest), np.zeros(longest)
    for row in rows:
        total[: row.size] += row
        count[: row.size] += 1
    found = {"step": 0.0}
    for period in PERIODS:
        phases = np.arange(longest) % period
        means = np.bincount(phases, total) / np.bincount(phases, count)
        step = float(means.max() / means.mean())
        if step > found["step"]:
            found = {"step": step, "period": period, "phase": int(means.argmax())}
    return found


if __name__ == "__main__":
    main()
