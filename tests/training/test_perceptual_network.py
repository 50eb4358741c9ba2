"""The judge of the perceptual loss."""

import numpy as np
import pytest
import torch

from titokzip.errors import ModelError
from titokzip.training import objective
from titokzip.training.perceptual_network import TinyDarknet


def weights(path, **changed):
    """Write random weights of the sixteen convolutions, narrow ones."""
    rng = np.random.default_rng(0)
    arrays, inputs = {}, 3
    for i in range(1, 17):
        side = 1 if i in (4, 8, 12, 15) else 3
        arrays[f"{i:02d}_w"] = rng.normal(0, 0.3, (4, inputs, side, side)).astype(np.float32)
        arrays[f"{i:02d}_b"] = rng.normal(0, 0.1, 4).astype(np.float32)
        inputs = 4
    arrays |= changed
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


def test_a_teacher_sees_at_five_scales(tmp_path):
    teacher = TinyDarknet(weights(tmp_path / "teacher.npz"))
    pixels = torch.rand(2, 3, 64, 64)
    shapes = [tuple(seen.shape) for seen in teacher.features(pixels)]
    assert shapes == [(2, 4, side, side) for side in (64, 32, 16, 8, 4)]
    seen, other = teacher.features(pixels), teacher.features(1 - pixels)
    assert abs(float(objective.perceptual_loss(seen, seen))) < 1e-4
    assert float(objective.perceptual_loss(seen, other)) > 0.1
    assert not any(parameter.requires_grad for parameter in teacher.parameters())


def test_a_teacher_teaches(begin, tmp_path):
    teacher = TinyDarknet(weights(tmp_path / "teacher.npz"))
    taught, alone = begin(teacher=teacher.features), begin()
    tiles = alone.sampler.batch(4)
    assert float(taught.step(tiles, 0.5)) > float(alone.step(tiles, 0.5))
    one, other = (run.averaged().painter_end.paint.weight for run in (taught, alone))
    assert not torch.equal(one, other)


@pytest.mark.parametrize("change", [{"03_b": None}, {"03_b": np.zeros(5, np.float32)}], ids=str)
def test_a_wrong_teacher_is_one_line(tmp_path, folder, change):
    with pytest.raises(ModelError, match=r"^[^\n]*not the weights of Tiny Darknet[^\n]*$"):
        TinyDarknet(weights(tmp_path / "teacher.npz", **change))
    (tmp_path / "words.npz").write_text("no weights")
    with pytest.raises(ModelError, match="not the weights"):
        TinyDarknet(tmp_path / "words.npz")
