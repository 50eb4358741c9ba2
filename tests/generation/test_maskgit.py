"""MaskGIT: logits, loss and samples as the official code computes them.

Recorded by benchmarks/maskgit_official.py with bytedance/1d-tokenizer @ 942a96f, on the same
weights and the same noise.
"""

import generation_cases as cases
import pytest
import torch

from titokzip.errors import ModelError
from titokzip.generation import config as configs
from titokzip.generation.config import MaskGITSampling
from titokzip.generation.maskgit import sample, scale, seeded
from titokzip.training.tasks.maskgit import MaskedLosses, masked_loss

CONFIGS = {"bert": cases.BERT, "uvit": cases.UVIT}
LOGITS = {
    "bert": [1.75562, 0.35878, 2.15963, -4.03834, 3.43397, -1.91553],
    "uvit": [-4.11788, 2.14839, 1.14148, 1.7748, 3.60874, -4.92818],
}
LOSSES = {"bert": (6.4145198, 36.0087051), "uvit": (8.1059246, 43.59003)}
SAMPLES = {
    ("bert", "l32"): [14, 14, 15, 17, 8, 14, 15, 16, 27, 17, 16, 8, 6, 17, 17, 8],
    ("bert", "b64"): [14, 14, 15, 8, 8, 14, 15, 16, 27, 8, 16, 8, 6, 17, 14, 31],
    ("bert", "s128"): [14, 10, 29, 16, 22, 8, 28, 16, 15, 17, 16, 8, 17, 19, 16, 31],
    ("uvit", "l32"): [27, 27, 27, 27, 21, 27, 27, 16, 27, 27, 27, 8, 6, 27, 23, 21],
    ("uvit", "b64"): [27, 27, 19, 27, 21, 27, 23, 16, 27, 23, 27, 8, 6, 17, 4, 4],
    ("uvit", "s128"): [11, 26, 1, 16, 19, 3, 16, 16, 15, 27, 14, 8, 6, 19, 16, 26],
}


@pytest.mark.parametrize("kind", CONFIGS)
def test_logits_are_those_of_the_official_code(kind):
    model, tokens = cases.maskgit(CONFIGS[kind]), cases.tokens(CONFIGS[kind])
    found = model(tokens, cases.LABELS)[2, 5, :6]
    torch.testing.assert_close(found, torch.tensor(LOGITS[kind]), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", CONFIGS)
def test_the_loss_and_its_gradient_are_those_of_the_official_code(kind):
    config = CONFIGS[kind]
    model, tokens = cases.maskgit(config).requires_grad_(True), cases.tokens(config)
    masked, wanted = tokens == config.mask, tokens % config.codebook
    loss, _ = masked_loss(model(tokens, cases.LABELS), wanted, masked, MaskedLosses())
    loss.backward()
    norms = [p.grad.norm() for p in model.parameters() if p.grad is not None]
    found = (float(loss.detach()), float(torch.stack(norms).norm()))
    assert found == pytest.approx(LOSSES[kind], rel=1e-4)


@pytest.mark.parametrize(("kind", "setting"), SAMPLES)
def test_samples_are_those_of_the_official_code_for_the_same_noise(kind, setting):
    model = cases.maskgit(CONFIGS[kind])
    drawn = sample(model, cases.LABELS, cases.PUBLISHED[setting], cases.Noise())
    assert drawn[0].tolist() == SAMPLES[kind, setting]


def test_guidance_follows_its_schedule():
    assert [scale(MaskGITSampling(4, 0, 8.0, "constant"), s) for s in range(4)] == [8] * 4
    assert [scale(MaskGITSampling(4, 0, 8.0, "linear"), s) for s in range(4)] == [0, 2, 4, 6]
    cosine = [scale(MaskGITSampling(4, 0, 9.0, "power-cosine", 1.0), s) for s in range(4)]
    assert cosine == pytest.approx([1, 1 + 4 * (1 - 0.5**0.5), 5, 1 + 4 * (1 + 0.5**0.5)])


@pytest.mark.parametrize("kind", CONFIGS)
@pytest.mark.parametrize("steps", [1, 3, 8, 40])
def test_every_token_is_sampled_whatever_the_steps(kind, steps):
    model = cases.maskgit(CONFIGS[kind])
    drawn = sample(model, cases.LABELS, MaskGITSampling(steps), cases.Noise())
    assert drawn.shape == (5, 16)
    assert 0 <= int(drawn.min()) <= int(drawn.max()) < 32


@pytest.mark.parametrize("kept", [1, 8, 15, 16])
def test_known_tokens_stay(kept):
    model = cases.maskgit(cases.BERT)
    known = cases.tokens(cases.BERT)[:, :kept] % 32
    drawn = sample(model, cases.LABELS, MaskGITSampling(8), cases.Noise(), known)
    assert torch.equal(drawn[:, :kept], known)
    assert int(drawn.max()) < 32


def test_an_image_depends_on_its_seed_and_not_on_the_batch():
    model, how = cases.maskgit(cases.BERT), MaskGITSampling(8, 4.0, 3.0)
    seeds = torch.arange(5)
    together = sample(model, cases.LABELS, how, seeded(seeds))
    for i in range(5):
        alone = sample(model, cases.LABELS[i : i + 1], how, seeded(seeds[i : i + 1]))
        assert torch.equal(alone[0], together[i])
    assert len({tuple(row) for row in together.tolist()}) == 5


def test_no_class_is_the_class_that_training_drops():
    model, tokens = cases.maskgit(cases.BERT), cases.tokens(cases.BERT)
    none = model(tokens, torch.full((5,), -1))
    wanted = model(tokens, torch.full((5,), cases.BERT.classes))  # the number after the last class
    assert torch.equal(none, wanted)


def test_a_config_json_is_written_as_it_is_read():
    for config in CONFIGS.values():
        read = configs.from_config(configs.to_config(config))
        assert configs.check_config(config, configs.to_config(config)) == config
        assert (read.kind, read.width, read.symbols) == (config.kind, config.width, config.symbols)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_size": 49}, "does not split into 3 heads"),
        ({"hidden_size": 96}, "the release is"),
        ({"model_type": "RNN"}, "model_type is 'RNN'"),
        ({"num_hidden_layers": "2"}, "num_hidden_layers is '2', not int"),
    ],
)
def test_another_architecture_is_refused(changes, message):
    table = configs.to_config(cases.BERT)
    table["model"]["generator"] |= changes
    with pytest.raises(ModelError, match=message):
        configs.check_config(cases.BERT, table)


@pytest.mark.parametrize(
    "wrong", [{"steps": 0}, {"decay": "cubic"}], ids=lambda wrong: next(iter(wrong))
)
def test_impossible_sampling_is_refused(wrong):
    with pytest.raises(ValueError, match=r"at least one step|guidance is"):
        MaskGITSampling(**wrong)
