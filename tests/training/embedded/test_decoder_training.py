"""The training of the decoder network: it learns, resumes, stops loudly, is exported."""

import json
import os
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from embedded_runs import PLAN, TINY, run
from photos import photo, psnr
from safetensors.torch import load_file

import titokzip
from titokzip import zoo
from titokzip.errors import ModelError
from titokzip.tokenizers.embedded.network import RefinementNetwork
from titokzip.training.checkpoint import RESUME
from titokzip.training.embedded import parts, trainer
from titokzip.training.embedded.batches import Batches
from titokzip.training.embedded.commands import main
from titokzip.training.embedded.parts import Item, Items, Record
from titokzip.training.embedded.perceptual import WEIGHT, Perceptual
from titokzip.training.embedded.trainer import PLANS, Run
from titokzip.training.embedded.weights import export, read_decoder
from titokzip.training.losses.adversarial import Adversarial
from titokzip.training.losses.lpips import LPIPS
from titokzip.training.trainer import Diverged

STEPS = 12
ADVERSARIAL = Adversarial(weight=0.2, start=1, rate=1e-2, width=4, stages=1)


@pytest.fixture(scope="session")
def whole_run(data_folder, tmp_path_factory):
    """A run that nothing has stopped."""
    out = tmp_path_factory.mktemp("run")
    assert Run(PLAN, STEPS, data_folder, out).train()
    return out


def log(out):
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def stop_at(step):
    """Send this process the signal of Ctrl-C when a step is reported."""

    def report(record):
        if record["step"] == step:
            os.kill(os.getpid(), signal.SIGINT)

    return report


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


def test_a_perceptual_run_that_was_stopped_goes_on_bit_by_bit(data_folder, tmp_path):
    plan = replace(PLAN, name="xs-perceptual", perceptual=True, evaluate_every=1000, log_every=2)

    def begin(out):
        torch.manual_seed(0)
        network = RefinementNetwork(TINY)
        loss = Perceptual(LPIPS(((4, 4), (6,))), ADVERSARIAL)
        return Run(plan, STEPS, data_folder, out, network, loss)

    whole = begin(tmp_path / "whole")
    assert whole.train()
    assert {"lpips", "error", "discriminator"} <= set(log(tmp_path / "whole")[0])
    stopped = begin(tmp_path / "stopped")
    assert not stopped.train(stop_at(4))
    resumed = begin(tmp_path / "stopped")
    resumed.resume()
    assert resumed.train()
    assert losses(tmp_path / "whole") == losses(tmp_path / "stopped")
    one, two = whole.perceptual.state(), resumed.perceptual.state()
    assert all(
        torch.equal(one["adversary"][name], two["adversary"][name]) for name in one["adversary"]
    )
    moments = zip(*(state["optimizer"]["state"].values() for state in (one, two)), strict=True)
    assert all(torch.equal(a["exp_avg"], b["exp_avg"]) for a, b in moments)
    masters = zip(whole.optimizer.masters, resumed.optimizer.masters, strict=True)
    assert all(torch.equal(a, b) for a, b in masters)


def losses(out):
    return [line["loss"] for line in log(out) if line["kind"] == "training"]


def adversarial_batch(data_folder):
    torch.manual_seed(0)
    network = RefinementNetwork(TINY).to(torch.bfloat16)
    batch = Batches(Items(data_folder / "train"), 0).draw(32, 2**14)
    return network, batch, Perceptual(LPIPS(((4, 4), (6,))), ADVERSARIAL)


def test_the_discriminator_learns(data_folder):
    network, batch, loss = adversarial_batch(data_folder)
    found = []
    for step in range(12):
        loss.loss_of(network, batch, step)
        found += loss.learn(step).values()
    assert len(found) == 11  # it starts at the second step
    assert found[-1] < found[0]


def test_the_network_is_to_please_the_discriminator(data_folder):
    network, batch, loss = adversarial_batch(data_folder)
    gradients = []
    for step in (0, 1):  # without it, and with it
        torch.manual_seed(1)
        total, parts = loss.loss_of(network, batch, step)
        network.zero_grad()
        total.backward()
        gradients.append(network.residuals.weight.grad.float().clone())
    with torch.no_grad():
        logits = sum(p.share * loss.adversary.judge(p.decoded).mean() for p in loss._pairs)
    expected = parts["error"] + WEIGHT * parts["lpips"] - 0.2 * logits.item()
    assert total.item() == pytest.approx(expected, rel=1e-3)
    assert not torch.allclose(*gradients)
    assert all(parameter.grad is None for parameter in loss.adversary.parameters())


def test_a_discriminator_that_diverges_ends_the_run(data_folder):
    network, batch, loss = adversarial_batch(data_folder)
    loss.loss_of(network, batch, 1)
    with torch.no_grad():
        next(loss.adversary.parameters()).fill_(float("nan"))
    with pytest.raises(Diverged, match="discriminator's loss of step 1"):
        loss.learn(1)


def test_the_gradient_of_the_distance_reaches_both_outputs(data_folder):
    torch.manual_seed(0)
    network = RefinementNetwork(TINY).to(torch.bfloat16)
    batch = Batches(Items(data_folder / "train"), 0).draw(32, 2**14)
    few = torch.arange(len(batch.decoded)) < 3  # the others have no original at twice the size
    batch = batch._replace(has_double=few, double=batch.double[:3])
    loss = Perceptual(LPIPS(((4, 4), (6,))))
    total, parts = loss.loss_of(network, batch, 0)
    total.backward()
    assert parts["lpips"] > 0
    per_output = network.residuals.weight.grad.float().abs().sum((1, 2, 3))
    assert (per_output > 0).all()


def test_a_perceptual_run_needs_something_to_start_from(data_folder, tmp_path):
    with pytest.raises(ModelError, match="start from"):
        Run(PLANS["xs-perceptual"], 6, data_folder, tmp_path)


def test_the_commands_give_a_model_that_codes(data_folder, context_file, tmp_path, monkeypatch):
    monkeypatch.setitem(PLANS, "xs", PLAN)
    output = run("decoder", "xs", "--data", data_folder, "--out", tmp_path, "--steps", 6)
    assert json.loads(output.splitlines()[-1])["kind"] == "validation"
    model = tmp_path / "model.safetensors"
    decoder = tmp_path / "xs.safetensors"
    mixed = "--blend", tmp_path / "averaged.safetensors", "--trained-against", "tiny-darknet"
    run("export", decoder, "--context", context_file, "--name", "mine", "--out", model, *mixed)
    manifest = zoo.find(str(model))
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
