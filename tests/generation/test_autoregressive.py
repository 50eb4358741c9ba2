"""The autoregressive generator: causal, cached, and sampled from its own distribution."""

import generation_cases as cases
import pytest
import torch

from titokzip.generation.autoregressive import draw, sample
from titokzip.generation.config import AutoregressiveSampling
from titokzip.generation.maskgit import seeded
from titokzip.generation.randomness import uniform

LENGTH = cases.AUTOREGRESSIVE.length


@pytest.fixture(scope="module")
def model():
    return cases.autoregressive()


@pytest.fixture(scope="module")
def tokens():
    return (uniform(torch.arange(5), 3, (LENGTH,)) * 32).long()


def test_a_logit_depends_on_earlier_tokens_only(model, tokens):
    logits = model(tokens[:, :-1], cases.LABELS)
    assert logits.shape == (5, LENGTH, 32)
    for cut in (0, 4, 10):
        changed = tokens.clone()
        changed[:, cut:] = (changed[:, cut:] + 7) % 32
        other = model(changed[:, :-1], cases.LABELS)
        torch.testing.assert_close(other[:, : cut + 1], logits[:, : cut + 1])
        assert cut == LENGTH - 1 or not torch.equal(other[:, cut + 1 :], logits[:, cut + 1 :])


def test_the_cache_gives_the_logits_of_the_whole(model, tokens):
    wanted = model(tokens[:, :-1], cases.LABELS)
    logits, caches = model.begin(tokens[:, :3], cases.LABELS)
    torch.testing.assert_close(logits, wanted[:, 3])
    for at in range(3, LENGTH - 1):
        logits, caches = model.go_on(tokens[:, at], at, caches)
        torch.testing.assert_close(logits, wanted[:, at + 1])


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_samples_keep_what_is_known_and_depend_on_their_seeds(model, tokens, guidance):
    how, seeds = AutoregressiveSampling(guidance=guidance), torch.arange(5)
    drawn = sample(model, cases.LABELS, how, seeded(seeds), tokens[:, :4])
    assert drawn.shape == (5, LENGTH)
    assert torch.equal(drawn[:, :4], tokens[:, :4])
    one = slice(2, 3)
    alone = sample(model, cases.LABELS[one], how, seeded(seeds[one]), tokens[one, :4])
    assert torch.equal(alone[0], drawn[2])
    short = sample(model, cases.LABELS, how, seeded(seeds), length=5)
    assert torch.equal(short, sample(model, cases.LABELS, how, seeded(seeds))[:, :5])


def test_the_likeliest_tokens_are_taken_at_temperature_zero(model):
    drawn = sample(model, cases.LABELS, AutoregressiveSampling(0.0), seeded(torch.arange(5)))
    logits = model(drawn[:, :-1], cases.LABELS)
    assert torch.equal(logits.argmax(-1), drawn)


def test_tokens_are_drawn_as_often_as_they_are_likely():
    logits = torch.tensor([2.0, 1.0, 0.0, -1.0]).log_softmax(0)
    noise = uniform(torch.arange(20_000), 1, (4,))
    many = logits.expand(20_000, -1)
    plain = torch.bincount(draw(many, AutoregressiveSampling(), noise), minlength=4) / 20_000
    torch.testing.assert_close(plain, logits.exp(), atol=0.015, rtol=0)
    two = torch.bincount(draw(many, AutoregressiveSampling(top_k=2), noise), minlength=4) / 20_000
    wanted = torch.tensor([*logits[:2].softmax(0), 0, 0])
    torch.testing.assert_close(two, wanted, atol=0.015, rtol=0)
    most = draw(many, AutoregressiveSampling(top_p=0.6), noise)
    assert set(most.tolist()) == {0}
    assert set(draw(many, AutoregressiveSampling(top_p=0.8), noise).tolist()) == {0, 1}


@pytest.mark.parametrize("wrong", [{"temperature": -1}, {"top_k": -1}, {"top_p": 0}, {"top_p": 2}])
def test_impossible_sampling_is_refused(wrong):
    with pytest.raises(ValueError, match="start at 0"):
        AutoregressiveSampling(**wrong)
