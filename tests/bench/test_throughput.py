"""Throughput has every stage in it, and adds up."""

import pytest
import toys
from photos import photo

from titokzip.bench import throughput
from titokzip.bench.datasets import find
from titokzip.rate import Rate


@pytest.fixture
def measured(tmp_path, monkeypatch):
    for i in range(2):
        photo(120, 90, seed=i).save(tmp_path / f"{i}.png")
    (tmp_path / "broken.png").write_bytes(b"")
    monkeypatch.setattr(throughput, "BATCHES", {"cpu": (1, 8)})
    monkeypatch.setattr(throughput, "_ENOUGH", 0.0)
    monkeypatch.setattr(throughput, "_start", lambda model, device: 1.0)
    return throughput.measure(toys.codec(), "toy", find(str(tmp_path)), Rate(quality=80))


def test_stages_add_up_to_about_the_whole(measured):
    assert measured["photos"] == 2
    assert measured["best_batch"] in (1, 8)
    for direction, stages in (("encode", 4), ("decode", 2)):
        one = measured["batch_1"][direction]
        assert len(one["stages"]) == stages
        assert all(seconds > 0 for seconds in one["stages"].values())
        assert 0 < one["median_seconds"] <= one["p95_seconds"]
        assert one["pictures_per_second"] == pytest.approx(1 / one["median_seconds"])
        assert one["megapixels_per_second"] > 0


def test_the_device_is_measured_too(measured):
    assert measured["matmul_peak_gflops"] > 0.1
    assert measured["peak_memory_mb"] > 10
    assert set(measured["matmul_share"]) == {"encode", "decode", "batch"}


def test_no_readable_photo_no_throughput(tmp_path):
    (tmp_path / "broken.png").write_bytes(b"")
    assert throughput.measure(toys.codec(), "toy", find(str(tmp_path)), Rate()) is None


def test_starting_is_timed_in_a_new_process():
    assert throughput._start("xs", "cpu") > 0.05
