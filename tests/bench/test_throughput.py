"""Throughput is of every codec, and no share of the peak exceeds one."""

import pytest
import toys
from photos import photo, png

from titokzip.bench import OURS, throughput
from titokzip.bench.baselines import available
from titokzip.bench.cache import Cache
from titokzip.bench.datasets import find
from titokzip.bench.ours import Ours
from titokzip.bench.plan import Plan, Point
from titokzip.bitstream import container
from titokzip.errors import ModelError


def plan(folder):
    here = available(Cache()).codecs
    ours = {OURS: Ours(toys.codec(), "toy")}
    others = (here["webp"], here["jpeg"], here["thumbnail"])
    return Plan(find(str(folder)), (Point(300, True),), ours, others)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for i in range(2):
        photo(120, 90, seed=i).save(tmp_path / f"{i}.png")
    (tmp_path / "broken.png").write_bytes(b"")
    monkeypatch.setattr(throughput, "_ENOUGH", 0.0)
    monkeypatch.setattr(throughput, "alone", lambda model, device, file: (1.0, 300.0))
    return tmp_path


@pytest.fixture
def measured(folder):
    return throughput.measure(plan(folder), Point(300, True))


def test_every_codec_is_timed_both_ways(measured):
    ours = measured["ours"][OURS]
    figures = [ours["batch_1"][way] for way in ("encode", "decode")]
    figures += [ours["best"][way] for way in ("encode", "decode")]
    figures += [measured["baselines"]["webp"][way] for way in ("encode", "decode")]
    for one in figures:
        assert 0 < one["median_seconds"] <= one["p95_seconds"]
        assert one["images_per_second"] == pytest.approx(1 / one["median_seconds"])
        cores = one["images_per_second"] / one["images_per_second_and_core"]
        assert cores == pytest.approx(measured["threads"])
    assert measured["baselines"]["jpeg"] is None, "it cannot do 300 bytes"
    assert "encode" not in measured["baselines"]["thumbnail"]
    assert (ours["start_seconds"], ours["peak_memory_mb"]) == (1.0, 300.0)


def test_a_batch_is_filled_with_images(measured):
    ours = measured["ours"][OURS]
    assert ours["batch_1"]["images"] == 1
    if ours["best_batch"] > 1:
        assert ours["best"]["images"] >= 1
    one = Ours(toys.codec())
    image = plan_image()
    tiles = container.unpack(one.encode_one(image, Point(300, True).rate)).header.layout.grid.tiles
    assert one.images_per_batch(image, Point(300, True).rate, 10 * tiles) == 10


def plan_image():
    from titokzip.images import InputImage

    return InputImage(photo(120, 90), grey=False)


def test_no_share_exceeds_one_even_where_a_network_beats_the_matmul(folder, monkeypatch):
    monkeypatch.setattr(throughput, "matmul_peak", lambda device, dtype: 1.0)  # a FLOP a second
    monkeypatch.setattr(throughput, "count_flops", lambda work: work() and 10**9)
    ours = throughput.measure(plan(folder), Point(300, True))["ours"][OURS]
    assert max(ours["matmul_share"].values()) == 1
    assert all(0 < share <= 1 for share in ours["matmul_share"].values())
    assert all(0 < share <= 1 for share in ours["inside_networks"].values())


def test_no_readable_image_no_throughput(tmp_path):
    (tmp_path / "broken.png").write_bytes(b"")
    assert throughput.measure(plan(tmp_path), Point(300, True)) is None


@pytest.mark.slow
def test_start_and_memory_are_those_of_a_process_that_does_nothing_else():
    start, memory = throughput.alone("xs", "cpu", png(photo(120, 90)))
    assert start > 0.05
    assert memory > 50
    with pytest.raises(ModelError, match="ended with 1"):
        throughput.alone("none", "cpu", b"")
