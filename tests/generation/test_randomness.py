"""Random numbers that are a function of a seed."""

import pytest
import torch

from titokzip.generation.randomness import combine, normal, uniform

SEEDS = torch.arange(4000)


def test_numbers_are_those_of_their_seeds_whatever_the_batch():
    together = uniform(SEEDS[:5], 1, (3, 2))
    for i in range(5):
        assert torch.equal(uniform(SEEDS[i : i + 1], 1, (3, 2))[0], together[i])
    assert not torch.equal(uniform(SEEDS[:5], 2, (3, 2)), together)


def test_uniform_numbers_fill_the_interval_and_do_not_correlate():
    drawn = uniform(SEEDS, 1, (8,))
    assert 0 < float(drawn.min()) < 1e-3
    assert 1 - 1e-3 < float(drawn.max()) < 1
    counts = torch.histc(drawn, 10, 0, 1)
    assert float((counts / drawn.numel() - 0.1).abs().max()) < 0.008
    between = torch.corrcoef(torch.cat([drawn, uniform(SEEDS, 2, (8,))], dim=1).T)
    assert float((between - torch.eye(16)).abs().max()) < 0.08
    assert abs(float(torch.corrcoef(torch.stack([drawn[:-1, 0], drawn[1:, 0]]))[0, 1])) < 0.06


def test_normal_numbers_have_the_moments_of_a_normal_distribution():
    drawn = normal(SEEDS, 1, (16,)).flatten().double()
    moments = [float((drawn**power).mean()) for power in (1, 2, 3, 4)]
    assert moments == pytest.approx([0, 1, 0, 3], abs=0.08)


def test_seeds_are_combined_in_order():
    seeds = {combine(1, 2), combine(2, 1), combine(1, 2, 0), combine(0), combine(), combine(-1)}
    assert len(seeds) == 6
    assert all(-(2**63) <= seed < 2**63 for seed in seeds)
    # Runs are resumed by these numbers: they stay.
    assert combine(1, 2, 3) == 7702586659592502839
    golden = [0.6336157, 0.4649259]
    assert uniform(torch.tensor([7]), 1, (2,))[0].tolist() == pytest.approx(golden, rel=1e-6)
