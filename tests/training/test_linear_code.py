"""The linear code and the tables of the range coder, made from photos."""

import numpy as np
import pytest
import torch

from titokzip import entropy
from titokzip.training import data, evaluate, prior, spectrum

CPU = torch.device("cpu")


@pytest.mark.parametrize("size", [64, 256])
def test_synthesis_undoes_analysis(size):
    analysis, synthesis = spectrum.transforms(size)
    assert np.allclose(synthesis.T @ analysis, np.eye(size), atol=1e-5)
    assert np.allclose(np.linalg.norm(synthesis, axis=1), 1)
    assert np.allclose(synthesis[0], size**-0.5, atol=1e-6)
    assert np.allclose(analysis[1:].sum(axis=1), 0, atol=1e-5)


def test_waves_of_synthesis_have_no_step_where_blocks_meet():
    synthesis = spectrum.transforms(256)[1]
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
    tables = prior.fit(untrained, untrained.encode(sampler.batch(200)).numpy())
    assert entropy.Prior.from_tables(tables.to_tables()).digits == 7
    fresh = untrained.encode(sampler.batch(100)).numpy()
    counts, stops = np.full(100, 16), [16]
    (coded,) = entropy.range_encode(fresh, counts, stops, tables)
    (packed,) = entropy.pack(fresh, counts, stops, 3**7)
    assert len(coded) < 0.85 * len(packed)
    assert np.array_equal(entropy.range_decode([coded], counts, stops, tables), fresh)
