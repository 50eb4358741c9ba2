"""Training, on photos and models so small that it takes seconds."""

import json
import re
from dataclasses import replace

import pytest
import torch
from photos import photo, psnr
from PIL import Image
from releases import official_folder, register
from run import run

from titokzip import zoo
from titokzip.bitstream import container
from titokzip.codec import Codec
from titokzip.errors import ModelError
from titokzip.rate_control import Rate
from titokzip.training import loop, pipeline, transform_design
from titokzip.training.presets import PRESETS
from titokzip.training.session import Run

QUIET = lambda progress: None  # noqa: E731


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(transform_design, "SAMPLES", 300)


def parameters(run):
    return torch.cat([p.flatten() for p in run.averaged().parameters()])


def test_steps_lower_the_loss(begin):
    training = begin()
    tiles = training.sampler.batch(8)
    losses = [float(training.step(tiles, 0.02)) for _ in range(25)]
    assert losses[-1] < losses[0] - 0.3
    assert training.pictures == 200


@pytest.mark.parametrize("reading", [False, True])
def test_only_what_is_trained_changes(begin, reading):
    training = begin(reading=reading)
    before = {name: t.clone() for name, t in training.averaged().state_dict().items()}
    for _ in range(3):
        training.step(training.sampler.batch(4), 0.02)
    after = training.averaged().state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert any(name.startswith("painter") for name in changed)
    assert any(name.startswith("reader") for name in changed) == reading
    assert all(name.startswith(("painter", "reader")) for name in changed)


def test_a_resumed_run_goes_on_exactly(begin, tmp_path):
    whole = begin()
    for i in range(6):
        whole.step(whole.sampler.batch(8), 0.1 + i / 10)
    first = begin()
    for i in range(3):
        first.step(first.sampler.batch(8), 0.1 + i / 10)
    first.drawn = first.sampler.state()
    first.save(tmp_path / "resume.pt")
    second = begin(seed=9)
    second.restore(tmp_path / "resume.pt")
    for i in range(3, 6):
        second.step(second.sampler.batch(8), 0.1 + i / 10)
    assert second.pictures == whole.pictures == 48
    assert torch.equal(parameters(second), parameters(whole))


class Killed(KeyboardInterrupt):
    pass


def test_a_killed_run_is_resumed_with_the_batch_it_did_not_see(begin, tmp_path, monkeypatch):
    seen, step = [], Run.step

    def watched(self, tiles, progress):
        if len(seen) == 4:
            raise Killed
        seen.append(tiles)
        return step(self, tiles, progress)

    monkeypatch.setattr(Run, "step", watched)
    with pytest.raises(Killed):
        loop.train(begin(), tmp_path, 1, 1, QUIET)
    assert [path.name for path in tmp_path.iterdir()] == ["resume.pt"]
    resumed, fresh = begin(seed=9), begin()
    resumed.restore(tmp_path / "resume.pt")
    assert resumed.pictures == 32
    expected = [fresh.sampler.batch(8) for _ in range(6)]
    assert all(torch.equal(one, other) for one, other in zip(seen, expected, strict=False))
    # The batch that it was killed in was drawn, and not learnt from.
    assert torch.equal(resumed.sampler.batch(8), expected[5])


def test_a_save_that_fails_keeps_the_last_one(begin, tmp_path, monkeypatch):
    training = begin()
    training.save(tmp_path / "resume.pt")
    before = (tmp_path / "resume.pt").read_bytes()

    def fail(state, path):
        path.write_bytes(b"half of it")
        raise Killed

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(Killed):
        training.save(tmp_path / "resume.pt")
    assert (tmp_path / "resume.pt").read_bytes() == before
    training.restore(tmp_path / "resume.pt")


def test_what_is_no_run_of_this_model_is_not_resumed(begin, tmp_path):
    path, training, other = tmp_path / "resume.pt", begin(), begin()
    training.save(path)
    whole, before = path.read_bytes(), parameters(training)
    other.model.mean += 1  # the networks would fit
    other.save(path)
    torch.save([1, 2], tmp_path / "list.pt")
    listed = (tmp_path / "list.pt").read_bytes()
    for data in (whole[:-100], whole[:100], b"", b"words", listed, path.read_bytes()):
        path.write_bytes(data)
        with pytest.raises(ModelError, match=r"resume\.pt: not a run of this model"):
            training.restore(path)
    assert torch.equal(parameters(training), before)


def test_photos_that_fail_to_be_drawn_end_the_run(begin, photos, tmp_path):
    training = begin()
    training.sampler.photos = [torch.zeros(3, 0, 0)]
    with pytest.raises((ValueError, RuntimeError)):
        loop.train(training, tmp_path, 1, 1, QUIET)


