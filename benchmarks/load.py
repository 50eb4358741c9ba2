"""Measure how a large released model loads: seconds, and peak memory.

Random weights of the right shapes are written in the official layout and read once, so that they
are in the disk cache. Then each of several new processes loads them. The seconds are those of
`zoo.load`, the memory that of the whole process, torch included, after every weight was read. Linux
reports it.

    python benchmarks/load.py [RELEASE] [--folder DIR] > benchmarks/results/load-titok-l32.json

For titok-l32, the default, the weights take 2.6 GB until they are deleted again.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import save_file

from titokzip import zoo
from titokzip.bench import report
from titokzip.tokenizers.titok.checkpoint import released_name
from titokzip.tokenizers.titok.network import TiTok
from titokzip.zoo import installed

_LOAD = """
import re, sys, time
from pathlib import Path
import torch
from titokzip import zoo
manifest = zoo.find(sys.argv[1])
begun, worked = time.perf_counter(), time.process_time()
model = zoo.load(manifest)
loaded, worked = time.perf_counter(), time.process_time() - worked
for tensor in model.tokenizer.state_dict().values():
    tensor.sum()  # the file is mapped: what is not read yet is read now
read = time.perf_counter()
peak = 1024 * int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
print(loaded - begun, worked, read - begun, peak)
"""


def make(name: str, folder: Path) -> None:
    """Write random weights of a release, a tensor at a time."""
    with torch.device("meta"):
        shapes = TiTok(zoo.RELEASES[name].config).state_dict()
    save_file(
        {released_name(key): 0.02 * torch.randn(t.shape) for key, t in shapes.items()},
        folder / "model.safetensors",
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("release", nargs="?", default="titok-l32")
    parser.add_argument("--folder", type=Path, help="where the weights are written and deleted")
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        folder = Path(name)
        make(args.release, folder)
        manifest = installed.install(
            folder / "model.model.json",
            zoo.RELEASES[args.release],
            folder / "model.safetensors",
        )
        runs = [_run(manifest) for _ in range(args.runs)]
    size = manifest.config["bytes"]
    print(
        json.dumps(
            {
                "release": args.release,
                "bytes": size,
                "environment": report.environment("cpu"),
                "load_seconds": round(statistics.median(run[0] for run in runs), 2),
                "load_processor_seconds": round(statistics.median(run[1] for run in runs), 2),
                "load_and_read_all_seconds": round(statistics.median(run[2] for run in runs), 2),
                "peak_over_weights": round(max(run[3] for run in runs) / size, 3),
            },
            indent=1,
        )
    )


def _run(manifest: zoo.Manifest) -> list[float]:
    command = [sys.executable, "-c", _LOAD, str(manifest.path)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return [float(number) for number in done.stdout.split()]


if __name__ == "__main__":
    main()
