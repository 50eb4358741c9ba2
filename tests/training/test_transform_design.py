"""The linear code and the tables of the range coder, made from photos."""

import numpy as np
import pytest
import torch

from titokzip import entropy
from titokzip.entropy import range_coder
from titokzip.entropy.context_model import ContextModel
from titokzip.tiling import Grid
from titokzip.training import context_model_fit, data, evaluate, transform_design

CPU = torch.device("cpu")


@pytest.mark.parametrize("size", [64, 256])
def test_synthesis_undoes_analysis(size):
    analysis, synthesis = transform_design.transforms(size)
    assert np.allclose(synthesis.T @ analysis, np.eye(size), atol=1e-5)
    assert np.allclose(np.linalg.norm(synthesis, axis=1), 1)
    assert np.allclose(synthesis[0], size**-0.5, atol=1e-6)
    assert np.allclose(analysis[1:].sum(axis=1), 0, atol=1e-5)


def test_waves_of_synthesis_have_no_step_where_blocks_meet():
    synthesis = transform_design.transforms(256)[1]
    steps = np.abs(np.diff(synthesis[:8], axis=1))
    for reach in range(32, 256, 32):  # of the blocks' borders, and of the filters across them
        assert (steps[:, reach - 1] < 1.5 * steps[:, [reach - 2, reach]].mean(axis=1) + 1e-3).all()


def test_the_designed_code_is_good_for_its_tokens(untrained, photos):
    tiles = data.centre_tiles(photos.training, 64)
    quality = evaluate.evaluate(untrained.eval(), tiles, CPU)
    assert sorted(quality) == [4, 8, 16]
    assert list(quality.values()) == sorted(quality.values())
    assert quality[16] > 20


def test_fitted_tables_code_shorter_than_packing(untrained, photos):
    sampler = data.Sampler(photos.training, 64, 16, 5)
    tokens = untrained.encode(sampler.batch(200)).numpy()
    tables = context_model_fit.fit(untrained, tokens, [Grid(1, 1)] * 200)
    assert ContextModel.from_tables(tables.to_tables()).digits == 9
    fresh = untrained.encode(sampler.batch(100)).numpy()
    packed = entropy.pack(fresh[:1], np.full(1, 16), [16], 3**9)
    bits = sum(range_coder.cost(one[None], Grid(1, 1), tables).sum() for one in fresh)
    assert bits / 8 < 0.85 * 100 * len(packed[0])


def test_witnesses_are_those_that_tell_most_and_weigh_what_they_tell():
    rng = np.random.default_rng(0)
    sizes = rng.integers(0, 20, (1, 40, 5000)).astype(np.float32)
    wanted = (rng.random(5000) < (2 * sizes[0, 7] + sizes[0, 30]) / 60).astype(np.int32)[None]
    free, kind = np.ones((1, 5000), bool), np.zeros(5000, np.int64)
    kept, importance = context_model_fit._weigh(sizes, wanted, free, kind)
    weights = dict(zip(kept[0].tolist(), importance[0].tolist(), strict=True))
    assert len(weights) == context_model_fit.WITNESSES
    assert weights.pop(7) == context_model_fit.HEAVIEST
    assert weights.pop(30) == pytest.approx(context_model_fit.HEAVIEST / 2, abs=4)
    assert max(weights.values()) < 4


def test_tiles_in_grids_have_tables_that_know_the_tiles_beside(untrained, photos):
    grid = Grid(4, 5)
    tokens = np.repeat(untrained.encode(data.centre_tiles(photos.training, 64)).numpy(), 20, axis=0)
    tables = context_model_fit.fit(untrained, tokens, [grid] * (len(tokens) // 20))
    together = range_coder.cost(tokens[:20], grid, tables).sum() / 20
    assert together < 0.5 * range_coder.cost(tokens[:1], Grid(1, 1), tables).sum()
