"""What a core does in bulk, stage by stage, and what the pipeline makes of it.

    python benchmarks/bulk.py --photos FOLDER [--before TREE]

Stages are timed in CPU seconds of one thread, so that a busy machine changes little. The pipeline
is timed with a network that answers at once, to compare with its stages; then with `xs`,
side by side with another tree. Wall times are of a machine whose load is recorded beside them.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import titokzip
from titokzip import entropy, files, images
from titokzip.batch import Job, Options, compress_files, decompress_files, worker
from titokzip.bitstream import container
from titokzip.codec import Codec
from titokzip.entropy import coder
from titokzip.layouts.cutting import DecodedTiles
from titokzip.layouts.tiles import Tiled
from titokzip.rate_control import Rate
from titokzip.transform.working_size import working_blocks

HERE = Path(__file__).parent
H200 = {"xs": 10_000, "titok-l32": 3_000}  # images/s that one is expected to do at the most


class Stub:
    """A tokenizer of 256 x 256 pixels to 32 of 4,096 tokens that answers at once."""

    size, length, vocabulary, prefix_decodable, halo = 256, 32, 4096, False, 0

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        return pixels[:, 0, :4, :8].reshape(len(pixels), 32).mul(4095).int()

    def decode_features(self, tokens: torch.Tensor) -> torch.Tensor:
        return (tokens[:, :16].float() / 4095).reshape(-1, 1, 4, 4).expand(-1, 3, 4, 4)

    def decode_pixels(self, features: torch.Tensor) -> torch.Tensor:
        return features.repeat_interleave(64, 2).repeat_interleave(64, 3)


def stub() -> Codec:
    return Codec("stub", b"stub" + bytes(28), Tiled(b"stub", Stub(), "cpu", 64))


def cpu(work: Callable[[], object], seconds: float = 1.0) -> float:
    """CPU seconds of a call: the least of those that fit into some seconds, after one."""
    work()
    spent, begun = [], time.perf_counter()
    while len(spent) < 3 or time.perf_counter() - begun < seconds:
        start = time.process_time()
        work()
        spent.append(time.process_time() - start)
    return min(spent)


def encoded(image: Image.Image, kind: str) -> bytes:
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def stages(photo: Image.Image) -> dict[str, float]:
    """CPU milliseconds of every stage, for a photo of 256 x 256 pixels."""
    torch.set_num_threads(1)
    png, jpeg, xs, tiled = encoded(photo, "PNG"), encoded(photo, "JPEG"), titokzip.load(), stub()
    plain, ttk = images.plain(photo), xs.compress(images.plain(photo))
    large = images.plain(photo.resize((768, 512)))
    cutter, rate = tiled.layout.tiles.cutter, Rate(tile=256)
    cut, packed = cutter(plain, rate), tiled.compress(plain, rate)
    tokens = tiled.tokens(container.unpack(packed))
    folder = Path(tempfile.mkdtemp())
    contents = container.unpack(ttk)
    planes = np.zeros((3, 256, 256), np.float32)
    model, header = xs.layout.context_model, contents.header
    stored = coder.Stored(contents.payloads, header.layout.step, header.layers)
    shape = header.channels, *working_blocks(256, 256, header.layout.blocks)
    done = DecodedTiles(cut.header, cut.tiles, (256, 256))
    found = {
        "read PNG": cpu(lambda: images.read(png)),
        "read JPEG": cpu(lambda: images.read(jpeg)),
        "plan and cut": cpu(lambda: cutter(plain, rate)),
        "resample 768 x 512 and cut": cpu(lambda: cutter(large, Rate(tile=512))),
        "xs: encode": cpu(lambda: xs.compress(plain), 8),
        "xs: encode, 16 together": cpu(lambda: list(xs.compress_many([plain] * 16, Rate())), 8)
        / 16,
        "tiles: pack tokens": cpu(lambda: entropy.pack(tokens, [32], 4096)),
        "tiles: file of tokens": cpu(lambda: container.pack(cut.header, [bytes(48)])),
        "write a file": cpu(lambda: files.write_atomically(folder / "file", packed)),
        "tiles: unpack a file": cpu(lambda: tiled.tokens(container.unpack(packed))),
        "xs: decode integers": cpu(lambda: xs.tokens(contents), 4),
        "xs: decode integers, 16 together": cpu(
            lambda: coder.decode_many([stored] * 16, *shape, model), 4
        )
        / 16,
        "xs: network": cpu(lambda: xs.layout.refiner(planes, 150), 8),
        "tiles: join": cpu(done.image),
        "write PNG": cpu(lambda: list(images.encode(photo, ".png"))),
        "write WebP": cpu(lambda: list(images.encode(photo, ".webp"))),
    }
    return {name: round(1000 * seconds, 3) for name, seconds in found.items()}


class Timed(worker.Worker):
    """A worker that says at its end what CPU time it took."""

    spent: list[float] = []  # noqa: RUF012

    def end(self, at_once: bool = False) -> None:
        if not at_once:
            self.spent.append(self(time.process_time))
        super().end(at_once)


def pipeline(photo: Image.Image, count: int, workers: int) -> dict[str, dict[str, float]]:
    """Images/s and CPU seconds an image with a network that answers at once."""
    worker.Worker = Timed
    one, found = stub(), {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = encoded(photo, "PNG")
        for i in range(count):
            (folder / f"{i}.png").write_bytes(data)
        there = [Job(folder / f"{i}.png", folder / f"{i}.ttk") for i in range(count)]
        back = [Job(job.target, folder / f"{i}.back.png") for i, job in enumerate(there)]
        options = Options(threads=workers, processes=workers)
        works = {
            "compress": lambda: compress_files(there, one, Rate(tile=256), options),
            "decompress": lambda: decompress_files(back, lambda _: one, options),
        }
        for kind, work in works.items():
            Timed.spent.clear()
            begun, own = time.perf_counter(), time.process_time()
            assert not any(result.error for result in work())
            wall, own = time.perf_counter() - begun, time.process_time() - own
            found[kind] = {
                "images": count,
                "wall_s": round(wall, 2),
                "cpu_ms_an_image_in_workers": round(1000 * sum(Timed.spent) / count, 3),
                "cpu_ms_an_image_in_the_main_process": round(1000 * own / count, 3),
            }
    return found


def xs_files(photos: list[Path], before: Path | None, workers: int) -> dict[str, float]:
    """Wall seconds of compressing and decompressing files with xs."""
    found: dict[str, float] = {}
    trees = {"after -j 1": (HERE.parent, ["-j", "1"])}
    trees |= {f"after -j {workers}": (HERE.parent, ["-j", str(workers)])}
    if before:
        trees = {"before": (before, [])} | trees
    for label, (tree, more) in trees.items():
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for i, photo in enumerate(photos):
                Image.open(photo).resize((256, 256)).save(folder / f"{i}.png")
            small, large = folder / "small", folder / "large"
            for kind, words in {
                "compress": ["compress", "-r", str(folder), "-O", str(small)],
                "decompress": ["decompress", "-r", str(small), "-O", str(large)],
            }.items():
                environment = os.environ | {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
                code = "from titokzip.cli import main; main()"
                command = [sys.executable, "-c", code, *words, *more]
                begun = time.perf_counter()
                subprocess.run(command, check=True, capture_output=True, env=environment, cwd=name)
                found[f"{kind}, {label}"] = round(time.perf_counter() - begun, 2)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--before", type=Path)
    parser.add_argument("--stub", type=int, default=400, help="images for the pipeline")
    parser.add_argument("--files", type=int, default=16, help="photos for xs")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "bulk.json")
    given = parser.parse_args()
    photos = sorted(given.photos.glob("*.webp"))[: given.files]
    photo = Image.open(photos[0]).convert("RGB").resize((256, 256))
    cores = len(os.sched_getaffinity(0))
    result = {
        "date": time.strftime("%Y-%m-%d"),
        "cores": cores,
        "load_before": os.getloadavg(),
        "stages_cpu_ms": (table := stages(photo)),
        "stub_network": pipeline(photo, given.stub, cores),
        "load_after": os.getloadavg(),
        "cores_that_feed_one_h200": feeding(table),
    }
    given.out.write_text(json.dumps(result, indent=1) + "\n")
    result["xs_files_wall_s"] = xs_files(photos, given.before and given.before.resolve(), cores)
    result["load_at_end"] = os.getloadavg()
    given.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


def feeding(table: dict[str, float]) -> dict[str, float]:
    """Cores that an H200 keeps busy, at the rates that are expected of it; no GPU has run this."""
    tiles = table["read JPEG"] + table["plan and cut"] + table["write a file"]
    pixels = table["tiles: join"] + table["write PNG"]
    xs = table["xs: decode integers, 16 together"] + table["write PNG"]
    return {
        "titok-l32, compress": round(H200["titok-l32"] * tiles / 1000, 1),
        "titok-l32, decompress": round(H200["titok-l32"] * pixels / 1000, 1),
        "xs, decompress": round(H200["xs"] * xs / 1000, 1),
    }


if __name__ == "__main__":
    main()
