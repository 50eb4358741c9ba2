"""titokzip bench: one command to a table, a result and a page."""

import json
import subprocess
import sys

import numpy as np
import pytest
import refiners
import scripts
import toys
from photos import photo
from run import run

from titokzip import zoo


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Keep results out of the user's cache, and measure by no network that is installed."""
    monkeypatch.setenv("TITOKZIP_BENCH_CACHE", str(tmp_path / "cache"))
    from titokzip.bench import distances, metric_programs

    inside = distances.inside
    monkeypatch.setattr(
        distances, "inside", lambda p, n: None if p == "stlpips_pytorch" else inside(p, n)
    )
    monkeypatch.setattr(metric_programs, "available", list)


@pytest.fixture
def fast(monkeypatch):
    """Put a toy in the place of our model, where the test is of something else."""
    from titokzip.bench.ours import Ours

    monkeypatch.setattr(Ours, "load", lambda model, device, truncate: Ours(toys.codec(), model))


@pytest.fixture
def imagenet(tmp_path):
    """Lay out images and a broken one as people have ImageNet's validation set."""
    for i in range(3):
        place = tmp_path / "data" / "imagenet" / "val" / f"n0144076{i}"
        place.mkdir(parents=True)
        photo(340 - 20 * i, 270, seed=i).save(place / f"ILSVRC2012_val_0000000{i}.JPEG")
        (place / "broken.JPEG").write_bytes(b"\xff\xd8 nothing more")
    return tmp_path / "data"


@pytest.fixture
def inception(tmp_path):
    """Stand in for inception-2015-12-05.pt, called as it is."""

    import torch

    class Mean(torch.nn.Module):
        def forward(self, pixels: torch.Tensor, return_features: bool = False) -> torch.Tensor:
            return pixels.float().mean(dim=[2, 3])

    return scripts.write(Mean(), tmp_path / "inception-2015-12-05.pt")


def bench(*words, **how):
    return run("bench", *words, "--device", "cpu", **how)


@pytest.mark.slow
def test_imagenet_val_as_titok_evaluates_rfid_included(imagenet, inception, tmp_path):
    out = tmp_path / "out"
    words = ["--dataset", "imagenet-val", "--data-root", imagenet, "--resize", 256, "--crop", 256]
    words += [
        "--truncate",
        "--budgets",
        "96,192",
        "--codecs",
        "webp,thumbnail",
        "--inception",
        inception,
    ]
    words += ["--no-speed", "--out", out]
    shown = bench(*words)
    result = json.loads((out / "result.json").read_text())
    assert result["schema"] == 3
    protocol = "shorter side 256 bicubic, centre crop 256, decoded pixels truncated"
    assert result["dataset"]["protocol"] == protocol
    assert result["dataset"]["protocol"] in " ".join(shown.stdout.split())
    assert len(result["broken"]) == 3
    assert "3 images could not be read" in shown.stderr
    assert "LPIPS not measured: pip install lpips" in shown.stderr
    assert "--alexnet FILE, --vgg16 FILE name the files" in shown.stderr
    assert "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth" in shown.stderr
    assert result["references"] == {"rfid": "this run"}
    assert len(result["networks"]["rfid"]["sha256"][0]) == 64
    ours = [row for row in result["summary"] if row["codec"] == "titokzip"]
    assert [row["fit"] for row in ours] == [3, 3]
    assert all(row["rfid"] >= 0 for row in ours)
    for line in result["rows"]:
        assert (line["width"], line["height"]) == (256, 256)
        for row in line["rows"]:
            assert row["bytes"] is None or row["bytes"] <= row.get("budget", 192)
    assert "<svg" in (out / "report.html").read_text()
    again = bench(*words, "--json")
    assert json.loads(again.stdout)["summary"] == result["summary"]
    other = bench(*words, "--limit", 2, code=2)
    assert "--fresh starts over" in other.stderr
    bench(*words, "--codecs", "thumbnail", "--budgets", "96", "--fresh")
    fresh = json.loads((out / "result.json").read_text())
    assert fresh["points"] == ["96B"]
    assert fresh["references"] == {"rfid": "an earlier run"}
    own = next(row for row in fresh["summary"] if row["codec"] == "titokzip")
    assert own["rfid"] == pytest.approx(ours[0]["rfid"], rel=1e-9)


