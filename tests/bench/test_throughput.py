"""Throughput has every stage in it, and adds up."""

import pytest
import toys
from photos import photo, png

from titokzip.bench import throughput
from titokzip.bench.datasets import find
from titokzip.errors import ModelError
from titokzip.rate_control import Rate


@pytest.fixture
def measured(tmp_path, monkeypatch):
    for i in range(2):
        photo(120, 90, seed=i).save(tmp_path / f"{i}.png")
    (tmp_path / "broken.png").write_bytes(b"")
    monkeypatch.setattr(throughput, "BATCHES", {"cpu": (1, 8)})
    monkeypatch.setattr(throughput, "_ENOUGH", 0.0)
    monkeypatch.setattr(throughput, "alone", lambda model, device, file: (1.0, 300.0))
    return throughput.measure(toys.codec(), "toy", find(str(tmp_path)), Rate(quality=80))


def test_stages_add_up_to_about_the_whole(measured):
    assert measured["photos"] == 2
    assert measured["best_batch"] in (1, 8)
    for direction, stages in (("encode", 5), ("decode", 3)):
        one = measured["batch_1"][direction]
        assert len(one["stages"]) == stages
        assert all(seconds > 0 for seconds in one["stages"].values())
        assert 0 < one["median_seconds"] <= one["p95_seconds"]
        assert one["pictures_per_second"] == pytest.approx(1 / one["median_seconds"])
        assert one["megapixels_per_second"] > 0
        assert sum(one["stages"].values()) == pytest.approx(one["median_seconds"], rel=0.5)
    assert 0 < measured["outside_networks"] < 1


def test_the_device_is_measured_too(measured):
    assert measured["matmul_peak_gflops"] > 0.1
    assert (measured["start_seconds"], measured["peak_memory_mb"]) == (1.0, 300.0)
    assert set(measured["matmul_share"]) == {"encode", "decode", "batch"}


def test_no_readable_photo_no_throughput(tmp_path):
    (tmp_path / "broken.png").write_bytes(b"")
    assert throughput.measure(toys.codec(), "toy", find(str(tmp_path)), Rate()) is None


def test_start_and_memory_are_those_of_a_process_that_does_nothing_else():
    start, memory = throughput.alone("xs", "cpu", png(photo(120, 90)))
    assert start > 0.05
    assert memory > 50
    with pytest.raises(ModelError, match="ended with 1; --no-speed"):
        throughput.alone("none", "cpu", b"")
