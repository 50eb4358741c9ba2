"""The trainer: exact resumption, accumulation, averages, and losses that are not finite."""

import json
from dataclasses import replace

import pytest
import torch
from runs import CPU, RECIPE, begin, steps, weights
from torch._subclasses.fake_tensor import FakeTensorMode

from titokzip.errors import ModelError
from titokzip.training import checkpoint, loop
from titokzip.training.data.staging import Staged
from titokzip.training.ema import Ema
from titokzip.training.optimization import Optimization, Optimizer, Schedule
from titokzip.training.progress import Log
from titokzip.training.trainer import Diverged


def test_a_resumed_run_goes_on_bit_for_bit(shards, tmp_path):
    """Stopped in the middle of an epoch, before and after the discriminator acts."""
    whole = begin([shards])
    losses = steps(whole, 10)
    for stop in (3, 7):
        first = begin([shards])
        assert steps(first, stop) == losses[:stop]
        first.save(tmp_path)
        second = begin([shards], checkpoint.load(tmp_path / checkpoint.RESUME))
        assert steps(second, 10 - stop) == losses[stop:]
        assert torch.equal(weights(second), weights(whole))


def test_parts_of_a_batch_give_the_gradient_of_the_whole(shards):
    plain = replace(RECIPE, losses=replace(RECIPE.losses, quantization=replace(
        RECIPE.losses.quantization, clustering=False)))  # fmt: skip
    whole, parts = (
        begin([shards], recipe=plain),
        begin([shards], recipe=replace(plain, accumulate=2)),
    )
    assert steps(whole, 3) == pytest.approx(steps(parts, 3), rel=1e-5)
    torch.testing.assert_close(weights(whole), weights(parts), rtol=1e-3, atol=1e-5)


def test_a_loss_that_is_not_finite_ends_the_run_and_spares_the_saved_state(shards, tmp_path):
    trainer = begin([shards])
    steps(trainer, 2)
    trainer.save(tmp_path)
    before = (tmp_path / checkpoint.RESUME).read_bytes()
    with torch.no_grad():
        trainer.task.module.decoder.mask_token.fill_(float("nan"))
    with pytest.raises(Diverged, match=r"step 3: not finite: .*loss"):
        trainer.advance()
    with pytest.raises(Diverged):
        trainer.save(tmp_path)
    assert (tmp_path / checkpoint.RESUME).read_bytes() == before


def test_a_save_that_fails_keeps_the_last_one(shards, tmp_path, monkeypatch):
    trainer = begin([shards])
    steps(trainer, 1)
    trainer.save(tmp_path)
    before = (tmp_path / checkpoint.RESUME).read_bytes()

    def fail(state, file):
        file.write(b"half of it")
        raise OSError("no space")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(OSError, match="no space"):
        trainer.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [checkpoint.RESUME]
    assert (tmp_path / checkpoint.RESUME).read_bytes() == before


@pytest.mark.parametrize(
    "damage", [lambda b: b[:-100], lambda b: b[:50], lambda b: b"", lambda b: b"x"]
)
def test_a_damaged_state_is_named(shards, tmp_path, damage):
    trainer = begin([shards])
    steps(trainer, 1)
    trainer.save(tmp_path)
    path = tmp_path / checkpoint.RESUME
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ModelError, match=r"resume\.pt: damaged, or not the state"):
        checkpoint.load(path)


def test_the_state_of_another_model_is_refused(shards, tmp_path):
    trainer = begin([shards])
    trainer.save(tmp_path)
    larger = replace(RECIPE, model=replace(RECIPE.model, length=20))
    with pytest.raises(ModelError, match="state of another training"):
        begin([shards], recipe=larger).restore(checkpoint.load(tmp_path / checkpoint.RESUME))


