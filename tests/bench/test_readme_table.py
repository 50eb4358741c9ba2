"""The table of the README shows what results hold, of one model or of several."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "readme_table.py"


def row(point, codec, fit=2, **values):
    return {"point": point, "codec": codec, "photos": 2, "fit": fit} | values


@pytest.fixture
def results(tmp_path):
    """Write a result of schema 1 with one model, and one of schema 2 with two painters."""
    about = {"dataset": {"name": "kodak", "photos": 2, "protocol": "full resolution"}}
    about |= {"environment": {"date": "2030-01-02"}}
    ours, webp = {"bytes": 96.0, "bpp": 0.01, "psnr": 20.0, "ms_ssim": 0.5}, {"psnr": 19.0}
    old = about | {"schema": 1, "model": {"name": "xs", "digest": "0123456789"}}
    old["summary"] = [row("96B", "titokzip", **ours), row("96B", "webp", 1, **webp)]
    (tmp_path / "kodak.json").write_text(json.dumps(old))
    names = {f"titokzip {n}": {"name": n, "digest": 8 * d} for n, d in (("xs", "a"), ("v", "b"))}
    new = about | {"schema": 2, "models": names}
    new["summary"] = [row("96B", n, **ours, **{"pd-net": 1.5, "fd-net": 80.25}) for n in names]
    new["summary"] += [row("96B", "webp", 0), row("96B", "jpeg", **webp)]
    (tmp_path / "imagenet.json").write_text(json.dumps(new))
    return tmp_path


def script(results, *words, code=0):
    readme = results / "README.md"
    command = [sys.executable, str(SCRIPT), "--readme", str(readme), "--results", str(results)]
    done = subprocess.run([*command, *words], capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    return readme.read_text()


def test_one_model_and_several(results):
    (results / "README.md").write_text("before\n<!-- bench -->\nold\n<!-- /bench -->\nafter\n")
    script(results, "--check", code=1)
    text = script(results)
    assert text.startswith(
        "before\n<!-- bench -->\nkodak, 2 photos, full resolution (model 01234567,"
    )
    assert text.endswith("<!-- /bench -->\nafter\n")
    for line in (
        "| bytes | bpp | titokzip | webp |",
        "| 96 | 0.0100 | 20.00 / 0.500 | 19.00 (1/2) |",
        "(models xs aaaaaaaa, v bbbbbbbb, 2030-01-02):",
        "| bytes | bpp | titokzip xs | titokzip v | webp |",
        "| 96 | 0.0100 | 20.00 / 0.500 | 20.00 / 0.500 | cannot |",
        "| **distance by net** | | | | |",
        "| 96 | 0.0100 | 1.50 | 1.50 | cannot |",
        "| **Frechet distance by net** | | | | |",
        "| 96 | 0.0100 | 80.25 | 80.25 | cannot |",
    ):
        assert line in text
    script(results, "--check")


def test_a_readme_without_a_place_for_it_is_refused(results):
    (results / "README.md").write_text("nothing")
    script(results, code=1)
