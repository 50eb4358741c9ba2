"""The training of the decoder network: it learns, resumes, stops loudly, is exported."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from embedded_runs import PLAN, STEPS, TINY, log, run, stop_at
from photos import photo, psnr
from safetensors.torch import load_file

import titokzip
from titokzip import zoo
from titokzip.errors import ModelError
from titokzip.training.checkpoint import RESUME
from titokzip.training.embedded import parts, trainer
from titokzip.training.embedded.commands import main
from titokzip.training.embedded.parts import Item, Record
from titokzip.training.embedded.trainer import PLANS, Run
from titokzip.training.embedded.weights import export, read_decoder
from titokzip.training.trainer import Diverged


@pytest.fixture(scope="session")
def whole_run(data_folder, tmp_path_factory):
    """A run that nothing has stopped."""
    out = tmp_path_factory.mktemp("run")
    assert Run(PLAN, STEPS, data_folder, out).train()
    return out


def weights(out, name="xs"):
    return load_file(out / f"{name}.safetensors")


def miscoloured(count):
    """Make items whose decoded images are too red and not blue enough, by the same everywhere."""
    error = np.array([9, 0, -9])[:, None, None]
    for i in range(count):
        original = np.asarray(photo(64, 72, i)).transpose(2, 0, 1)
        decoded = (original + error).astype(np.float16)
        record = Record(str(i), True, 72, 64, 100.0, 10 * np.log10(255**2 / 54))
        yield Item(record, original, decoded, None)


def test_the_loss_falls_and_the_network_removes_an_error(tmp_path):
    for name in ("train", "val"):
        parts.write(tmp_path / name / "00000", miscoloured(6))
    plan = replace(PLAN, log_every=10, evaluate_every=1000)
    assert Run(plan, 60, tmp_path, tmp_path / "run").train()
    lines = log(tmp_path / "run")
    losses = [line["loss"] for line in lines if line["kind"] == "training"]
    assert len(losses) == 6
    assert losses[-1] < losses[0] - 0.2
    assert lines[-1]["kind"] == "validation"
    assert lines[-1]["gains"]["photos, short side below 80"] > 1


def test_a_run_that_was_stopped_goes_on_bit_by_bit(whole_run, data_folder, tmp_path):
    assert not Run(PLAN, STEPS, data_folder, tmp_path).train(stop_at(4))
    assert not (tmp_path / "xs.safetensors").exists()
    again = Run(PLAN, STEPS, data_folder, tmp_path)
    again.resume()
    assert 4 <= again.steps <= 5
    assert again.train()
    whole, resumed = weights(whole_run), weights(tmp_path)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    losses = [[x["loss"] for x in log(out) if "loss" in x][3:] for out in (whole_run, tmp_path)]
    assert losses[0] == losses[1]


def test_a_state_of_another_run_is_refused(whole_run, data_folder):
    with pytest.raises(ModelError, match="planned"):
        Run(PLAN, STEPS + 1, data_folder, whole_run).resume()
    with pytest.raises(ModelError, match="in bfloat16"):
        Run(PLAN, STEPS, data_folder, whole_run, precision=torch.float32).resume()
    with pytest.raises(ModelError, match="does not fit"):
        Run(
            replace(PLAN, network=replace(TINY, conditions=3)), STEPS, data_folder, whole_run
        ).resume()


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_what_is_not_finite_stops_the_run_and_keeps_its_state(
    what, data_folder, tmp_path, monkeypatch
):
    one = Run(PLAN, STEPS, data_folder, tmp_path)
    loss_of = trainer.loss_of

    def spoilt(refined, batch):
        loss = loss_of(refined, batch)
        if one.steps < 8:
            return loss
        if what == "loss":
            return loss * float("nan")
        return loss + (refined.working * 0).sum().sqrt()  # 0, with an infinite slope

    monkeypatch.setattr(trainer, "loss_of", spoilt)
    with pytest.raises(Diverged, match=f"{what} of step 8"):
        one.train()
    assert all(torch.isfinite(p).all() for p in one.network.parameters())
    state = torch.load(tmp_path / RESUME, weights_only=True)
    assert state["step"] == 6
    assert all(torch.isfinite(m).all() for m in state["optimizer"]["masters"])
    assert not (tmp_path / "xs.safetensors").exists()


def test_learning_rates_and_precision_can_be_chosen(data_folder, tmp_path, monkeypatch):
    monkeypatch.setitem(PLANS, "xs", PLAN)
    runs = {}
    monkeypatch.setattr(Run, "train", lambda self, report: runs.setdefault("run", self))
    how = "--steps", 6, "--rate", 0.25, "--precision", "float32"
    run("decoder", "xs", "--data", data_folder, "--out", tmp_path, *how)
    assert runs["run"].optimizer.rates == (PLAN.muon / 4, PLAN.adam / 4)
    assert runs["run"].network.colours.weight.dtype == torch.float32


def test_the_commands_give_a_model_that_codes(data_folder, context_file, tmp_path, monkeypatch):
    monkeypatch.setitem(PLANS, "xs", PLAN)
    output = run("decoder", "xs", "--data", data_folder, "--out", tmp_path, "--steps", 6)
    assert json.loads(output.splitlines()[-1])["kind"] == "validation"
    model = tmp_path / "model.safetensors"
    decoder = tmp_path / "xs.safetensors"
    given = "export", decoder, "--context", context_file, "--name", "mine", "--out", model
    run(*given, "--self-ensemble", "--lagrange", 0.5)
    assert zoo.find(str(model)).config["self_ensemble"] is True
    assert zoo.lagrange(zoo.find(str(model))) == 0.5
    run(*given, "--blend", model, "--trained-against", "tiny-darknet")
    manifest = zoo.find(str(model))
    assert manifest.config["self_ensemble"] is False
    zoo.verify(manifest)
    assert (manifest.name, manifest.trained_against) == ("mine", ("tiny-darknet",))
    image = photo(120, 90, 50)
    data = titokzip.compress(image, quality=50, model=str(model))
    decoded = titokzip.decompress(data, model=str(model))
    assert decoded.size == image.size
    assert psnr(decoded, image) > 18
    assert len(data) < 3000
    with pytest.raises(titokzip.FormatError, match="compressed with model"):
        titokzip.decompress(data, model="xs")  # its context model is another


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["decoder", "xs", "--data", ".", "--out", "out", "--steps", "1"], "no coded images"),
        (["decoder", "xs-perceptual", "--data", ".", "--out", "o", "--steps", "1"], "--vgg16"),
        (["context", ".", "--out", "context.safetensors"], "no images here"),
        (["export", "text", "--context", "text", "--name", "a", "--out", "b"], "cannot be read"),
    ],
)
def test_what_is_wrong_is_one_line(arguments, line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text").write_text("no weights")
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code in (1, 2)
    assert line in result.output.splitlines()[-1]
    assert not isinstance(result.exception, ModelError)


def test_weights_of_another_kind_are_refused(whole_run, context_file, tmp_path):
    decoder = whole_run / "xs.safetensors"
    for weights_of, context in ((context_file, context_file), (decoder, decoder)):
        with pytest.raises(ModelError, match="holds no"):
            export(tmp_path / "out", "a", context, read_decoder(weights_of), "none")
    assert not (tmp_path / "out").exists()
