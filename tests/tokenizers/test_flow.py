"""Sampling against the formulas of its papers."""

import pytest
import torch

from titokzip.tokenizers.flextok.flow import (
    ProjectedGuidance,
    classifier_free,
    integrate,
    noise,
    times,
)

CONDITIONAL, UNCONDITIONAL = torch.randn(2, 2, 3, 4, 4, generator=torch.Generator().manual_seed(5))


def inner(a, b):
    return (a * b).sum(dim=(1, 2, 3))


def test_noise_is_drawn_from_the_tokens_alone():
    tokens = torch.tensor([[7, 8, 9], [1, 2, 3]], dtype=torch.int32)
    drawn = noise(tokens, (4, 8, 8))
    assert drawn.shape == (2, 4, 8, 8)
    assert torch.equal(noise(tokens.flip(0).long(), (4, 8, 8)).flip(0), drawn)
    assert not torch.equal(noise(tokens[:, :2], (4, 8, 8)), drawn)
    # What is decoded from files must stay what it was; machines differ in the last bits.
    expected = torch.tensor([-1.191421, 0.279004, 0.026902, 0.284488])
    torch.testing.assert_close(drawn[0, 0, 0, :4], expected, rtol=0, atol=1e-5)


def test_noise_is_normal():
    drawn = noise(torch.arange(64).view(64, 1), (16, 8, 8))
    assert abs(drawn.mean().item()) < 0.01
    assert abs(drawn.std().item() - 1) < 0.01


def test_times_go_from_noise_down():
    assert times(4).tolist() == [1, 0.75, 0.5, 0.25]
    assert times(1).tolist() == [1]
    with pytest.raises(ValueError, match="at least one step, not 0"):
        times(0)


@pytest.mark.parametrize("steps", [1, 3, 20])
def test_a_straight_line_is_followed_to_its_end(steps):
    visited = []

    def velocity(x, step):
        visited.append(step)
        return CONDITIONAL - UNCONDITIONAL

    end = integrate(velocity, CONDITIONAL, times(steps).tolist())
    torch.testing.assert_close(end, UNCONDITIONAL, rtol=0, atol=1e-5)
    assert visited == times(steps).tolist()


def test_euler_takes_the_velocity_where_it_is():
    # dx/dt = x from 1 down to 0 in n steps is (1 - 1/n)^n.
    end = integrate(lambda x, _: x, torch.ones(1), range(10))
    assert end.item() == pytest.approx(0.9**10)


def test_classifier_free_guidance_extrapolates_past_the_condition():
    torch.testing.assert_close(classifier_free(CONDITIONAL, UNCONDITIONAL, 1.0), CONDITIONAL)
    torch.testing.assert_close(classifier_free(CONDITIONAL, UNCONDITIONAL, 0.0), UNCONDITIONAL)
    torch.testing.assert_close(
        classifier_free(CONDITIONAL, UNCONDITIONAL, 2.0), 2 * CONDITIONAL - UNCONDITIONAL
    )


def test_projected_guidance_is_short_and_orthogonal():
    for scale in (1.0, 7.5):
        added = ProjectedGuidance()(CONDITIONAL, UNCONDITIONAL, scale) - CONDITIONAL
        torch.testing.assert_close(inner(added, CONDITIONAL), torch.zeros(2), rtol=0, atol=1e-3)
        change = CONDITIONAL - UNCONDITIONAL
        assert (change.flatten(1).norm(dim=1) > 2.5).all()
        change *= 2.5 / change.flatten(1).norm(dim=1).view(2, 1, 1, 1)
        share = (inner(change, CONDITIONAL) / inner(CONDITIONAL, CONDITIONAL)).view(2, 1, 1, 1)
        torch.testing.assert_close(added, (scale - 1) * (change - share * CONDITIONAL))


def test_projected_guidance_leaves_short_changes_their_length():
    across = torch.zeros_like(CONDITIONAL)
    across[:, 0, 0, :2] = (
        torch.stack([-CONDITIONAL[:, 0, 0, 1], CONDITIONAL[:, 0, 0, 0]], dim=1) * 0.1
    )
    added = ProjectedGuidance()(CONDITIONAL, CONDITIONAL - across, 3.0) - CONDITIONAL
    torch.testing.assert_close(added, 2 * across, rtol=0, atol=1e-5)


def test_projected_guidance_has_negative_momentum():
    guidance, small = ProjectedGuidance(), 0.1 * (CONDITIONAL - UNCONDITIONAL)
    first = guidance(CONDITIONAL, CONDITIONAL - small, 2.0) - CONDITIONAL
    second = guidance(CONDITIONAL, CONDITIONAL - small, 2.0) - CONDITIONAL
    third = guidance(CONDITIONAL, CONDITIONAL - small, 2.0) - CONDITIONAL
    torch.testing.assert_close(second, 0.5 * first, rtol=0, atol=1e-5)
    torch.testing.assert_close(third, 0.75 * first, rtol=0, atol=1e-5)


def test_guidance_without_a_condition_changes_nothing():
    assert torch.equal(ProjectedGuidance()(CONDITIONAL, CONDITIONAL, 7.5), CONDITIONAL)
