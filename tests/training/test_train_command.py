"""titokzip train: from a folder of images to a model that compresses, killed and resumed."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest
from photos import photo
from run import run, spawn

from titokzip import zoo
from titokzip.training import checkpoint, trainer
from titokzip.training.presets import PRESETS

FAST = ["--set", "model.encoder.width=32", "--set", "model.decoder.width=32", "--threads", "1"]
FAST += ["--set", "log_every=1", "--set", "model.size=16", "--set", "loading.held_out=0.2"]


def given(folder, out, *more):
    return ["train", "titok-tiny", "--data", folder, "--out", out, *FAST, *more]


def rows(out, kind="training"):
    lines = (out / "log.jsonl").read_text().splitlines()
    return [row for row in map(json.loads, lines) if row["kind"] == kind]


@pytest.fixture
def models(tmp_path, monkeypatch):
    monkeypatch.setenv("TITOKZIP_MODELS", str(tmp_path / "models"))


def test_the_presets_are_listed():
    listed = run("train", "--list").stdout
    assert all(name in listed for name in PRESETS)


def test_a_model_is_trained_added_and_compresses(folder, tmp_path, models):
    out = tmp_path / "run"
    told = run(*given(folder, out, "--steps", "3", "--name", "mine")).stderr
    assert "step 3 of 3  48 samples" in told
    assert f"`titokzip models add {out / 'mine'}` takes it" in told
    assert sorted(path.name for path in (out / "mine").iterdir()) == [
        "config.json", "model.safetensors"
    ]  # fmt: skip
    run("models", "add", out / "mine")
    manifest = zoo.find("mine")
    release = zoo.release_of(manifest)
    assert (release.tokens, release.vocabulary, manifest.kind) == (16, 64, "titok")
    (row,) = [
        r
        for r in json.loads(run("models", "list", "--json").stdout)["models"]
        if r["name"] == "mine"
    ]
    assert (row["tokens"], row["parameters"]) == (16, 66_684)
    run("models", "verify", "mine")
    photo(40, 30).save(tmp_path / "a.png")
    run("compress", tmp_path / "a.png", "-m", "mine", "--verify")
    run("decompress", tmp_path / "a.ttk", "-o", tmp_path / "b.png")
    run("models", "rm", "mine", "--force")
    assert (out / "mine" / "model.safetensors").exists()


def test_a_recipe_is_read_from_a_file(folder, tmp_path):
    (tmp_path / "mine.toml").write_text('base = "titok-tiny"\nsteps = 2\n[model]\nlength = 4\n')
    run("train", tmp_path / "mine.toml", "--data", folder, "--out", tmp_path / "run", *FAST)
    config = json.loads((tmp_path / "run/mine/config.json").read_text())
    assert config["model"]["vq_model"]["num_latent_tokens"] == 4
    assert config["titokzip"]["config"]["encoder"]["width"] == 32


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name a preset or a TOML file"),
        (["no-such", "--data", ".", "--out", "x"], "no preset named 'no-such'"),
        (["titok-tiny", "--data", "."], "--data and --out are needed"),
        (["titok-tiny", "--data", ".", "--out", "x", "--set", "a=1"], "a is unknown"),
        (["titok-tiny", "--data", ".", "--out", "x", "--name", "a/b"], "--name a/b"),
        (["titok-tiny", "--data", ".", "--out", "x", "--steps", "0"], "--steps"),
        (["titok-tiny", "--data", ".", "--out", "x", "--device", "mps"], "--device mps"),
    ],
)
def test_wrong_usage_is_refused(arguments, message):
    assert message in run("train", *arguments, code=2).stderr


def test_a_folder_that_holds_a_run_is_gone_on_with_or_left_alone(folder, tmp_path):
    out = tmp_path / "run"
    run(*given(folder, out, "--steps", "2"))
    state = (out / "resume.pt").read_bytes()
    told = run(*given(folder, out, "--steps", "4"), code=4).stderr
    assert "--resume goes on with it" in told
    assert (out / "resume.pt").read_bytes() == state
    told = run(*given(folder, out, "--resume", "--batch", "4"), code=3).stderr
    assert "holds a run of another recipe (batch)" in told
    told = run(*given(folder, out, "--resume", "--seed", "1"), code=3).stderr
    assert "holds a run of another recipe (seed)" in told
    run(*given(folder, out, "--resume", "--steps", "4"))
    assert [row["step"] for row in rows(out)] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("preset", "message"),
    [
        ("titok-bl64", "a perceptual loss needs a network"),
        ("titok-s128-stage1", "stage 1 needs a MaskGIT-VQGAN"),
        ("titok-s128-stage2", "stage 2 starts from weights of stage 1"),
        ("flextok-tiny", "in the latents of an autoencoder"),
    ],
)
def test_files_that_a_recipe_needs_are_asked_for(folder, tmp_path, preset, message):
    small = ["--set", "model.encoder={width=32, depth=1, heads=1}"]
    small += ["--set", "model.decoder={width=32, depth=1, heads=1}"]
    told = run("train", preset, "--data", folder, "--out", tmp_path / "run", *small, code=3).stderr
    assert message in told
    assert "Traceback" not in told
    assert not (tmp_path / "run").exists()


def test_a_run_of_minutes_ends_and_goes_on(folder, tmp_path, monkeypatch):
    seconds = iter(range(1000))
    monkeypatch.setattr("titokzip.training.progress.Clock.seconds", lambda self: next(seconds))
    out = tmp_path / "run"
    run(*given(folder, out, "--steps", "5", "--minutes", "0.2"))
    done = rows(out)[-1]["step"]
    assert 0 < done < 5
    assert (out / "titok-tiny" / "model.safetensors").exists()
    run(*given(folder, out, "--steps", "5", "--resume"))
    assert [row["step"] for row in rows(out)] == [1, 2, 3, 4, 5]


def test_a_loss_that_is_not_finite_ends_in_one_line(folder, tmp_path):
    told = run(*given(folder, tmp_path / "run", "--set", "optimization.rate=1e38"), code=1).stderr
    assert "titokzip: step 3: not finite: " in told.splitlines()[-1]  # warm-up: the first step is 0
    assert not (tmp_path / "run" / "resume.pt").exists()


def test_a_run_that_is_interrupted_saves_the_step_it_is_in(folder, tmp_path, monkeypatch):
    out, step = tmp_path / "run", trainer.Trainer.advance

    def interrupted(self):
        if self.step == 3:
            os.kill(os.getpid(), signal.SIGINT)
        step(self)

    monkeypatch.setattr(trainer.Trainer, "advance", interrupted)
    told = run(*given(folder, out), code=130).stderr
    assert told.splitlines()[-1] == "interrupted"
    assert checkpoint.load(out / "resume.pt")["step"] == 4


@pytest.mark.slow
def test_a_killed_run_goes_on_with_the_same_losses(folder, tmp_path):
    """Killed with -9 at random, again and again, and resumed; workers decode."""
    steps, whole, cut = 30, tmp_path / "whole", tmp_path / "cut"
    more = ["--steps", steps, "--set", "loading.workers=2", "--set", "save_minutes=0.002"]
    more += ["--set", "losses.adversarial={weight=0.1, start=12, width=8}"]
    run(*given(folder, whole, *map(str, more)))
    wanted = rows(whole)
    chance, losses = random.Random(time.time_ns()), {}
    for _ in range(3):
        process = spawn(*given(folder, cut, *map(str, more), "--resume"))
        target = chance.randrange(3, 9) + len(losses)
        while process.poll() is None and _steps(cut) < target:
            time.sleep(0.01)
        process.kill()
        process.communicate()
        losses = {row["step"]: row for row in rows(cut)}
    done = spawn(*given(folder, cut, *map(str, more), "--resume"))
    assert done.communicate()[1].count(b"Traceback") == 0
    assert done.returncode == 0
    assert rows(cut) == wanted
    files = [out / "titok-tiny" / "model.safetensors" for out in (whole, cut)]
    assert files[0].read_bytes() == files[1].read_bytes()


def _steps(out):
    log = out / "log.jsonl"
    return log.read_text().count("\n") if log.exists() else 0


def test_numbers_go_to_tensorboard_where_it_is_installed(tmp_path):
    """A stand-in for its writer."""
    program = (
        "import sys, types\n"
        "board = types.ModuleType('tensorboard'); board.__spec__ = object()\n"
        "sys.modules['tensorboard'] = board\n"
        "writer = types.ModuleType('torch.utils.tensorboard')\n"
        "class SummaryWriter:\n"
        "    def __init__(self, folder, purge_step): print('opened', folder, purge_step)\n"
        "    def add_scalar(self, name, value, step): print(name, value, step)\n"
        "    def close(self): print('closed')\n"
        "writer.SummaryWriter = SummaryWriter\n"
        "sys.modules['torch.utils.tensorboard'] = writer\n"
        "from pathlib import Path\n"
        "from titokzip.training.progress import Log\n"
        "log = Log(Path(sys.argv[1]), 2)\n"
        "log.write(3, 'training', {'loss': 0.5})\n"
        "log.close()\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert told == [f"opened {tmp_path / 'tensorboard'} 3", "training/loss 0.5 3", "closed"]