def test_the_command_trains_a_model_that_compresses(folder, tmp_path, few, monkeypatch):
    monkeypatch.setattr(loop, "REPORT_EVERY", 0.3)
    given = ["train", "toy", "--data", folder, "--out", tmp_path, "--plan-minutes", "0.08"]
    told = run(*given, "--minutes", "0.03").stderr
    assert "pictures" in told
    assert str(tmp_path / "toy.safetensors") in told
    first = zoo.read_manifest(tmp_path / "toy.safetensors")
    run(*given, "--minutes", "0.02", "--resume", "--name", "more")
    second = zoo.read_manifest(tmp_path / "more.safetensors")
    assert first.fingerprint == second.fingerprint
    assert first.digest != second.digest
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert rows[0]["minutes"] < rows[1]["minutes"] <= 0.08
    assert 0 < rows[0]["pictures"] < rows[1]["pictures"]
    assert (tmp_path / "sheet.png").stat().st_size > 1000
    image = photo(200, 150)
    image.save(tmp_path / "a.png")
    run("compress", tmp_path / "a.png", "-m", second.path, "--tile", "50")
    written = (tmp_path / "a.ttk").read_bytes()
    assert container.unpack(written).header.model == first.fingerprint[:4]
    painted = Codec.load(str(first.path), "cpu").decompress(written)
    assert psnr(painted, image) > 18
    assert Codec.load(str(first.path), "cpu").compress(image, Rate(max_bytes=60))


def test_the_folder_of_another_run_is_refused(untrained, photos, folder, tmp_path):
    path = tmp_path / "start.safetensors"
    zoo.save(path, "start", untrained, pipeline.count(untrained, photos, 1), "none")
    (tmp_path / "resume.pt").write_bytes(b"cut")
    given = ["--data", folder, "--out", tmp_path, "--minutes", "0.01"]
    told = run("train", "xs", *given, "--resume", code=3).stderr
    assert told == f"titokzip: {tmp_path}: of another shape than preset xs\n"
    told = run("train", "xs", *given, "--init", path, code=3).stderr
    assert told == f"titokzip: {path}: of another shape than preset xs\n"
    told = run("train", "toy", *given, "--resume", code=3).stderr
    reason = "not a run of this model that can be resumed"
    assert told == f"titokzip: {tmp_path / 'resume.pt'}: {reason}\n"
    assert {path.name for path in tmp_path.iterdir()} == {"start.safetensors", "resume.pt"}


def test_photos_without_anything_in_them_are_one_line(tmp_path, few):
    for i in range(4):
        Image.new("RGB", (300, 300), (60 * i, 90, 90)).save(tmp_path / f"{i}.png")
    given = ["--data", tmp_path, "--out", tmp_path / "out"]
    told = run("train", "toy", *given, code=1).stderr
    assert re.fullmatch(r"titokzip: these photos are too faint: \d+ of 144 digits found\n", told)
    assert not list((tmp_path / "out").iterdir())


def test_what_makes_no_sense_is_a_usage_error(tmp_path, folder, monkeypatch):
    monkeypatch.setattr("titokzip.runtime.device.devices", lambda: ["cpu"])
    given = ["--data", folder, "--out", tmp_path / "out"]
    assert "there are: toy, xs, xs-vivid, s" in run("train", "titok", *given, code=2).stderr
    run("train", "toy", "--data", tmp_path / "missing", "--out", tmp_path, code=2)
    run("train", "toy", *given, "--device", "mps", code=2)
    run("train", "toy", *given, "--minutes", "0", code=2)
    run("train", "toy", *given, "--threads", "0", code=2)
    assert "--name a/b" in run("train", "toy", *given, "--name", "a/b", code=2).stderr
    assert not (tmp_path / "out").exists()


def test_training_starts_from_no_released_model(folder, tmp_path, monkeypatch):
    register(monkeypatch)
    monkeypatch.setenv("TITOKZIP_MODELS", str(tmp_path / "models"))
    manifest = zoo.add(official_folder(tmp_path / "tokenizer_tiny_6_imagenet"))
    given = ["train", "toy", "--data", folder, "--out", tmp_path / "run", "--init", manifest.path]
    told = run(*given, code=3).stderr
    assert told == f"titokzip: {manifest.path}: training starts from our own models only\n"


def test_training_starts_from_a_model(untrained, photos, folder, tmp_path, monkeypatch):
    tables = pipeline.count(untrained, photos, 1)
    manifest = zoo.save(tmp_path / "old.safetensors", "old", untrained, tables, "none")
    given = ["train", "toy", "--data", folder, "--out", tmp_path, "--init", manifest.path]
    run(*given, "--minutes", "0.01")
    trained = zoo.read_manifest(tmp_path / "toy.safetensors")
    assert trained.fingerprint == manifest.fingerprint
    textured = replace(PRESETS["toy"], model=replace(PRESETS["toy"].model, texture=4))
    monkeypatch.setitem(PRESETS, "toy", textured)
    run(*given, "--minutes", "0.01", "--name", "textured", "--batch", "7")
    vivid = zoo.read_manifest(tmp_path / "textured.safetensors")
    assert (vivid.fingerprint, vivid.config["texture"]) == (manifest.fingerprint, 4)
    assert json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])["pictures"] % 7 == 0
    image, codecs = photo(64, 64), [Codec.load(str(c.path), "cpu") for c in (trained, vivid)]
    data = codecs[0].compress(image)
    assert min(psnr(codec.decompress(data), image) for codec in codecs) > 15
    run(*given, "--minutes", "0.06", "--reading", "--name", "reader")
    assert zoo.read_manifest(tmp_path / "reader.safetensors").fingerprint != manifest.fingerprint
    monkeypatch.undo()
    told = run("train", "toy", "--data", folder, "--out", tmp_path, "--init", vivid.path, code=3)
    assert told.stderr == f"titokzip: {vivid.path}: of another shape than preset toy\n"
