"""A run measures real files, goes on where it was killed, and streams."""

import itertools
import json
import statistics
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import toys
from photos import photo

from titokzip.bench import OURS, comparison, report
from titokzip.bench.baselines import available
from titokzip.bench.cache import Cache
from titokzip.bench.containers import codestream_bytes
from titokzip.bench.datasets import find
from titokzip.bench.image_codec import Encoded
from titokzip.bench.measure import lines, run
from titokzip.bench.metrics import ms_ssim, psnr
from titokzip.bench.networks import Extractor
from titokzip.bench.ours import Ours
from titokzip.bench.plan import Plan, Point, file_of
from titokzip.bench.references import References, finish
from titokzip.bitstream import container

POINTS = (Point(60), Point(90))
HERE = {
    name: one
    for name, one in available(Cache()).codecs.items()
    if name in ("avif", "jpeg", "jpeg2000", "jxl", "webp", "thumbnail", "blurhash")
}
SUFFIX = {OURS: ".ttk"} | {name: f".{name}{one.suffix}" for name, one in HERE.items()}


def extractor(name="fd-mean"):
    """Stand in for a network: means and deviations of colours."""

    def module(pixels):
        flat = pixels.float().flatten(2)
        import torch

        return torch.cat([flat.mean(2), flat.std(2)], dim=1)

    return Extractor(name, "0" * 64, module)


def plan(folder, codecs=("webp", "thumbnail"), points=POINTS, ours=None, **more):
    ours = ours or {OURS: Ours(toys.codec())}
    return Plan(find(str(folder)), points, ours, tuple(HERE[name] for name in codecs), **more)


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(5):
        photo(170 + i, 165, seed=i).save(folder / f"{i}.png")
    return folder


