"""Measure the steps across tile borders of decoded photos, over the steps one pixel beside them.

    python benchmarks/seams.py DIR --out benchmarks/results/seams-NAME.json

1.00 is no seam. Pixels are those of the grid, before the picture is resampled to its own size. The
same is told of where the lapped filters' reach ends, 16 pixels from the borders.
"""

import argparse
import json
import subprocess
import time
from pathlib import Path

import numpy as np
from PIL import Image

from titokzip import __version__
from titokzip.bitstream import container
from titokzip.codec import Codec


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", default="xs")
    args = parser.parse_args()
    codec = Codec.load(args.model)
    size, reach = codec.model.tokenizer.size, codec.model.tokenizer.overlap
    rows = []
    for file in sorted(f for f in args.folder.iterdir() if f.suffix in (".png", ".webp", ".jpg")):
        data = codec.compress(Image.open(file).convert("RGB"))
        painted = np.asarray(codec.paint(container.unpack(data), native=True), np.float64)
        rows.append(
            {
                "photo": file.name,
                "borders": ratio(painted, size, [0]),
                "ends": ratio(painted, size, [-reach, reach]),
            }
        )
    means = {key: round(float(np.mean([r[key] for r in rows])), 4) for key in ("borders", "ends")}
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True).stdout
    about = {"schema": 1, "titokzip": __version__, "date": time.strftime("%Y-%m-%d")}
    about |= {
        "commit": commit.strip(),
        "model": args.model,
        "fingerprint": codec.model.fingerprint.hex(),
    }
    args.out.write_text(json.dumps(about | {"mean": means, "rows": rows}, indent=1) + "\n")
    print(means)


def ratio(pixels: np.ndarray, size: int, offsets: list[int]) -> float:
    across, beside = [], []
    for axis in (0, 1):
        steps = np.abs(np.diff(pixels, axis=axis))
        for border in range(size, pixels.shape[axis], size):
            for place in (border + offset for offset in offsets):
                across.append(steps.take(place - 1, axis).mean())
                beside.append(steps.take([place - 2, place], axis).mean())
    return float(np.sum(across) / np.sum(beside))


if __name__ == "__main__":
    main()
