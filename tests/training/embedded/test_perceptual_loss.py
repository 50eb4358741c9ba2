"""The loss of the perceptual variant: what it sees, that it resumes, and what stops it."""

from dataclasses import replace

import pytest
import torch
from embedded_runs import PLAN, STEPS, TINY, log, stop_at

from titokzip.errors import ModelError
from titokzip.tokenizers.embedded.network import RefinementNetwork
from titokzip.training.embedded.batches import Batches
from titokzip.training.embedded.parts import Items
from titokzip.training.embedded.perceptual import REPEATED, WEIGHT, Perceptual, repeated
from titokzip.training.embedded.trainer import PLANS, Run
from titokzip.training.losses.adversarial import Adversarial
from titokzip.training.losses.lpips import LPIPS
from titokzip.training.trainer import Diverged

ADVERSARIAL = Adversarial(weight=0.2, start=1, rate=1e-2, width=4, stages=1)


def test_a_perceptual_run_that_was_stopped_goes_on_bit_by_bit(data_folder, tmp_path):
    plan = replace(
        PLAN, name="xs-perceptual", perceptual=True, recycle_until=0.0, evaluate_every=1000
    )

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
    expected = parts["error"] + WEIGHT * parts["lpips"] + REPEATED * parts["repeated"]
    expected -= 0.2 * logits.item()
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


def test_a_mesh_is_told_from_a_texture_without_a_grid():
    texture = torch.randn(4, 3, 128, 128, generator=torch.Generator().manual_seed(0)) / 255
    mesh = texture[:, :, :4, :4].repeat(1, 1, 32, 32)  # every fourth pixel is the same
    original = torch.full_like(mesh, 0.5)
    with_mesh, with_texture = (float(repeated(original + x, original)) for x in (mesh, texture))
    assert with_mesh == pytest.approx(1, abs=0.3)  # nearly all of the energy, of one level squared
    assert 0 <= with_texture < 0.01
    signs = torch.ones(8, 8)
    signs[::2] = -1  # of every second row of cells
    turning = mesh * signs.repeat_interleave(16, 0).repeat_interleave(16, 1)
    assert float(repeated(original + turning, original)) == 0, "nothing is gained below 0"
    assert float(repeated(original + mesh, original + mesh)) == 0  # a mesh that the photo has


def test_a_perceptual_run_needs_something_to_start_from(data_folder, tmp_path):
    with pytest.raises(ModelError, match="start from"):
        Run(PLANS["xs-perceptual"], 6, data_folder, tmp_path)
