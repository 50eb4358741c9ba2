"""Images to train on: in a folder, and in tar shards of WebDataset's layout."""

import pytest
from photos import photo
from shards import write_shard


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
