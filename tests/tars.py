"""Shards of small images, made here."""

import io
import tarfile

from photos import photo, png


def write_tar(path, members):
    """Write a tar of (name, bytes)."""
    with tarfile.open(path, "w") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(data), 1_700_000_000
            tar.addfile(info, io.BytesIO(data))


def read_tar(path):
    with tarfile.open(path) as tar:
        return {info.name: tar.extractfile(info).read() for info in tar}


def sample(key, number, caption="a photo"):
    return [
        (f"{key}.png", png(photo(20 + number % 7, 18, number))),
        (f"{key}.txt", f"{caption} {number}".encode()),
        (f"{key}.cls", str(number).encode()),
    ]


def make_shards(folder, shards=2, samples=3):
    """Make shards of samples with captions and classes; their paths."""
    folder.mkdir(exist_ok=True)
    paths = []
    for shard in range(shards):
        paths.append(folder / f"s-{shard:03d}.tar")
        numbers = range(shard * samples, (shard + 1) * samples)
        write_tar(paths[-1], [one for n in numbers for one in sample(f"{n:06d}", n)])
    return paths