@pytest.fixture
def brighter(tmp_path):
    """Write a model of the same tokens as the embedded one, with another decoder."""
    manifest = refiners.write(tmp_path / "brighter.safetensors", "brighter")
    assert manifest.fingerprint == zoo.find(zoo.DEFAULT).fingerprint
    return manifest.path


@pytest.mark.slow
def test_two_decoders_side_by_side_read_the_same_bytes(brighter, tmp_path):
    photo(180, 164).save(tmp_path / "a.png")
    words = ["--dataset", tmp_path / "a.png", "--out", tmp_path / "out", "--no-speed"]
    words += ["-m", "xs", "-m", brighter, "--qualities", "30,50", "--codecs", "webp,thumbnail"]
    shown = bench(*words, "--anchor", "titokzip xs")
    assert "models xs, brighter" in " ".join(shown.stdout.split())
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert set(result["models"]) == {"titokzip xs", "titokzip brighter"}
    assert result["bd_rate"]["anchor"] == "titokzip xs"
    rows = result["rows"][0]["rows"]
    for point in ("q30", "q50"):
        one, other, *others = (row for row in rows if row["point"] == point)
        assert (one["codec"], other["codec"]) == ("titokzip xs", "titokzip brighter")
        files = [tmp_path / f"out/files/a.png.{point}.{name}.ttk" for name in ("xs", "brighter")]
        assert files[0].read_bytes() == files[1].read_bytes()
        assert one["bytes"] == other["bytes"] == files[0].stat().st_size
        assert one["psnr"] != other["psnr"]
        assert {row["budget"] for row in others} == {one["bytes"]}
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count("<polyline") == 8  # four codecs, two measures
    assert page.count('class="ours"') == 4
    assert "&quot;titokzip brighter&quot;: [" in page


@pytest.mark.usefixtures("fast")
def test_statistics_of_other_images_can_be_given(imagenet, inception, tmp_path):
    mean = [120.0, 120.0, 120.0]
    np.savez(tmp_path / "given.npz", mu=mean, sigma=np.eye(3))
    words = ["--dataset", "imagenet-val", "--data-root", imagenet, "--no-speed"]
    words += ["--inception", inception, "--reference", tmp_path / "given.npz"]
    words += ["--budgets", "96", "--codecs", "thumbnail", "--out", tmp_path / "out"]
    shown = bench(*words)
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert all(row["fid"] > 0 and "rfid" not in row for row in result["summary"])
    assert [len(sha) for sha in result["networks"]["fid"]["sha256"]] == [64, 64]
    assert "rFID not measured: leave out the reference statistics" in shown.stderr
    assert result["references"] == {"fid": "given.npz"}


@pytest.mark.usefixtures("fast")
def test_baselines_get_the_bytes_of_each_of_our_files(tmp_path):
    photo(300, 200).save(tmp_path / "a.png")
    words = ["--qualities", "70,70.0", "--codecs", "webp,jpeg,webp"]  # each is measured once
    words += ["--no-speed", "--out", tmp_path / "out"]
    bench("--dataset", tmp_path / "a.png", *words)
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    own, *others = result["rows"][0]["rows"]
    assert [row["codec"] for row in others] == ["webp", "jpeg"]
    assert {row["budget"] for row in others} == {own["bytes"]}


def test_missing_and_empty_data_sets_are_one_line(tmp_path):
    missing = bench("--dataset", "kodak", "--data-root", tmp_path, code=3)
    assert "https://r0k.us/graphics/kodak" in missing.stderr
    assert missing.stderr.count("\n") == 1
    from_environment = bench("--dataset", "kodak", code=3, env={"TITOKZIP_DATA": str(tmp_path)})
    assert from_environment.stderr == missing.stderr
    assert "no images" in bench("--dataset", tmp_path, code=3).stderr
    (tmp_path / "a.png").write_bytes(b"broken")
    broken = bench("--dataset", tmp_path, "--no-speed", "--out", tmp_path / "out", code=3)
    assert "none of 1 images can be read" in broken.stderr


