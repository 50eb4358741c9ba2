"""Measure what a second Ray worker gives: shards of photos compressed with `xs`, by one and by two.

    pip install 'titokzip[ray]'
    python benchmarks/cluster.py PHOTOS [--images 2000]

A local cluster of two cores, one thread an actor. Crops of 128 x 128 pixels of the photos are
packed into 40 shards. Seconds are of the whole run but for the start of the cluster, and from the
first shard that was done to the last. The outputs of both must be equal, byte for byte.
"""

import argparse
import io
import json
import os
import tarfile
import tempfile
import time
from pathlib import Path

os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112

import ray
from PIL import Image

from titokzip.batch import Options
from titokzip.batch.shards import Shard
from titokzip.rate_control import Rate
from titokzip.ray import Actors, Compressing, convert_shards

HERE = Path(__file__).parent
SHARDS, SIDE, QUALITY = 40, 128, 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "cluster.json")
    given = parser.parse_args()
    paths = os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")])
    environment = {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    ray.init(num_cpus=2, include_dashboard=False, runtime_env={"env_vars": environment})
    result: dict[str, object] = {
        "date": time.strftime("%Y-%m-%d"), "ray": ray.__version__, "images": given.images,
        "load_before": os.getloadavg(),
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shards = packed(sorted(given.photos.glob("*.webp")), folder / "in", given.images)
        outputs = []
        for workers in (1, 2, 1, 2):
            out = folder / f"out{len(outputs)}"
            result.setdefault(f"{workers} workers", []).append(measured(shards, out, workers))
            outputs.append({path.name: path.read_bytes() for path in out.glob("*.tar")})
    assert all(one == outputs[0] for one in outputs), "the outputs differ"
    for kind in ("seconds", "seconds_after_the_first_shard"):
        one, two = (min(run[kind] for run in result[f"{n} workers"]) for n in (1, 2))
        result[f"ratio, {kind}"] = round(one / two, 3)
    result["load_after"] = os.getloadavg()
    given.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result))


def packed(photos: list[Path], folder: Path, count: int) -> list[Path]:
    """Pack crops of photos into shards."""
    folder.mkdir()
    crops = [crop for photo in photos for crop in crops_of(photo)]
    paths = [folder / f"s-{i:03}.tar" for i in range(SHARDS)]
    for i, path in enumerate(paths):
        with tarfile.open(path, "w") as tar:
            for number in range(i, count, SHARDS):
                data = crops[number % len(crops)]
                info = tarfile.TarInfo(f"{number:06}.png")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return paths


def crops_of(photo: Path) -> list[bytes]:
    image, found = Image.open(photo).convert("RGB"), []
    for top in range(0, image.height - SIDE + 1, SIDE):
        for left in range(0, image.width - SIDE + 1, SIDE):
            file = io.BytesIO()
            image.crop((left, top, left + SIDE, top + SIDE)).save(file, "PNG")
            found.append(file.getvalue())
    return found


def measured(shards: list[Path], out: Path, workers: int) -> dict[str, float]:
    todo = [Shard(str(path), f"{out}/{path.name}") for path in shards]
    make = Compressing("xs", "cpu", Rate(quality=QUALITY), Options(), {})
    begun, first, samples = time.monotonic(), 0.0, 0
    for result in convert_shards(todo, make, Actors(most=workers)):
        assert not result.error, result.error
        first = first or time.monotonic()
        samples += result.samples
    end = time.monotonic()
    return {
        "images": samples,
        "seconds": round(end - begun, 2),
        "seconds_after_the_first_shard": round(end - first, 2),
    }


if __name__ == "__main__":
    main()
