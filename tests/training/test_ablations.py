"""The arms of the design search, on a toy model."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from photos import photo

from titokzip import zoo
from titokzip.tokenizers.config import ViTConfig
from titokzip.tokenizers.titok.network import TiTok
from titokzip.training import pipeline

TOY = ViTConfig(width=32, depth=1, heads=2)
LENGTHS = {"4", "8", "16"}


@pytest.fixture
def benchmarks(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
    import ablations
    import alternatives

    return ablations, alternatives


@pytest.fixture
def code(untrained, photos, tmp_path):
    path = tmp_path / "start.safetensors"
    zoo.save(path, "start", untrained, pipeline.count(untrained, photos, 1), pipeline.LICENCE)
    return path


@pytest.fixture
def call(benchmarks, monkeypatch, folder, code, tmp_path, capsys):
    """Run the script on some arms; the lines it prints."""
    (tmp_path / "large").mkdir()
    for i in range(2):
        photo(200, 160, i).save(tmp_path / "large" / f"{i}.png")

    def called(*names):
        words = ["--data", folder, "--kodak", tmp_path / "large", "--code", code]
        words += ["--minutes", "0.0005", *names]
        monkeypatch.setattr(sys, "argv", ["ablations.py", *map(str, words)])
        threads = torch.get_num_threads()
        try:
            benchmarks[0].main()
        finally:
            torch.set_num_threads(threads)
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return called


def test_an_arm_tells_what_it_gave(benchmarks, call, monkeypatch):
    arm = benchmarks[0].Arm(painter=TOY)
    titok = replace(benchmarks[1].VQ_XS, encoder=TOY, decoder=TOY, length=8, size=64, codebook=16)
    table = {
        "control": arm,
        "stitched": replace(arm, linear=True, muon=0.0, grids=True, stitched=True),
        "vq": replace(arm, titok=titok),
        "fsq": replace(arm, titok=replace(titok, channels=2), levels=(4, 4)),
    }
    monkeypatch.setattr(benchmarks[0], "ARMS", table)
    rows = call(*table)
    assert [row["arm"] for row in rows] == [*table]
    for row in rows:
        discrete = row["arm"] in ("vq", "fsq")
        assert row["pictures"] > 0
        assert row["pictures"] % benchmarks[0].BATCH == 0
        assert row["pictures a second"] > 0
        assert row["parameters"] > 0
        assert row["environment"].keys() >= {"date", "commit", "machine", "packages"}
        for place in ("held out", "kodak"):
            measured = row[place]
            lengths = LENGTHS - {"16"} if discrete else LENGTHS
            assert measured["psnr"].keys() == measured["bytes"].keys() == lengths
            assert list(measured["bytes"].values()) == sorted(measured["bytes"].values())
            assert 0 < measured["codes"] <= (16 if discrete else 3**9)
        assert ("border steps" in row) != discrete
    assert rows[2]["held out"]["bytes"] == {"4": 2, "8": 4}  # four bits a token


def test_an_arm_that_nobody_knows_is_named(call, capsys):
    with pytest.raises(SystemExit):
        call("control", "no-such")
    assert "no such arm: no-such" in capsys.readouterr().err


def test_codes_that_are_not_chosen_start_anew(benchmarks):
    titok = TiTok(replace(benchmarks[1].VQ_XS, encoder=TOY, decoder=TOY, codebook=16))
    objective = benchmarks[1].Discrete(titok)
    latents = torch.nn.functional.normalize(torch.randn(1, 40, 12), dim=-1)
    titok.quantizer.codebook[1:] = -titok.quantizer.codebook[0]  # nearly all latents choose two
    for _ in range(3):
        snapped, far = objective._quantize(latents)
    assert len(titok.quantizer(latents).unique()) > 4
    assert snapped.shape == latents.shape
    assert float(far) > 0
