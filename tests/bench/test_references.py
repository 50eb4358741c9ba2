"""Statistics of the originals are measured once, and never taken for those of other images."""

import numpy as np
import pytest
import toys
from photos import photo

from titokzip.bench import OURS, frechet, references
from titokzip.bench.datasets import Protocol, find
from titokzip.bench.frechet import Statistics
from titokzip.bench.measure import run
from titokzip.bench.networks import Extractor
from titokzip.bench.ours import Ours
from titokzip.bench.plan import Plan, Point
from titokzip.bench.references import finish, place, take
from titokzip.errors import ModelError


def statistics(cache):
    return sorted((cache / "references").glob("*.npz"))


class Network:
    """Means and largest values of colours, and how many images were asked for."""

    def __init__(self):
        self.calls = 0

    def __call__(self, pixels):
        import torch

        self.calls += 1
        flat = pixels.float().flatten(2)
        return torch.cat([flat.mean(2), flat.amax(2)], dim=1)


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(4):
        photo(60 + i, 50, seed=i).save(folder / f"{i}.ppm")  # files of one size for one shape
    return folder


def bench(photos, out, protocol=None, **more):
    """Measure our codec: its distance, calls of the network, where the reference is from."""
    network = Network()
    one = Extractor("fd-toy", "0" * 64, network, **more)
    dataset = find(str(photos), protocol=protocol)
    out.mkdir(exist_ok=True)
    taken = take(dataset, (one,), out)
    plan = Plan(dataset, (Point(60),), {OURS: Ours(toys.codec())}, (), (), (), (one,), taken.known)
    list(run(plan, out))
    finish(taken, dataset, (one,), out, {"fd-toy": 6})
    own = frechet.Store(out / "features" / "fd-toy" / f"{OURS}.q60.f32", 6).statistics()
    distance = frechet.distance(taken.known["fd-toy"], own)
    return distance, network.calls, taken.origins["fd-toy"]


def test_a_second_run_takes_what_the_first_has_measured(photos, tmp_path):
    first, second = bench(photos, tmp_path / "a"), bench(photos, tmp_path / "b")
    assert first[1:] == (8, "this run")
    assert second[1:] == (4, "an earlier run")
    assert second[0] == pytest.approx(first[0], rel=1e-12)


@pytest.mark.parametrize("patch", [None, 16])
def test_patches_are_as_many_with_as_without_a_reference(photos, tmp_path, patch):
    first = bench(photos, tmp_path / "a", patch=patch)
    assert bench(photos, tmp_path / "b", patch=patch)[0] == pytest.approx(first[0], rel=1e-12)


def test_nothing_is_taken_for_other_images_protocols_and_networks(photos, tmp_path):
    bench(photos, tmp_path / "a")
    assert bench(photos, tmp_path / "b", Protocol(40, 40))[2] == "this run"
    assert bench(photos, tmp_path / "c", patch=16)[2] == "this run"
    file = photos / "2.ppm"
    data = file.read_bytes()
    file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))  # one bit of one pixel
    assert bench(photos, tmp_path / "d")[2] == "this run"
    file.write_bytes(data)
    assert bench(photos, tmp_path / "e")[2] == "an earlier run"
    dataset, one = find(str(photos)), Extractor("fd-toy", "0" * 64, Network())
    other = Extractor("fd-toy", "1" * 64, Network())
    assert place(dataset, one) != place(dataset, other)


def test_a_run_goes_on_with_what_it_began_with(photos, tmp_path, cache):
    whole = bench(photos, tmp_path / "a")
    (kept,) = statistics(cache)
    kept.rename(cache / "away")
    network = Network()
    one = Extractor("fd-toy", "0" * 64, network)
    begun = tmp_path / "begun"
    begun.mkdir()
    going = run(
        Plan(
            find(str(photos)), (Point(60),), {OURS: Ours(toys.codec())}, (), (), (), (one,), {}, 1
        ),
        begun,
    )
    next(going)
    going.close()
    (cache / "away").rename(place(find(str(photos)), one))
    resumed = bench(photos, begun)
    assert resumed[2] == "this run"
    assert resumed[0] == pytest.approx(whole[0], rel=1e-12)
    other = tmp_path / "other"
    bench(photos, other)
    for path in statistics(cache):
        path.unlink()
    (other / "rows.jsonl").unlink()
    assert bench(photos, other)[2] == "an earlier run"


