"""A real Ray cluster of two workers on this machine; pip install 'titokzip[ray]'."""

import json
import os
import signal
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import workers
from jobs import SMALL, TOY
from photos import photo, png
from tars import make_shards, read_tar

import titokzip
from titokzip import images
from titokzip.batch import Options, compress_files
from titokzip.batch.shards import Shard, convert
from titokzip.errors import OutputExists

ray = pytest.importorskip("ray", reason="pip install 'titokzip[ray]'")
pytest.importorskip("ray.data", reason="pip install 'titokzip[ray]'")

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # Ray's own warnings
SHARDS, SAMPLES = 40, 50


@pytest.fixture(scope="module")
def cluster():
    here = Path(__file__).parent
    # 15 by default: a busy machine would hardly run them
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112
    paths = os.pathsep.join([str(here), str(here.parent)])
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="error",
        runtime_env={"env_vars": {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}},
    )
    from titokzip import ray as ours

    yield ours
    ray.shutdown()


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    return make_shards(tmp_path_factory.mktemp("in"), SHARDS, SAMPLES)


def pairs(paths, folder):
    return [Shard(str(path), f"{folder}/{path.name}") for path in paths]


@pytest.fixture(scope="module")
def wanted(sources, tmp_path_factory):
    """What one process makes of them."""
    folder = tmp_path_factory.mktemp("one")
    code = lambda jobs: compress_files(jobs, TOY, SMALL, Options())  # noqa: E731
    done = list(convert(pairs(sources, folder), code, images.SUFFIXES, ".ttk"))
    assert sum(result.samples for result in done) == SHARDS * SAMPLES
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_worker_that_is_killed_costs_nothing(cluster, sources, wanted, tmp_path):
    """2,000 images in 40 shards; one of two workers gets a SIGKILL in the middle."""
    seen, out = tmp_path / "seen", tmp_path / "out"
    seen.mkdir()
    killed = []

    def kill():
        while len(list(out.glob("*.tar"))) < 5:
            time.sleep(0.02)
        killed.append(int(next(seen.iterdir()).name))
        os.kill(killed[0], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    make = partial(workers.toy_converter, str(seen), 0.005)
    results = list(cluster.convert_shards(pairs(sources, out), make))
    killer.join()
    assert sorted(one.shard.target for one in results) == [
        one.target for one in pairs(sources, out)
    ]
    assert [one.error for one in results] == [None] * SHARDS
    assert sum(one.samples for one in results) == SHARDS * SAMPLES
    assert contents(out) == wanted
    assert len(list(seen.iterdir())) >= 3  # another took its place


def test_shards_that_are_there_are_not_made_again(cluster, sources, wanted, tmp_path):
    out = tmp_path / "out"
    seen = tmp_path / "seen"
    seen.mkdir()
    make = partial(workers.toy_converter, str(seen))
    shards = pairs(sources[:3], out)
    assert [one.error for one in cluster.convert_shards(shards[:2], make)] == [None] * 2
    again = {one.shard: one.error for one in cluster.convert_shards(shards, make)}
    assert [type(again[shard]) for shard in shards] == [OutputExists, OutputExists, type(None)]
    assert contents(out) == {name: wanted[name] for name in contents(out)}


def test_a_dataset_there_and_back(cluster):
    pictures = [photo(24 + number, 20, number) for number in range(3)]
    rows = [{"image": png(one), "name": str(i)} for i, one in enumerate(pictures)]
    rows.append({"image": b"no image", "name": "bad"})
    small = cluster.compress(ray.data.from_items(rows), quality=20, actors=cluster.Actors(most=1))
    small = small.materialize()
    found = {row["name"]: row for row in small.take_all()}
    for number, picture in enumerate(pictures):
        row = found[str(number)]
        assert row["error"] == ""
        assert row["ttk"] == titokzip.compress(picture, quality=20)
    assert found["bad"]["ttk"] == b""
    assert "image" in found["bad"]["error"]
    decoded = {row["name"]: row for row in cluster.decompress(small, to="back").take_all()}
    tokens = {row["name"]: row for row in cluster.tokenize(small).take_all()}
    for number, picture in enumerate(pictures):
        name, data = str(number), found[str(number)]["ttk"]
        assert decoded[name]["back"].shape == (picture.height, picture.width, 3)
        assert np.array_equal(decoded[name]["back"], np.asarray(titokzip.decompress(data)))
        assert np.array_equal(tokens[name]["tokens"], titokzip.tokens(data).tokens)
    assert decoded["bad"]["error"]
    assert tokens["bad"]["error"]


def test_the_command(sources, tmp_path, cluster):
    """On a cluster of its own, in a process of its own."""
    from run import spawn

    (tmp_path / "in").mkdir()
    shards = make_shards(tmp_path / "in", 2, 2)
    told = {}
    for name, more in (("alone", ["-j", 1]), ("ray", ["--ray", "local", "-j", 2])):
        command = ["compress", *shards, "-O", tmp_path / name, "--max-bytes", 60, *more]
        process = spawn(*command)
        _, told[name] = process.communicate(timeout=500)
        assert process.returncode == 0, told[name]
    assert contents(tmp_path / "ray") == contents(tmp_path / "alone")
    assert json.loads((tmp_path / "ray" / "manifest.json").read_text())["samples"] == 4
    assert next(iter(read_tar(tmp_path / "ray" / "s-000.tar"))) == "000000.ttk"