def test_a_missing_network_is_one_line(tmp_path):
    photo(40, 30).save(tmp_path / "a.png")
    words = ["--dataset", tmp_path / "a.png", "--inception", tmp_path / "none.pt"]
    gone = bench(*words, "--out", tmp_path / "out", code=3)
    assert "none.pt" in gone.stderr
    assert gone.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--qualities", "50", "--budgets", "100"], "exclude each other"),
        (["--qualities", "0"], "1 or more"),
        (["--qualities", "nan"], "1 or more"),
        (["--budgets", "inf"], "1 or more"),
        (["--budgets", "0.5"], "1 or more"),
        (["--qualities", "500"], "1 to 100"),
        (["--budgets", "many"], "not numbers"),
        (["--codecs", "webp,gif"], "no baseline named 'gif'"),
        (["--codec", "gif"], "is not 'name: encode"),
        (["--codec", "nowhere.toml"], "cannot be read"),
        (["--out", "results.json"], "--out names a folder"),
        (["--face-network", "a.pt"], "need each other"),
        (["--anchor", "gif"], "no codec named 'gif'"),
        (["-m", "xs", "-m", "xs"], "two models of one name: xs, xs"),
        (["--reference", "a.npz"], "--reference needs --inception"),
        (["--crop", "256"], "--crop needs --resize"),
        (["--resize", "100", "--crop", "256"], "larger than --resize"),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused(words, reason):
    assert reason in bench("--dataset", "samples", *words, code=2).stderr


TOY = """#!{python}
import sys
from PIL import Image
Image.open(sys.argv[1]).save(sys.argv[2], "WEBP", quality=int(sys.argv[3]))
"""
BACK = """#!{python}
import sys
from PIL import Image
Image.open(sys.argv[1]).save(sys.argv[2], "PNG")
"""


@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize("described", ["line", "toml"])
def test_a_codec_that_nobody_knows_is_added_by_one_line(tmp_path, described):
    folder = tmp_path / "programs"
    folder.mkdir()
    for name, text in (("toy-enc", TOY), ("toy-dec", BACK)):
        (folder / name).write_text(text.format(python=sys.executable))
        (folder / name).chmod(0o755)
    photo(180, 170).save(tmp_path / "a.png")
    codec = "toy: toy-enc {in} {out} {quality} :: toy-dec {in} {out} :: qualities=40..40"
    if described == "toml":
        codec = tmp_path / "toy.toml"
        codec.write_text(
            '[toy]\nencode = "toy-enc {in} {out} {quality}"\ndecode = "toy-dec {in} {out}"\n'
            'qualities = "40..40"\n'
        )
    words = ["--dataset", tmp_path / "a.png", "--out", tmp_path / "out", "--no-speed"]
    words += ["--codecs", "thumbnail", "--codec", codec, "--programs", folder]
    bench(*words, "--budgets", "400,800")
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    toy = [row for row in result["summary"] if row["codec"] == "toy"]
    assert all(row["fit"] == 1 and row["bytes"] <= 800 and row["psnr"] > 20 for row in toy)
    assert all(row["file_bytes"] == row["bytes"] + 20 for row in toy), "RIFF's bytes do not count"
    assert result["codecs"]["toy"].startswith("SHA-256 ")
    assert {one["baseline"] for one in result["strongest"] if one["measure"] == "psnr"} == {"toy"}
    assert result["bd_rate"]["anchor"] == "toy"
    page = (tmp_path / "out" / "report.html").read_text()
    assert "&quot;toy&quot;: [" in page
    whole = bench(*words, "--budgets", "400", "--compare", "files", "--fresh", "--json")
    row = next(r for r in json.loads(whole.stdout)["summary"] if r["codec"] == "toy")
    assert row["bytes"] == row["file_bytes"] <= 400


@pytest.mark.usefixtures("fast")
def test_an_image_that_changed_is_another_run(tmp_path):
    words = ["--dataset", tmp_path, "--out", tmp_path / "out", "--no-speed", "--budgets", "100"]
    words += ["--codecs", "webp"]
    photo(64, 48).save(tmp_path / "photo.bmp")
    bench(*words)
    photo(64, 48, seed=1).save(tmp_path / "photo.bmp")  # as many bytes
    assert "other images; --fresh starts over" in bench(*words, code=2).stderr
    first = json.loads((tmp_path / "out" / "result.json").read_text())
    bench(*words, "--fresh")
    second = json.loads((tmp_path / "out" / "result.json").read_text())
    assert first["dataset"]["sha256"] != second["dataset"]["sha256"]
    assert first["summary"] != second["summary"]