def test_a_run_writes_its_log_its_state_and_a_contact_sheet(shards, tmp_path):
    told = []
    trainer = begin([shards])
    samples = next(begin([shards]).batches)
    loop.train(trainer, tmp_path, samples, report=told.append)
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    training = [row for row in rows if row["kind"] == "training"]
    assert [row["step"] for row in training] == list(range(1, 13))
    assert "discriminator" in training[-1]
    assert "discriminator" not in training[2]
    assert [row["step"] for row in rows if row["kind"] == "validation"] == [6, 12]
    assert all(row["psnr"] > 5 for row in rows if row["kind"] == "validation")
    assert told[-1].step == told[-1].steps == 12
    assert told[-1].samples == 96
    assert 0 < told[-1].of_peak < 1
    assert (tmp_path / "samples.png").stat().st_size > 500


def test_the_log_of_a_cut_run_is_cut_to_where_it_goes_on(tmp_path):
    log = Log(tmp_path, 0)
    for step in range(1, 5):
        log.write(step, "training", {"loss": 1.0})
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 5, "ki')
    Log(tmp_path, 3)
    rows = (tmp_path / "log.jsonl").read_text().splitlines()
    assert [json.loads(row)["step"] for row in rows] == [1, 2, 3]


def test_the_schedule_warms_up_and_falls_along_a_cosine():
    schedule = Schedule(steps=110, warm_up=10, final=0.1)
    assert [schedule(step) for step in (0, 5, 10)] == pytest.approx([0, 0.5, 1])
    assert schedule(60) == pytest.approx(0.55)
    assert schedule(110) == schedule(500) == pytest.approx(0.1)


def test_the_average_begins_at_the_weights_and_slows_down():
    module = torch.nn.Linear(1, 1, bias=False)
    ema, values = Ema(module, 0.5), []
    for value in (1.0, 2.0, 3.0):
        module.weight.data.fill_(value)
        ema.update()
        values.append(float(ema.averages["weight"]))
    decay = [0, 2 / 11, 3 / 12]
    assert values[0] == 1
    assert values[1] == pytest.approx(decay[1] * 1 + (1 - decay[1]) * 2)
    assert values[2] == pytest.approx(decay[2] * values[1] + (1 - decay[2]) * 3)
    with ema.applied():
        assert float(module.weight.detach()) == pytest.approx(values[2])
    assert float(module.weight.detach()) == 3


def test_norms_and_embeddings_are_not_decayed():
    module = torch.nn.ModuleDict({"ln_1": torch.nn.LayerNorm(4), "c_fc": torch.nn.Linear(4, 4)})
    module["patch_embed"] = torch.nn.Linear(4, 4)
    how = Optimization(weight_decay=0.3)
    groups = Optimizer(module, how, Schedule(10)).optimizers[0].param_groups
    assert [group["weight_decay"] for group in groups] == [0, 0.3]
    assert [p.shape for p in groups[1]["params"]] == [(4, 4)]
    assert groups[1]["params"][0] is module["c_fc"].weight


def test_counters_of_a_resumed_optimizer_stay_on_the_cpu():
    """On a GPU, each counter there would be waited for at every step."""
    module, how = torch.nn.Linear(4, 4), Optimization(warm_up=0)
    optimizer = Optimizer(module, how, Schedule(10))
    module(torch.ones(4)).sum().backward()
    optimizer.step()
    with FakeTensorMode(allow_non_fake_inputs=True):  # a GPU that is not there
        fake = torch.nn.Module()
        fake.weight, fake.bias = (
            torch.nn.Parameter(torch.empty(shape, device="cuda")) for shape in ((4, 4), (4,))
        )
        resumed = Optimizer(fake, how, Schedule(10))
        resumed.restore(optimizer.state())
    moments = resumed.optimizers[0].state.values()
    assert resumed.steps == 1
    assert {values["step"].device.type for values in moments} == {"cpu"}
    assert {values["exp_avg"].device.type for values in moments} == {"cuda"}


def test_a_gpu_gets_its_batches_ahead_and_the_state_is_that_of_the_batch_given():
    class Counted:
        broken = 0
        given = 0

        def __next__(self):
            self.given += 1
            return {"image": torch.full((1,), self.given)}

        def state(self):
            return {"given": self.given}

    staged = Staged(Counted(), CPU)
    assert staged.state() == {"given": 0}
    assert int(next(staged)["image"]) == 1
    assert staged.state() == {"given": 1}