def test_damaged_statistics_are_measured_again(photos, tmp_path, cache):
    whole = bench(photos, tmp_path / "a")
    (kept,) = statistics(cache)
    kept.write_bytes(kept.read_bytes()[:100])
    again = bench(photos, tmp_path / "b")
    assert again[0] == pytest.approx(whole[0], rel=1e-12)
    assert again[2] == "this run"
    assert bench(photos, tmp_path / "c")[2] == "an earlier run"


def test_a_cache_that_cannot_be_written_is_said_and_not_fatal(photos, tmp_path, cache):
    cache.write_text("a file where the folder belongs")
    distance, _, origin = bench(photos, tmp_path / "a")
    assert np.isfinite(distance)
    assert origin.startswith("this run, not kept for others (")


def test_the_users_cache_is_where_the_system_says(monkeypatch, tmp_path):
    monkeypatch.delenv("TITOKZIP_BENCH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert references.folder() == tmp_path / "cache" / "titokzip" / "bench" / "references"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert references.folder().parts[-4:] == (".cache", "titokzip", "bench", "references")


def adm(path, width=6):
    """Write statistics as ADM's VIRTUAL_imagenet256_labeled.npz has them."""
    rng = np.random.default_rng(0)
    rows = rng.normal(100, 20, (50, width))
    np.savez(
        path,
        arr_0=np.zeros((2, 8, 8, 3), np.uint8),
        mu=rows.mean(0),
        sigma=np.cov(rows.T),
        mu_s=np.zeros(9),
        sigma_s=np.eye(9),
    )
    return rows


def test_statistics_that_are_given_are_measured_against(photos, tmp_path):
    rows = adm(tmp_path / "given.npz")
    distance, calls, origin = bench(photos, tmp_path / "a", reference=tmp_path / "given.npz")
    assert (calls, origin) == (4, "given.npz")
    own = frechet.Store(tmp_path / "a" / "features" / "fd-toy" / f"{OURS}.q60.f32", 6)
    expected = frechet.distance(Statistics(50, rows.mean(0), np.cov(rows.T)), own.statistics())
    assert distance == pytest.approx(expected, rel=1e-12)


def test_statistics_of_another_network_are_refused(photos, tmp_path):
    adm(tmp_path / "given.npz", width=5)
    with pytest.raises(ModelError, match=r"fd-toy: \(1, 6\) features, not \(1, 5\)"):
        bench(photos, tmp_path / "a", reference=tmp_path / "given.npz")


@pytest.mark.parametrize("data", [None, b"no statistics", "arrays", "shapes", "nan", "deflate"])
def test_what_holds_no_statistics_is_one_line(tmp_path, data):
    path = tmp_path / "given.npz"
    if data == "arrays":
        np.savez(path, mu=np.zeros(3))
    elif data == "shapes":
        np.savez(path, mu=np.zeros(3), sigma=np.eye(4))
    elif data == "nan":
        np.savez(path, mu=np.full(3, np.nan), sigma=np.eye(3))
    elif data == "deflate":
        np.savez_compressed(path, mu=np.arange(3.0), sigma=np.random.default_rng(0).random((9, 9)))
        damaged = bytearray(path.read_bytes())
        damaged[400:420] = b"\xff" * 20
        path.write_bytes(damaged)
    elif data is not None:
        path.write_bytes(data)
    with pytest.raises(ModelError, match=r"given\.npz") as caught:
        frechet.load(path)
    assert "\n" not in str(caught.value)


def test_statistics_come_back_as_they_were_saved(tmp_path):
    one = frechet.statistics([np.random.default_rng(0).normal(size=(9, 4))])
    frechet.save(tmp_path / "new" / "a.npz", one)
    back = frechet.load(tmp_path / "new" / "a.npz")
    assert back.count == 9
    assert np.array_equal(back.mean, one.mean)
    assert np.array_equal(back.covariance, one.covariance)
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["a.npz"]