@pytest.fixture
def out(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


@pytest.mark.slow
def test_the_bytes_in_the_table_are_those_on_disk_for_every_codec(photos, out):
    for i in range(1, 5):
        (photos / f"{i}.png").unlink()
    every = plan(photos, tuple(HERE), (Point(600, in_bytes=True),))
    (line, *_) = run(every, out)
    assert {row["codec"] for row in line["rows"]} == {OURS, *HERE}
    for row in line["rows"]:
        path = file_of(out, "0.png", "600B", SUFFIX[row["codec"]])
        if row["bytes"] is None:
            assert not path.exists()
            continue
        assert row["file_bytes"] == path.stat().st_size
        assert row["bytes"] == codestream_bytes(path.read_bytes()) <= 600
        assert row["bpp"] == 8 * row["bytes"] / (170 * 165)


def test_metrics_are_of_the_files_that_were_written(photos, out):
    codec, original = toys.codec(), np.asarray(photo(170, 165, seed=0))
    (line, *_) = run(plan(photos), out)
    own, thumbnail = (row for row in line["rows"][:3] if row["codec"] != "webp")
    data = file_of(out, "0.png", "q60", ".ttk").read_bytes()
    decoded = np.asarray(codec.decompress(data))
    assert (own["psnr"], own["ms_ssim"]) == (psnr(original, decoded), ms_ssim(original, decoded))
    contents = container.unpack(data)
    assert own["header"] + sum(map(len, contents.payloads)) == len(data)
    assert thumbnail["budget"] == own["bytes"]
    data = file_of(out, "0.png", "q60", SUFFIX["thumbnail"]).read_bytes()
    decoded = HERE["thumbnail"].decode(Encoded(data, (170, 165)), (170, 165))
    assert thumbnail["psnr"] == psnr(original, np.asarray(decoded))


def test_what_does_not_fit_is_counted(photos, out):
    small = plan(photos, ("jpeg",), (Point(60, in_bytes=True),))
    table = report.summary(run(small, out))
    own, jpeg = table
    assert (own["fit"], own["images"]) == (5, 5)
    assert (jpeg["fit"], jpeg["images"]) == (0, 5)
    assert "psnr" not in jpeg


def test_broken_images_are_named_and_not_fatal(photos, out):
    (photos / "2.png").write_bytes(b"no image")
    found = list(run(plan(photos), out))
    assert len(found) == 5
    assert {line["image"] for line in found if "broken" in line} == {"2.png"}
    assert all(row["images"] == 4 for row in report.summary(found))


def test_a_run_goes_on_where_it_was_killed(photos, out, tmp_path):
    network = {"extractors": (extractor(),)}
    whole_out = tmp_path / "whole"
    whole_out.mkdir()
    whole = list(run(plan(photos, **network), whole_out))
    begun = run(plan(photos, **network, workers=1), out)
    list(itertools.islice(begun, 2))
    begun.close()
    with (out / "rows.jsonl").open("a") as file:
        file.write('{"image": "3.png", "rows": [')  # it died while it wrote
    for path in (out / "features").rglob("*.f32"):
        with path.open("ab") as file:
            file.write(b"\0" * 30)
    codec = toys.codec()
    rest = plan(photos, ours={OURS: Ours(codec)}, **network)
    assert list(run(rest, out)) == whole
    assert [json.loads(raw) for raw in (out / "rows.jsonl").read_text().splitlines()] == whole
    for path in (whole_out / "features").rglob("*.f32"):
        assert path.read_bytes() == (out / path.relative_to(whole_out)).read_bytes()
    before = len(codec.layout.tokenizer.batches)
    assert list(run(rest, out)) == whole
    assert len(codec.layout.tokenizer.batches) == before, "a finished run measures nothing again"


def test_images_are_read_no_further_ahead_than_needed(photos, out, monkeypatch):
    from titokzip.bench.datasets import Item

    read = []
    load = Item.load
    monkeypatch.setattr(Item, "load", lambda self, p: read.append(self.name) or load(self, p))
    going = run(plan(photos, ("thumbnail",), workers=1), out)
    next(going)
    assert len(read) < 5
    going.close()


def test_a_huge_data_set_keeps_the_files_of_its_first_images_only(photos, out, monkeypatch):
    from titokzip.bench import plan as module

    monkeypatch.setattr(module, "KEPT", 2)
    found = list(run(plan(photos), out))
    assert all(line["rows"][0]["bytes"] for line in found)
    left = {Path(path.name).name[0] for path in (out / "files").iterdir()}
    assert left == {"0", "1"}


def test_the_frechet_distance_of_a_run_is_that_of_its_images(photos, out):
    pytest.importorskip("scipy.linalg", reason="the oracle is not installed")
    from scipy.linalg import sqrtm

    own = plan(photos, ("thumbnail",), (Point(60),), extractors=(extractor(),))
    table = report.summary(run(own, out))
    known, widths = References(), {"fd-mean": 6}
    finish(known, own.dataset, own.extractors, out, widths)
    report.add_frechet(table, out, widths, known.known)
    network = extractor()
    sets = []
    for make in (lambda i: photo(170 + i, 165, seed=i), lambda i: decoded(out, i)):
        sets.append(np.concatenate([network(np.asarray(make(i))) for i in range(5)]).astype("f8"))
    means = [s.mean(0) for s in sets]
    one, other = (np.cov(s.T) for s in sets)
    cross = np.trace(sqrtm(one @ other).real)
    expected = ((means[0] - means[1]) ** 2).sum() + np.trace(one + other) - 2 * cross
    assert table[0]["codec"] == OURS
    # Five images leave the covariance singular, where sqrtm itself is good to some digits only.
    assert table[0]["fd-mean"] == pytest.approx(expected, rel=1e-3)


def decoded(out, i):
    return toys.codec().decompress(file_of(out, f"{i}.png", "q60", ".ttk").read_bytes())


def test_patches_make_many_features_of_one_image():
    one = Extractor("patch-64 fd", "0" * 64, extractor().module, patch=64)
    pixels = np.asarray(photo(200, 130))
    found = one(pixels)
    assert found.shape == (6, 6)  # 3 x 2 whole patches
    assert np.allclose(found[4], extractor()(pixels[64:128, 64:128])[0])
    assert one(pixels[:50]).shape == (1, 6)


def test_bd_rates_take_points_at_which_every_image_fitted():
    def row(codec, point, bpp, quality, fit=4):
        return {
            "codec": codec,
            "point": point,
            "bpp": bpp,
            "psnr": quality,
            "images": 4,
            "fit": fit,
        }

    table = [row("webp", f"q{i}", 0.1 * 2**i, 30.0 + i) for i in range(3)]
    table += [row(OURS, f"q{i}", 0.05 * 2**i, 30.0 + i) for i in range(3)]
    table += [row("avif", f"q{i}", 0.1 * 2**i, 30.0 + i, fit=4 if i == 1 else 2) for i in range(3)]
    found = comparison.bd_rates(table, "webp")
    assert found["percent"][OURS]["psnr"] == pytest.approx(-50)
    assert found["percent"]["webp"]["psnr"] == pytest.approx(0)
    assert found["percent"]["avif"]["psnr"] is None
    assert found["refused"] == {"avif": {"psnr": "a curve has fewer than two points"}}


def test_lines_of_an_unfinished_journal(tmp_path):
    journal = tmp_path / "rows.jsonl"
    assert list(lines(journal)) == []
    journal.write_text('{"image": "a"}\n{"ima')
    assert list(lines(journal)) == [{"image": "a"}]
    assert journal.read_text() == '{"image": "a"}\n'


def test_memory_does_not_grow_with_the_images(tmp_path, out):
    folder = tmp_path / "many"
    folder.mkdir()
    for i in range(100):
        photo(24, 20, seed=i).save(folder / f"{i:03}.png")
    one = plan(folder, ("thumbnail",), (Point(60, in_bytes=True),), extractors=(extractor(),))
    tracemalloc.start()
    try:
        used = [tracemalloc.get_traced_memory()[0] for _ in run(one, out)]
    finally:
        tracemalloc.stop()
    assert len(used) == 100
    grown = [later - earlier for earlier, later in zip(used[10:], used[20:], strict=False)]
    assert statistics.median(grown) < 16_000  # a table of Python's own may grow once
