"""Losses, gradients and steps of TiTok's training, as the official code computes them.

Recorded by benchmarks/titok_training.py with the official code (bytedance/1d-tokenizer @ 942a96f,
turingmotors/One-D-Piece @ 473665d) on the same weights and images: the loss, its terms, the norm of
all gradients; of the discriminator its loss and the norm of its gradients.
"""

import pytest
import titok_cases as cases
import torch

from titokzip.training.trainer import Trainer

RECORDED = {
    "one stage": (
        cases.one_stage,
        {"perceptual": 0.6273038, "reconstruction": 1.4355243, "adversarial": 0.013031,
         "codebook": 0.5823565, "commitment": 0.1455891},
        (2.8038044, 7.5632234),
        (0.9891901, 2.5527492),
    ),
    "TA-TiTok": (
        lambda: cases.one_stage(cases.GUIDED, clustering=True),
        {"perceptual": 0.6356153, "reconstruction": 1.4536899, "adversarial": 0.0119794,
         "codebook": 0.5823565, "commitment": 0.1455891},
        (2.8292303, 5.5391203),
        (0.9944457, 2.5259788),
    ),
    "stage 1": (
        cases.stage_one,
        {"cross_entropy": 4.4178114, "codebook": 0.0657897, "commitment": 0.0164474},
        (4.5000486, 5.4867845),
        None,
    ),
    "stage 2": (
        cases.stage_two,
        {"perceptual": 0.096192, "reconstruction": 0.7914162, "adversarial": 0.0003236},
        (0.8879316, 8.6800604),
        (1.0384182, 3.3817244),
    ),
    "One-D-Piece, stage 1": (
        lambda: cases.stage_one(cases.PIECE),
        {"cross_entropy": 4.3836823, "codebook": 0.0657897, "commitment": 0.0164474},
        (4.465919, 5.2402639),
        None,
    ),
    "One-D-Piece, stage 2": (
        lambda: cases.stage_two(cases.PIECE),
        {"perceptual": 0.0951392, "reconstruction": 0.7815502, "adversarial": 0.0002213},
        (0.8769109, 9.0812178),
        (1.0432915, 3.4942717),
    ),
}  # fmt: skip
TRAJECTORY = [2.790774, 2.790774, 2.739282, 2.642378, 2.549417, 2.499747, 2.513252, 2.511683]


@pytest.mark.parametrize("name", RECORDED)
def test_losses_and_gradients_are_those_of_the_official_code(name):
    make, terms, (loss, gradient), second = RECORDED[name]
    task, batch = make(), cases.batch()
    if name == "TA-TiTok":
        batch["text"] = cases.text()
    outcome = task(batch, cases.STEP, task.adversary and task.adversary.judge)
    outcome.loss.backward()
    found = {
        key: pytest.approx(float(value), rel=1e-4, abs=1e-6) for key, value in outcome.terms.items()
    }
    assert terms == found
    assert float(outcome.loss.detach()) == pytest.approx(loss, rel=1e-4)
    assert float(cases.gradients(task.module)[1]) == pytest.approx(gradient, rel=1e-4)
    if second is not None:
        own, _ = task.adversary(*outcome.pair)
        own.backward()
        assert float(own.detach()) == pytest.approx(second[0], rel=1e-4)
        norm = cases.gradients(task.adversary.discriminator)[1]
        assert float(norm) == pytest.approx(second[1], rel=1e-4)


def test_a_ta_titok_learns_without_text_too():
    task = cases.one_stage(cases.GUIDED)
    with_text, without = cases.batch() | {"text": cases.text()}, cases.batch()
    losses = [float(task(batch, 0).loss.detach()) for batch in (with_text, without)]
    assert losses[0] != losses[1]
    assert losses[1] == pytest.approx(losses[0], rel=0.5)


def test_steps_go_where_those_of_the_official_code_go():
    """Optimizers, schedules, clipping and the discriminator, which acts from the fourth step on."""
    recipe = cases.recipe()
    task = cases.one_stage(losses=recipe.losses)
    trainer = Trainer(task, recipe, cases.Same(cases.batch()), torch.device("cpu"))
    losses = []
    for _ in range(recipe.steps):
        trainer.advance()
        losses.append(trainer.averages()["loss"])
    assert losses == pytest.approx(TRAJECTORY, rel=1e-4)
