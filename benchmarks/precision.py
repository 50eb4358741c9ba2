"""Measure what decoding in bfloat16 costs the embedded models in PSNR, and what it saves.

    python benchmarks/precision.py FOLDER... > benchmarks/results/precision.json

Each image is compressed once and decoded in float32 and in bfloat16. `between` is the PSNR of one
result against the other, `levels` the largest difference of a pixel, `change` the least and largest
gain of bfloat16 in PSNR against the original. Seconds are CPU time, in float32 and in bfloat16, of
all images, on one thread.
"""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from titokzip.bench import report
from titokzip.bench.metrics import psnr
from titokzip.codec import Codec

PRECISIONS = ("float32", "bfloat16")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER")
    parser.add_argument("--models", nargs="+", default=["xs", "xs-perceptual"])
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = [row for model in args.models for row in measured(model, args.folders)]
    told = {"schema": 1, "environment": report.environment("cpu"), "rows": rows}
    print(json.dumps(told, indent=1))


def measured(model: str, folders: list[Path]) -> Iterator[dict]:
    codecs = [Codec.load(model, "cpu", precision=precision) for precision in PRECISIONS]
    for folder in folders:
        files = sorted(f for f in folder.iterdir() if f.suffix in (".png", ".webp", ".jpg"))
        found = np.array([compared(codecs, file) for file in files]).T
        between, levels, exact, light, *seconds = found
        change = light - exact
        yield {
            "model": model,
            "images": folder.name,
            "count": len(files),
            "between": {"mean": round(between.mean(), 2), "least": round(between.min(), 2)},
            "levels": int(levels.max()),
            "float32": round(exact.mean(), 4),
            "bfloat16": round(light.mean(), 4),
            "change": [round(change.min(), 4), round(change.max(), 4)],
            "seconds": [round(taken.sum(), 1) for taken in seconds],
        }


def compared(codecs: list[Codec], file: Path) -> list[float]:
    image = Image.open(file).convert("RGB")
    data, decoded, seconds = codecs[0].compress(image), [], []
    for codec in codecs:
        start = time.process_time()
        decoded.append(np.asarray(codec.decompress(data)))
        seconds.append(time.process_time() - start)
    original, (exact, light) = np.asarray(image), decoded
    levels = np.abs(exact.astype(int) - light).max()
    against = [psnr(original, one) for one in decoded]
    return [psnr(exact, light), levels, *against, *seconds]


if __name__ == "__main__":
    main()
