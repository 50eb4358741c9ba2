"""Units that never fire: they are found, and made anew without a change of what is computed."""

from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from embedded_runs import PLAN, STEPS, TINY, log, stop_at
from safetensors.torch import load_file

from titokzip.tokenizers.embedded.network import RefinementNetwork, ResidualBlock
from titokzip.training.embedded.batches import Batches
from titokzip.training.embedded.dormant import recycle, watch
from titokzip.training.embedded.objective import loss_of
from titokzip.training.embedded.parts import Items
from titokzip.training.embedded.trainer import Run

DEAD = {"levels.0.encoder.0": (1, 4), "levels.1.decoder.0": (0, 2, 7)}


@pytest.fixture
def batch(data_folder):
    return Batches(Items(data_folder / "train"), 3).draw(32, 2**13)


@pytest.fixture
def lively():
    """A network whose units all fire somewhere, and that does something."""
    torch.manual_seed(5)
    network = RefinementNetwork(TINY)
    with torch.no_grad():
        network.residuals.weight.normal_(std=0.3)
        for block in network.modules():
            if isinstance(block, ResidualBlock):
                block.first.bias.fill_(3)
    return network


@pytest.fixture
def network(lively):
    """The same with five units that can never fire."""
    with torch.no_grad():
        for name, units in DEAD.items():
            lively.get_submodule(name).first.bias[list(units)] = -1e4
    return lively


def refined(network, batch):
    return network(batch.decoded, batch.step, batch.size)


def names_of(network, activities):
    """Give the dormant units of every block by its name."""
    names = {block: name for name, block in network.named_modules()}
    found = {names[block]: seen.dormant.nonzero().flatten() for block, seen in activities.items()}
    return {name: tuple(units.tolist()) for name, units in found.items() if len(units)}


def test_units_that_never_fire_are_found(network, batch):
    assert names_of(network, watch(network, [batch, batch])) == DEAD
    assert not any(module._forward_pre_hooks for module in network.modules())


def test_recycled_units_fire_and_learn_and_change_nothing(network, batch):
    before = refined(network, batch)
    assert recycle(network, [batch]) == 5
    after = refined(network, batch)
    assert torch.allclose(before.working, after.working, atol=1e-3)
    assert torch.allclose(before.double, after.double, atol=1e-3)
    assert names_of(network, watch(network, [batch])) == {}
    loss_of(after, batch).backward()
    for name, units in DEAD.items():
        gradient = network.get_submodule(name).second.weight.grad[:, list(units)]
        assert (gradient.abs().amax((0, 2, 3)) > 0).all()


def test_a_network_without_dormant_units_stays_as_it_is(lively, batch):
    before = {name: weight.clone() for name, weight in lively.state_dict().items()}
    assert recycle(lively, [batch]) == 0
    after = lively.state_dict()
    assert all(torch.equal(weight, after[name]) for name, weight in before.items())


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_a_run_recycles_on_its_way_also_in_its_averages(network, data_folder, tmp_path, precision):
    plan = replace(PLAN, recycle_every=4, recycle_until=0.6)
    run = Run(plan, STEPS, data_folder, tmp_path, network, precision=precision)
    assert run.train(dying_at(run, 2))
    found = [(x["step"], x["units"]) for x in log(tmp_path) if x["kind"] == "recycling"]
    assert [step for step, _ in found] == [0, 4]
    assert found[0][1] >= 5
    assert found[1][1] >= 1
    for weights in (run.optimizer.masters, run.optimizer.averages):
        assert all(weight.abs().max() < 1e3 for weight in weights)


def dying_at(run, step):
    """Have a unit die when a step is reported."""

    def report(record):
        if record["step"] == step and record["kind"] == "training":
            with torch.no_grad():
                run.network.levels[0].encoder[0].first.bias[3] = -1e4
            run.optimizer.adopt()

    return report


def test_a_run_that_was_stopped_before_it_recycles_goes_on_bit_by_bit(
    network, data_folder, tmp_path
):
    plan = replace(PLAN, recycle_every=6)  # steps, after which it also saves

    def begin(name):
        return Run(plan, STEPS, data_folder, tmp_path / name, deepcopy(network))

    assert begin("whole").train()
    assert not begin("stopped").train(stop_at(6))
    again = begin("stopped")
    again.resume()
    assert again.steps == 6
    assert again.train()
    whole, resumed = (load_file(tmp_path / x / "xs.safetensors") for x in ("whole", "stopped"))
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