@pytest.mark.usefixtures("fast")
def test_a_second_run_measures_neither_its_own_output_nor_that_of_the_first(tmp_path):
    photo(64, 48).save(tmp_path / "a.png")
    for name in ("one", "two", "two"):
        words = ["--dataset", tmp_path, "--out", tmp_path / name, "--no-speed"]
        bench(*words, "--budgets", "100", "--codecs", "webp,jpeg2000")
        result = json.loads((tmp_path / name / "result.json").read_text())
        assert result["dataset"]["images"] == 1
    assert set(result["skipped"]) == {str(tmp_path / "one"), str(tmp_path / "two")}


@pytest.mark.usefixtures("fast")
def test_a_measure_that_was_asked_for_is_in_the_table_or_named(tmp_path, inception):
    photo(64, 48).save(tmp_path / "a.png")
    words = ["--dataset", tmp_path / "a.png", "--out", tmp_path / "out", "--no-speed"]
    shown = bench(*words, "--budgets", "100", "--codecs", "webp", "--inception", inception)
    assert "rFID not measured: a Frechet distance takes two images or more" in shown.stderr
    assert "MS-SSIM not measured: no image here is large enough" in shown.stderr


@pytest.mark.usefixtures("fast")
def test_baselines_get_one_channel_of_a_grey_image(tmp_path):
    photo(64, 48, mode="L").save(tmp_path / "a.png")
    words = ["--dataset", tmp_path / "a.png", "--out", tmp_path / "out", "--no-speed"]
    bench(*words, "--budgets", "700", "--codecs", "jpeg2000,thumbnail")
    from PIL import Image

    with Image.open(tmp_path / "out" / "files" / "a.png.700B.jpeg2000.jp2") as image:
        assert image.mode == "L"
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    thumbnail = result["summary"][-1]
    assert thumbnail["codec"] == "thumbnail"
    assert thumbnail["psnr"] > 27


@pytest.mark.usefixtures("fast")
def test_what_was_measured_once_is_not_measured_again(tmp_path, cache):
    photo(64, 48).save(tmp_path / "a.png")
    words = ["--dataset", tmp_path / "a.png", "--no-speed", "--budgets", "300", "--codecs", "webp"]
    bench(*words, "--out", tmp_path / "one")
    (kept,) = (tmp_path / "cache").glob("*.sqlite")
    import sqlite3

    def entries():
        return sqlite3.connect(kept).execute("SELECT count(*) FROM entries").fetchone()[0]

    before = entries()
    assert before > 2
    bench(*words, "--out", tmp_path / "two")
    assert entries() == before
    results = [json.loads((tmp_path / n / "result.json").read_text()) for n in ("one", "two")]
    assert results[0]["rows"] == results[1]["rows"]


@pytest.mark.usefixtures("fast")
def test_a_run_is_repeated_without_its_searches(tmp_path, monkeypatch):
    from titokzip.bench import downscale_search

    photo(64, 48).save(tmp_path / "photo.bmp")
    words = ["--dataset", tmp_path / "photo.bmp", "--no-speed", "--budgets", "100,400"]
    words += ["--codecs", "webp,thumbnail", "--no-cache"]
    bench(*words, "--out", tmp_path / "first")
    monkeypatch.delattr(downscale_search, "_search")
    result = tmp_path / "first" / "result.json"
    bench(*words, "--repeat", result, "--out", tmp_path / "second")
    first, second = (
        json.loads((tmp_path / run / "result.json").read_text()) for run in ("first", "second")
    )
    assert first["rows"] == second["rows"]
    assert first["repeated"] is None
    assert len(second["repeated"]) == 64
    more = ["--repeat", result, "--compare", "files", "--out", tmp_path / "third"]
    assert "compares other bytes" in bench(*words, *more, code=2).stderr
    assert not (tmp_path / "third").exists()


def test_help_needs_no_torch():
    code = "import sys, titokzip.cli.bench; print('torch' in sys.modules)"
    asked = [sys.executable, "-c", code]
    assert subprocess.run(asked, capture_output=True, text=True, check=True).stdout == "False\n"
