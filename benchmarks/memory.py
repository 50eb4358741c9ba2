"""Measure whether the memory of bulk compression stays flat.

    python benchmarks/memory.py PHOTO [--small 100000] [--large 50]

Compresses many small files (256 x 256) with a network that answers at once, then large ones (100
megapixels, JPEG and PNG by turns) with `xs`, in as many processes as there are cores. All inputs
are links to three files. Writes images a second, and the memory in MiB that the processes have to
themselves, at eight times of each run (Linux).
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bulk import stub
from PIL import Image
from startup import commit
from streaming import TIMES, resident

import titokzip
from titokzip.batch import Job, Options, compress_files
from titokzip.codec import Codec
from titokzip.rate_control import Rate

HERE = Path(__file__).parent
LARGE = 10_000, 10_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photo", type=Path)
    parser.add_argument("--small", type=int, default=100_000)
    parser.add_argument("--large", type=int, default=50)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "memory.json")
    given = parser.parse_args()
    photo = Image.open(given.photo).convert("RGB")
    cores = len(os.sched_getaffinity(0))
    result: dict[str, object] = {
        "date": time.strftime("%Y-%m-%d"), "commit": commit(HERE), "cores": cores,
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        small, large = photo.resize((256, 256)), photo.resize(LARGE)
        kinds = {".png": small, ".large.jpg": large, ".large.png": large}
        for suffix, image in kinds.items():
            image.save(Path(folder) / f"photo{suffix}", compress_level=1)
        result["small files, a stub"] = measured(
            Path(folder), [".png"], given.small, stub(), Rate(tile=256), cores
        )
        result["100 megapixels, xs"] = measured(
            Path(folder), [".large.jpg", ".large.png"], given.large, titokzip.load(), Rate(), cores
        )
    given.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result))


def measured(
    folder: Path, suffixes: list[str], count: int, codec: Codec, rate: Rate, cores: int
) -> dict[str, object]:
    """Compress links to the photos of some suffixes, by turns."""
    links, out = folder / f"in{suffixes[0]}", folder / f"out{suffixes[0]}"
    links.mkdir()
    out.mkdir()

    def jobs() -> Iterator[Job]:
        for i in range(count):
            suffix = suffixes[i % len(suffixes)]
            link = links / f"{i}{suffix}"
            link.symlink_to(folder / f"photo{suffix}")
            yield Job(link, out / f"{i}.ttk")

    options = Options(threads=cores, processes=cores)
    begun, memory = time.monotonic(), list[int]()
    for done, result in enumerate(compress_files(jobs(), codec, rate, options), 1):
        assert not result.error, result.error
        if done * TIMES >= count * (len(memory) + 1):
            memory.append(resident())
    seconds = time.monotonic() - begun
    return {"images": count, "images_a_second": round(count / seconds, 1), "memory_mib": memory}


if __name__ == "__main__":
    main()
