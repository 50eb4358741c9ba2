"""Measure the training data loader: images a second, and whether memory stays flat.

    python benchmarks/streaming.py SHARD [--shards 1000] [--seconds 60] [--size 256] [--workers 2]

SHARD is one tar of images; it is linked under many names, so that 1,000 links to a shard of 1,000
images are a data set of a million. Prints a line of JSON: images a second, images seen, and the
resident memory in MiB of the process and its workers, at eight times of the run (Linux).
"""

import argparse
import json
import os
import sys
import tempfile
import time
from itertools import chain
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from titokzip.training.data.loader import ImageBatches, Loading
from titokzip.training.data.sources import Source

BATCH = 64
TIMES = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shard", type=Path)
    parser.add_argument("--shards", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for i in range(args.shards):
            (Path(folder) / f"shard-{i:06}.tar").symlink_to(args.shard.absolute())
        print(json.dumps(vars(args) | {"shard": args.shard.name} | measure(Path(folder), args)))


def measure(folder: Path, args: argparse.Namespace) -> dict[str, object]:
    loading = Loading(workers=args.workers, held_out=0.0)
    source = Source([folder], pieces=args.workers)
    batches = ImageBatches(source, loading, loading.crop(args.size), BATCH)
    next(batches)  # workers have started
    start, seen, memory = time.monotonic(), 0, list[int]()
    while (now := time.monotonic() - start) < args.seconds:
        next(batches)
        seen += BATCH
        if now >= args.seconds * len(memory) / TIMES:
            memory.append(resident())
    return {"images_a_second": round(seen / now, 1), "images": seen, "memory_mib": memory}


def resident() -> int:
    """Give the memory that this process and all under it have to themselves, in MiB."""
    return sum(map(private, [os.getpid(), *descendants(os.getpid())])) // 1024


def descendants(process: int) -> list[int]:
    tasks = Path(f"/proc/{process}/task").iterdir()
    own = [int(c) for c in chain(*((task / "children").read_text().split() for task in tasks))]
    return own + list(chain(*map(descendants, own)))


def private(process: int) -> int:
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))


if __name__ == "__main__":
    main()
