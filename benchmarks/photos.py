"""Measure the embedded model on a folder of photos, beside WebP at the same bytes.

    python benchmarks/photos.py DIR --out benchmarks/results/NAME.json
    python benchmarks/photos.py DIR --crop 256 --budgets 96 192 400 --out ...

Every number is of 8-bit pixels after a real file was written and read again. WebP gets a search
over downscales and qualities for the best PSNR within the bytes, and Lanczos to come back: without
it, it can't reach these sizes at all.
"""

import argparse
import io
import json
import os
import platform
import subprocess
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from titokzip import Rate, TitokzipError, __version__, container
from titokzip.codec import Codec

SCALES = [1, 0.75, 0.5, 0.375, 0.25, 0.1875, 0.125, 0.09, 0.0625]
QUALITIES = [0, 1, 3, 6, 10, 15, 22, 30, 40, 55, 70, 85]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--crop", type=int, help="shorter side to this, then the centre square")
    parser.add_argument("--budgets", type=int, nargs="*", default=[], help="bytes a picture")
    parser.add_argument("--qualities", type=float, nargs="*", default=[30, 40, 50, 60, 70])
    parser.add_argument("--model", default="xs")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    codec = Codec.load(args.model, "cpu")
    files = sorted(f for f in args.folder.iterdir() if f.suffix in (".png", ".webp", ".jpg"))
    photos = {file.name: prepared(file, args.crop) for file in files}
    rates = {f"q{quality:g}": Rate(quality=quality) for quality in args.qualities}
    rates |= {f"{budget}B": Rate(max_bytes=budget) for budget in args.budgets}
    rows = []
    for name, rate in rates.items():
        for file, photo in photos.items():
            rows.append({"rate": name, "photo": file} | measured(codec, photo, rate))
    for budget in args.budgets:
        for file, photo in photos.items():
            best = webp(photo, budget)
            rows.append({"rate": f"{budget}B", "photo": file, "codec": "webp"} | best)
    result = environment(args) | {"summary": summary(rows), "rows": rows}
    args.out.write_text(json.dumps(result, indent=1) + "\n")
    for line in result["summary"]:
        print(line)


def prepared(file: Path, crop: int | None) -> Image.Image:
    image = Image.open(file).convert("RGB")
    if crop is None:
        return image
    scale = crop / min(image.size)
    image = image.resize([round(side * scale) for side in image.size], Image.Resampling.BICUBIC)
    left, top = (image.width - crop) // 2, (image.height - crop) // 2
    return image.crop((left, top, left + crop, top + crop))


def measured(codec: Codec, photo: Image.Image, rate: Rate) -> dict[str, object]:
    begun = time.perf_counter()
    try:
        data = codec.compress(photo, rate)
    except TitokzipError as error:
        return {"codec": "titokzip", "bytes": None, "psnr": None, "error": str(error)}
    encoded = time.perf_counter()
    contents = container.unpack(data)
    back = codec.paint(contents)
    decoded = time.perf_counter()
    grid = contents.header.grid
    native = np.asarray(codec.paint(contents, native=True), np.float64)
    return {
        "codec": "titokzip",
        "bytes": len(data),
        "bpp": 8 * len(data) / (photo.width * photo.height),
        "psnr": psnr(photo, back),
        "seam": seam(native, codec.model.tokenizer.size) if grid.tiles > 1 else None,
        "tiles": grid.tiles,
        "tokens": contents.header.tokens,
        "encode_seconds": encoded - begun,
        "decode_seconds": decoded - encoded,
    }


def psnr(one: Image.Image, other: Image.Image) -> float:
    error = np.asarray(one, np.float64) - np.asarray(other, np.float64)
    return float(10 * np.log10(255**2 / (error**2).mean()))


def seam(pixels: np.ndarray, size: int) -> float:
    """Mean step across tile borders over the mean step one pixel beside them."""
    across, beside = [], []
    for axis in (0, 1):
        steps = np.abs(np.diff(pixels, axis=axis))
        for border in range(size, pixels.shape[axis], size):
            across.append(steps.take(border - 1, axis).mean())
            beside.append(steps.take([border - 2, border], axis).mean())
    return float(np.mean(across) / np.mean(beside))


def webp(photo: Image.Image, budget: int) -> dict[str, object]:
    best: dict[str, object] = {"bytes": None, "psnr": None}
    for scale in SCALES:
        small = photo.resize([max(1, round(s * scale)) for s in photo.size], Image.LANCZOS)
        for quality in QUALITIES:
            file = io.BytesIO()
            small.save(file, "WEBP", quality=quality, method=6)
            if file.tell() > budget:
                break
            back = Image.open(file).convert("RGB").resize(photo.size, Image.LANCZOS)
            found = psnr(photo, back)
            if best["psnr"] is None or found > best["psnr"]:
                best = {"bytes": file.tell(), "psnr": found, "scale": scale, "quality": quality}
    return best


def summary(rows: list[dict]) -> list[dict[str, object]]:
    lines = []
    for rate, name in dict.fromkeys((row["rate"], row["codec"]) for row in rows):
        own = [r for r in rows if (r["rate"], r["codec"]) == (rate, name)]
        fit = [r for r in own if r["psnr"] is not None]
        line: dict[str, object] = {"rate": rate, "codec": name, "fit": f"{len(fit)}/{len(own)}"}
        for key in ("bytes", "bpp", "psnr", "seam", "encode_seconds", "decode_seconds"):
            values = [r[key] for r in fit if r.get(key) is not None]
            if values:
                line[key] = round(float(np.mean(values)), 4)
        lines.append(line)
    return lines


def environment(args: argparse.Namespace) -> dict[str, object]:
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    return {
        "schema": 1,
        "command": f"python benchmarks/photos.py {args.folder.name}",
        "settings": {k: str(v) for k, v in vars(args).items()},
        "titokzip": __version__,
        "commit": commit,
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {args.threads} threads",
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


if __name__ == "__main__":
    main()
