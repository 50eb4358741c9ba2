"""FlexTok's training: its loss as the official code computes it, dropout, features, autoencoders.

Recorded by benchmarks/flextok_training.py with apple/ml-flextok @ 87d00cc, on the same weights,
latents, noise and times.
"""

import math
from dataclasses import replace

import flextok_cases as cases
import flextoks
import pytest
import scripts
import torch
from runs import CPU
from titok_cases import Same, batch

from titokzip.errors import ModelError
from titokzip.tokenizers.flextok import scripted
from titokzip.tokenizers.flextok.config import ScriptConfig
from titokzip.training import flextok_forward
from titokzip.training.presets import PRESETS
from titokzip.training.recipe import Files, RecipeError
from titokzip.training.tasks import flextok as task_of
from titokzip.training.trainer import Trainer

LOSS, GRADIENT, TAPPED = 2.5774639, 2.7759621, 88.4001236
TINY = PRESETS["flextok-tiny"]


def test_loss_gradient_and_features_are_those_of_the_official_code():
    model = cases.model()
    loss, found = cases.run(model)
    loss.backward()
    norms = [p.grad.norm() for p in model.parameters() if p.grad is not None]
    assert float(loss.detach()) == pytest.approx(LOSS, rel=1e-4)
    assert float(torch.stack(norms).norm()) == pytest.approx(GRADIENT, rel=1e-4)
    assert float(found.patches.detach().norm()) == pytest.approx(TAPPED, rel=1e-4)


@pytest.mark.slow
def test_training_predicts_what_sampling_asks_for():
    """The decoder at one time for all images, and at a time for each, is the same network."""
    model, (latents, _) = flextoks.build(), cases.latents()
    tokens = model.quantizer(model.encoder(latents))
    known = model.decoder.conditional(model.quantizer.look_up(tokens[:, :5]))
    (moment,) = model.decoder.modulations(torch.tensor([0.3]), model.config.max_timestep)
    wanted = model.decoder(latents, known, moment)
    codes = flextok_forward.rounded(model.quantizer, model.encoder(latents))
    kept, times = torch.full((4,), 5), torch.full((4,), 0.3)
    condition = flextok_forward.registers(model.decoder, codes, kept)
    found = flextok_forward.velocity(model.decoder, latents, condition, times).latents
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


def test_rounding_gives_the_codes_of_the_tokens_and_passes_gradients():
    model = flextoks.build()
    latents = torch.linspace(-4, 4, 8 * 6).view(1, 8, 6).requires_grad_()
    codes = flextok_forward.rounded(model.quantizer, latents)
    tokens = model.quantizer(latents.detach())
    torch.testing.assert_close(codes.detach(), model.quantizer.look_up(tokens))
    codes.sum().backward()
    assert (latents.grad > 0).all()


@pytest.mark.parametrize(
    ("how", "values"),
    [
        ("uniform", set(range(1, 13))),
        ("pow2", {1, 2, 4, 8}),
        ("uniform_pow2", {1, 2, 4, 8, 12}),
    ],
)
def test_numbers_of_tokens_are_drawn_as_the_paper_says(how, values):
    kept = task_of.draw_kept(torch.arange(4000), 12, how)
    assert set(kept.tolist()) == values
    if how != "uniform_pow2":
        counts = torch.bincount(kept)[sorted(values)] / 4000
        assert float((counts - 1 / len(values)).abs().max()) < 0.03


def test_times_are_logit_normal_and_shifted_towards_noise_if_asked():
    seeds = torch.arange(4000)
    plain, shifted = (task_of.draw_times(seeds, shift) for shift in (1.0, 3.0))
    assert float(plain.logit().mean()) == pytest.approx(0, abs=0.05)
    assert float(plain.logit().std()) == pytest.approx(1, abs=0.05)
    torch.testing.assert_close(shifted.logit(), plain.logit() + math.log(3), rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match="shift is above 0, not 0"):
        replace(TINY.losses, shift=0.0)


def test_an_evaluation_looks_at_all_images(autoencoder, monkeypatch):
    images = batch(32, 6)
    task = task_of.flextok(recipe(autoencoder), 0)
    task.prepare(images)
    decoded = []
    decode = task._decode
    monkeypatch.setattr(task, "_decode", lambda tokens: decoded.append(tokens) or decode(tokens))
    measured = task.evaluate(images)
    assert [tuple(tokens.shape) for tokens in decoded] == [(6, 1), (6, 4), (6, 16)]
    assert {"flow", "psnr_1", "psnr_4", "psnr_16"} < measured.keys()


@pytest.fixture
def autoencoder(tmp_path):
    return scripts.write(scripts.Shuffle(), tmp_path / "shuffle.pt")


def recipe(autoencoder, **files):
    return replace(TINY, steps=4, batch=4, files=Files(autoencoder=str(autoencoder), **files))


def test_the_scale_of_latents_is_measured_and_comes_back(autoencoder):
    images = batch(32, 4)
    task = task_of.flextok(recipe(autoencoder), 0)
    task.prepare(images)
    latents = task._latents(images["image"].float() / 255)
    assert float(latents.std()) == pytest.approx(1, rel=1e-5)
    other = task_of.flextok(recipe(autoencoder), 0)
    other.restore_extra(task.extra_state())
    assert other.model.config == task.model.config


def test_features_of_another_network_are_learnt(autoencoder, tmp_path):
    features = scripts.write(scripts.Features(), tmp_path / "features.pt")
    chosen = replace(
        recipe(autoencoder, features=str(features)),
        losses=replace(TINY.losses, repa_width=16, repa=0.5),
        steps=30,
    )
    images = batch(32, 4)
    task = task_of.flextok(chosen, 0)
    task.prepare(images)
    trainer = Trainer(task, chosen, Same(images), CPU)
    terms = []
    for _ in range(30):
        trainer.advance()
        terms.append(trainer.averages())
    assert terms[0]["loss"] == pytest.approx(terms[0]["flow"] + 0.5 * terms[0]["repa"], rel=1e-5)
    assert terms[-1]["repa"] < terms[0]["repa"] - 0.2
    exported = task.export(tmp_path, "flextok")
    assert [path.name for path in exported] == [
        "autoencoder.pt",
        "config.json",
        "model.safetensors",
    ]


def test_another_autoencoder_than_the_recipe_is_for_is_refused(autoencoder, tmp_path):
    other = replace(TINY.model, autoencoder=ScriptConfig(channels=4, scale=2))
    with pytest.raises(RecipeError, match=r"latents of 12 channels at 1/2; .* 4 at 1/2"):
        task_of.flextok(replace(recipe(autoencoder), model=other), 0)
    distance = scripts.write(scripts.Distance(), tmp_path / "distance.pt")
    with pytest.raises(ModelError, match="has no method encode"):
        scripted.load(distance)
    (tmp_path / "words.pt").write_text("no script")
    with pytest.raises(ModelError, match="not a TorchScript file"):
        scripted.load(tmp_path / "words.pt")
    with pytest.raises(RecipeError, match="in the latents of an autoencoder"):
        task_of.flextok(TINY, 0)


def test_positions_are_sines_and_cosines_of_rows_and_columns():
    table = flextok_forward.sincos(4, 16)[0]
    assert table.shape == (16, 4, 4)
    assert torch.equal(table[:8, 2, 0], table[:8, 2, 3])  # the row
    assert torch.equal(table[8:, 0, 3], table[8:, 2, 3])  # the column
    assert float(table[0, 1, 0]) == pytest.approx(0.8414710)  # sin 1
    assert float(table[12, 0, 1]) == pytest.approx(0.5403023)  # cos 1
