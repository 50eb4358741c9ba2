"""A data set made by hand, and a cache of its own for every test."""

import pytest
import scripts
from photos import photo


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Keep results here and not in the user's cache."""
    monkeypatch.setenv("TITOKZIP_BENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def imagenet(tmp_path):
    """Lay out three images and a broken one as people have ImageNet's validation set."""
    root = tmp_path / "data" / "imagenet" / "val"
    for i in range(3):
        place = root / f"n0144076{i}"
        place.mkdir(parents=True)
        photo(240 + 20 * i, 200, seed=i).save(place / f"ILSVRC2012_val_0000000{i}.JPEG")
    (root / "n01440760" / "broken.JPEG").write_bytes(b"\xff\xd8\xff\xe0 nothing more")
    return tmp_path / "data"


@pytest.fixture
def script(tmp_path):
    """Write a module as the TorchScript file of a name."""
    return lambda module, name: scripts.write(module, tmp_path / f"{name}.pt")
