"""The critic of the adversarial loss."""

import pytest
import torch
from test_perceptual_network import weights

from titokzip.training.discriminator import Critic
from titokzip.training.perceptual_network import TinyDarknet


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    return TinyDarknet(weights(tmp_path_factory.mktemp("teacher") / "teacher.npz")).features


def realism(critic, seen):
    with torch.no_grad():
        return float(critic.realism(seen))


def test_a_critic_learns_to_tell_paintings_from_photos(teacher):
    torch.manual_seed(0)
    photos = teacher(torch.rand(8, 3, 64, 64))
    painted = teacher(torch.rand(8, 3, 16, 16).repeat_interleave(4, 2).repeat_interleave(4, 3))
    critic = Critic(photos)
    before = realism(critic, photos) - realism(critic, painted)
    for _ in range(20):
        critic.learn(painted, photos)
    assert realism(critic, photos) - realism(critic, painted) > before + 0.1


def test_what_pleases_a_critic_reaches_the_pixels_and_not_the_critic(teacher):
    torch.manual_seed(0)
    pixels = torch.rand(2, 3, 64, 64, requires_grad=True)
    critic = Critic(teacher(pixels.detach()))
    critic.realism(teacher(pixels)).backward()
    assert pixels.grad is not None
    assert float(pixels.grad.abs().sum()) > 0
    assert all(parameter.grad is None for parameter in critic.parameters())


def test_an_adversarial_run_goes_on_where_it_was(begin, teacher, tmp_path):
    first = begin(teacher=teacher, adversarial=True)
    first.step(first.sampler.batch(4), 0.3)
    first.save(tmp_path / "resume.pt")
    tiles = first.sampler.batch(4)
    second = begin(teacher=teacher, adversarial=True, seed=1)
    second.restore(tmp_path / "resume.pt")
    losses = [[float(run.step(tiles, p)) for p in (0.4, 0.5)] for run in (first, second)]
    assert losses[0] == losses[1]
    alone = begin(teacher=teacher)
    alone.restore(tmp_path / "resume.pt")
    assert float(alone.step(tiles, 0.4)) != losses[0][0]


def test_a_critic_can_join_later(begin, teacher, tmp_path):
    first = begin(teacher=teacher)
    first.step(first.sampler.batch(4), 0.3)
    first.save(tmp_path / "resume.pt")
    second = begin(teacher=teacher, adversarial=True)
    second.restore(tmp_path / "resume.pt")
    assert second.pictures == 4
    second.step(second.sampler.batch(4), 0.4)
    assert second.critic.state()["optimizer"]["state"]


def test_a_critic_needs_a_teacher(begin):
    with pytest.raises(ValueError, match="teacher"):
        begin(adversarial=True)
