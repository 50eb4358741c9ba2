"""Tar shards of images, in WebDataset's layout."""

import io
import tarfile

from photos import photo, png


def add(shard, name, data):
    member = tarfile.TarInfo(name)
    member.size = len(data)
    shard.addfile(member, io.BytesIO(data))


def write_shard(path, names, size=32, label=None):
    """Write images named `names`, each with a class if `label` gives one."""
    with tarfile.open(path, "w") as shard:
        for name in names:
            seed = int("".join(filter(str.isdigit, name)) or 0)
            add(shard, f"{name}.png", png(photo(size, size, seed)))
            if label is not None:
                add(shard, f"{name}.cls", str(label(name)).encode())
    return path
