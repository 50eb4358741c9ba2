"""Tiles that lie side by side in training, and what is judged of them."""

import json

import pytest
import torch
from run import run

from titokzip.errors import ModelError
from titokzip.training import tiled_crops
from titokzip.training.session import Run
from titokzip.training.tiled_crops import GridSampler


def test_stitching_undoes_cutting():
    crops = torch.rand(2, 3, 32, 32)
    tiles = tiled_crops.cut(crops, 4)
    assert tiles.shape == (8, 3, 16, 16)
    assert torch.equal(tiles[5][:, :-4, 4:], crops[1, :, :12, 20:])  # where no filter reaches
    assert not torch.equal(tiles[5][:, :-4, :4], crops[1, :, :12, 16:20])
    assert torch.allclose(tiled_crops.stitch(tiles, 4), crops, atol=1e-6)


def test_the_last_half_of_a_batch_lies_in_grids(photos):
    sampler = GridSampler(photos.training, 64, 16, 0)
    tiles = sampler.batch(16)
    assert tiles.shape == (16, 3, 64, 64)
    assert [tiled_crops.in_grids(count) for count in (8, 15, 16, 24, 32)] == [4, 4, 8, 12, 16]
    pictures = tiled_crops.stitch(tiles[-8:], 16)
    steps = pictures.diff(dim=3).abs().mean(dim=(0, 1, 2))
    assert steps[63] < 1.3 * steps[62:65:2].mean()  # a photo, without a step in its middle
    apart = tiles[:8].reshape(2, 4, 3, 64, 64)[:, :2].transpose(1, 3).flatten(3, 4)
    assert (apart[..., 64] - apart[..., 63]).abs().mean() > 2 * steps[63]


def test_a_restored_sampler_of_grids_goes_on(photos):
    sampler, other = (GridSampler(photos.training, 64, 16, seed) for seed in (0, 5))
    sampler.batch(8)
    other.restore(json.loads(json.dumps(sampler.state())))
    assert torch.equal(sampler.batch(8), other.batch(8))


def test_steps_on_grids_lower_the_loss(begin):
    training = begin(stitched=True)
    tiles = training.sampler.batch(16)
    losses = [float(training.step(tiles, 0.02)) for _ in range(40)]
    assert sum(losses[-10:]) < sum(losses[:10]) - 3


def test_tiles_of_a_grid_have_as_many_tokens_and_are_judged_stitched(begin, monkeypatch):
    training = begin(stitched=True)
    asked, judged = [], []
    objective, seen = training.objective, Run._seen

    def painted(tiles, lengths):
        asked.append(lengths)
        return objective(tiles, lengths)

    def watched(self, *pictures):
        judged.extend([list(p.shape) for p in side] for side in pictures)
        return seen(self, *pictures)

    monkeypatch.setattr(training, "objective", painted)
    monkeypatch.setattr(Run, "_seen", watched)
    training.step(training.sampler.batch(16), 0.5)
    assert [len(set(four.tolist())) for four in asked[0][-8:].split(4)] == [1, 1]
    assert judged == [[[8, 3, 64, 64], [2, 3, 128, 128]]] * 2


def test_the_teacher_sees_the_middle_of_a_grid(begin, monkeypatch):
    training = begin(stitched=True, teacher=lambda windows: [windows])
    pictures = [torch.zeros(4, 3, 64, 64), torch.zeros(1, 3, 128, 128)]
    pictures[1][..., 63:65] = 1  # the border between its tiles
    for window, part in ((32, 32), (128, 64)):
        monkeypatch.setattr("titokzip.training.session.WINDOW", window)
        for _ in range(30):
            ((windows,),) = training._seen(pictures)
            assert windows.shape == (5, 3, part, part)
            assert windows[4].sum() >= 3 * part


def test_a_batch_too_small_for_a_grid_is_a_usage_error(tmp_path):
    given = ["--data", tmp_path, "--out", tmp_path / "out", "--stitched", "--batch", "7"]
    assert "--stitched: a batch has" in run("train", "toy", *given, code=2).stderr


@pytest.mark.parametrize("count", [8, 12])
def test_a_run_on_grids_is_resumed_exactly(begin, tmp_path, count):
    first, second = begin(stitched=True), begin(stitched=True, seed=3)
    first.step(first.sampler.batch(count), 0.3)
    first.drawn = first.sampler.state()
    first.save(tmp_path / "resume.pt")
    second.restore(tmp_path / "resume.pt")
    losses = {float(one.step(one.sampler.batch(count), 0.4)) for one in (first, second)}
    assert len(losses) == 1


@pytest.mark.parametrize("stitched", [False, True])
def test_a_run_goes_on_as_it_began(begin, tmp_path, stitched):
    begin(stitched=stitched).save(tmp_path / "resume.pt")
    with pytest.raises(ModelError, match="--stitched if it began so"):
        begin(stitched=not stitched).restore(tmp_path / "resume.pt")
