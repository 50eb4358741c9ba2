"""Muon, and which parameters it steps."""

import pytest
import torch

from titokzip.training.muon import Muon, orthogonalized
from titokzip.training.optimization import Optimization, Optimizer, Schedule
from titokzip.training.presets import PRESETS
from titokzip.training.tasks.titok import one_stage


def matrices(seed=0):
    generator = torch.Generator().manual_seed(seed)
    shapes = [(8, 8), (8, 24), (24, 8), (8, 8)]
    return [torch.nn.Parameter(torch.randn(s, generator=generator)) for s in shapes]


@pytest.mark.parametrize("shape", [(3, 8, 8), (2, 6, 20), (2, 20, 6)])
def test_singular_values_come_near_one(shape):
    found = orthogonalized(torch.randn(shape, generator=torch.Generator().manual_seed(1)))
    values = torch.linalg.svdvals(found.float())
    assert 0.5 < float(values.min()) <= float(values.max()) < 1.3


def test_steps_are_those_of_torch():
    """torch's own, since 2.9, steps matrix by matrix."""
    official = pytest.importorskip("torch", minversion="2.9").optim.Muon
    ours, theirs = matrices(), matrices()
    how = {"lr": 0.02, "momentum": 0.95, "weight_decay": 0.1}
    one, other = Muon(ours, **how), official(theirs, adjust_lr_fn="match_rms_adamw", **how)
    for step in range(4):
        for seed, pair in enumerate(zip(ours, theirs, strict=True)):
            gradient = torch.randn(
                pair[0].shape, generator=torch.Generator().manual_seed(seed + 9 * step)
            )
            for parameter in pair:
                parameter.grad = gradient.clone()
        one.step()
        other.step()
    for mine, official_one in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, official_one, rtol=0, atol=2e-3)


def test_matrices_of_a_shape_are_stepped_together(monkeypatch):
    from titokzip.training import muon

    calls = []
    plain = muon.orthogonalized
    monkeypatch.setattr(muon, "orthogonalized", lambda x: calls.append(x.shape) or plain(x))
    ours = matrices()
    for parameter in ours:
        parameter.grad = torch.ones_like(parameter)
    Muon(ours, lr=0.1).step()
    assert sorted(map(tuple, calls)) == [(1, 8, 24), (1, 24, 8), (2, 8, 8)]


def test_what_is_no_matrix_is_refused():
    with pytest.raises(ValueError, match=r"matrices, not tensors of shape \[3\]"):
        Muon([torch.nn.Parameter(torch.ones(3))], lr=0.1)
    with pytest.raises(ValueError, match="adamw and muon"):
        Optimization(optimizer="sgd")


def test_muon_steps_the_matrices_inside_transformers_and_adamw_the_rest():
    task = one_stage(PRESETS["titok-tiny"], 0)
    optimizer = Optimizer(task.module, Optimization("muon"), Schedule(10), task.released_name)
    adamw, muon = optimizer.optimizers
    names = {id(p): name for name, p in task.module.named_parameters()}
    stepped = {names[id(p)] for p in muon.param_groups[0]["params"]}
    assert {name.rpartition(".blocks.")[2][2:] for name in stepped} == {
        "qkv.weight", "out.weight", "expand.weight", "contract.weight"
    }  # fmt: skip
    rest = {names[id(p)] for group in adamw.param_groups for p in group["params"]}
    assert rest | stepped == set(names.values())
    assert not rest & stepped
