"""Headline and tables show what results hold: the strongest baseline at each size, win or lose."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from titokzip.bench import comparison

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "readme_table.py"
MARKS = "".join(
    f"<!-- {mark} -->\nold\n<!-- /{mark} -->\n" for mark in ("headline", "bench", "results")
)


def row(point, codec, fit=2, **values):
    return {"point": point, "codec": codec, "images": 2, "fit": fit} | values


@pytest.fixture
def root(tmp_path):
    """Lay out a README, a page, and a result in which each side wins once."""
    table = []
    for point, size, own, vvc in (("96B", 96.0, 20.0, None), ("400B", 400.0, 22.0, 23.5)):
        at = {"bytes": size, "bpp": size / 1e4}
        table.append(row(point, "titokzip", **at, psnr=own, lpips=0.5))
        table.append(row(point, "webp", **at, psnr=own - 1, lpips=0.61))
        found = {} if vvc is None else at | {"psnr": vvc, "lpips": 0.7}
        table.append(row(point, "vvc", 0 if vvc is None else 2, **found))
        table.append(row(point, "jpeg", 1, **at, psnr=30.0, lpips=0.1))
    result = {
        "schema": 3,
        "dataset": {"name": "kodak", "images": 2, "protocol": "full resolution"},
        "environment": {"date": "2030-01-02"},
        "models": {
            "titokzip": {"name": "xs", "digest": "0123456789", "trained_against": ["alexnet"]}
        },
        "networks": {"lpips": {"network": "AlexNet"}, "face": {"network": "a face descriptor"}},
        "compared": "codestreams",
        "summary": table,
        "strongest": comparison.strongest(table),
        "bd_rate": comparison.bd_rates(table, "webp"),
    }
    (tmp_path / "results").mkdir()
    (tmp_path / "docs").mkdir()
    (tmp_path / "results" / "kodak.json").write_text(json.dumps(result))
    (tmp_path / "results" / "samples.json").write_text(json.dumps({"schema": 2}))
    (tmp_path / "README.md").write_text(f"before\n{MARKS}after\n")
    (tmp_path / "docs" / "benchmarks.md").write_text(MARKS)
    (tmp_path / "docs" / "curves-kodak.svg").write_text("old")
    return tmp_path


def script(root, *words, code=0):
    command = [sys.executable, str(SCRIPT), "--root", str(root), "--results", str(root / "results")]
    done = subprocess.run([*command, *words], capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    return (root / "README.md").read_text()


def test_the_strongest_baseline_stands_beside_ours_at_each_size(root):
    script(root, "--check", code=1)
    text = script(root)
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    for line in (
        "**Kodak, 2 images in at most 400 bytes each (0.040 bits a pixel). PSNR 22.00 dB (1.50 dB"
        " behind VVC).**",  # not LPIPS, which it was trained against
        "kodak, 2 images, full resolution (model xs 01234567, 2030-01-02). Bytes are of our whole"
        " files, and of the baselines' bare codestreams.",
        "| bytes, at most | bpp | titokzip | strongest baseline |",
        "| 96 | 0.0096 | 20.00 (+1.00) | WebP 19.00 |",
        "| 400 | 0.0400 | 22.00 (−1.50) | VVC 23.50 |",
        "| 96 | 0.0096 | 0.500 (+0.110) | WebP 0.610 |",
        "| bytes, at most | titokzip | WebP | VVC | JPEG |",
        "| 96 | 20.00 | 19.00 | cannot | 30.00 (1/2) |",
    ):
        assert line in text, line
    assert "BD-rate against WebP: titokzip −" in text
    assert "titokzip none by LPIPS (" in text
    assert "LPIPS is by AlexNet: titokzip was trained against it." in text
    assert "face descriptor" not in text
    assert "<polyline" in (root / "docs" / "curves-kodak.svg").read_text()
    script(root, "--check")


@pytest.mark.parametrize(("taught", "counts"), [([], True), (["alexnet"], False), (None, False)])
def test_the_headline_has_the_best_of_several_models(root, taught, counts):
    path = root / "results" / "kodak.json"
    result = json.loads(path.read_text())
    more = [dict(line, codec="titokzip other", psnr=line["psnr"] - 1, lpips=0.3)
            for line in result["summary"] if line["codec"] == "titokzip"]  # fmt: skip
    table = result["summary"] + more
    result["models"]["titokzip other"] = result["models"]["titokzip"] | {"trained_against": taught}
    result |= {"summary": table, "strongest": comparison.strongest(table)}
    path.write_text(json.dumps(result))
    text = script(root)
    assert "titokzip: PSNR 22.00 dB (1.50 dB behind VVC)" in text
    other = "other: PSNR 21.00 dB (2.50 dB behind VVC), LPIPS 0.300 (0.310 ahead of WebP)"
    assert (other in text) is counts


def test_points_that_are_no_limits_show_our_own_bytes(root):
    path = root / "results" / "kodak.json"
    path.write_text(path.read_text().replace('"96B"', '"q 30"').replace('"400B"', '"q 50"'))
    text = script(root)
    assert "**Kodak, 2 images in 400 bytes each (" in text
    assert "| bytes | bpp | titokzip | strongest baseline |\n" in text
    assert "| 96 | 0.0096 | 20.00 (+1.00) | WebP 19.00 |" in text


def test_a_readme_without_a_place_for_it_is_refused(root):
    (root / "README.md").write_text("nothing")
    (root / "docs" / "benchmarks.md").write_text("nothing")
    script(root, code=1)


def test_results_of_an_older_schema_change_nothing(root):
    (root / "results" / "kodak.json").unlink()
    before = (root / "README.md").read_text()
    assert script(root) == before
