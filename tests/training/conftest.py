"""Images to train on: in a folder, and in tar shards of WebDataset's layout."""

import io
import tarfile

import pytest
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


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Sixteen images of 32 pixels in two subfolders, and beside them what cannot be read."""
    folder = tmp_path_factory.mktemp("images")
    for i in range(16):
        inside = folder / ("cats" if i % 2 else "dogs")
        inside.mkdir(exist_ok=True)
        photo(32, 32, i).save(inside / f"{i:02}.png")
    (folder / "cats" / "notes.txt").write_text("no image")
    return folder


@pytest.fixture(scope="session")
def shards(tmp_path_factory):
    """Six shards of seven images, with the number of the shard as their class."""
    folder = tmp_path_factory.mktemp("shards")
    for i in range(6):
        names = [f"a/{7 * i + j:03}" for j in range(7)]
        write_shard(folder / f"shard-{i}.tar", names, 16, lambda name, i=i: i)
    return folder
