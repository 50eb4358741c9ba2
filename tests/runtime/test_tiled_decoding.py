"""Painting row by row gives the pixels of painting the whole field of features at once."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import Reaching, Toy

from titokzip.runtime.tiled_decoding import mosaic


def features(tokenizer, count, seed):
    random = torch.Generator().manual_seed(seed)
    return tokenizer.decode_features(torch.randint(0, 63, (count, 4), generator=random))


def whole(tokenizer, tiles, columns):
    """Paint the field in one piece, and cut it into rows of tiles [columns, S, S, 3]."""
    rows = [torch.cat(list(row), dim=2) for row in tiles.split(columns)]
    pixels = tokenizer.decode_pixels(torch.cat(rows, dim=1)[None])[0]
    size = tokenizer.size
    cut = pixels.unflatten(2, (columns, size)).unflatten(1, (-1, size))  # [3, r, S, c, S]
    return cut.permute(1, 3, 2, 4, 0).numpy()


@given(st.integers(1, 5), st.integers(1, 20), st.integers(1, 4), st.integers(0, 99))
@settings(deadline=None, max_examples=60)
def test_a_reaching_end_leaves_no_seam(rows, columns, halo, seed):
    tokenizer = Reaching(halo)
    tiles = features(tokenizer, rows * columns, seed)
    painted = np.stack(list(mosaic(tokenizer, iter(tiles), columns)))
    assert np.array_equal(painted, whole(tokenizer, tiles, columns))


@pytest.mark.parametrize("columns", [1, 7, 8, 9, 16, 17, 25])
def test_wide_rows_are_painted_in_pieces(columns):
    tokenizer, widths = Reaching(2), []
    paint = tokenizer.decode_pixels
    tokenizer.decode_pixels = lambda window: widths.append(window.shape[3]) or paint(window)
    tiles = features(tokenizer, 2 * columns, 0)
    painted = np.stack(list(mosaic(tokenizer, iter(tiles), columns)))
    assert max(widths) <= 8 * 4 + 2 * tokenizer.halo
    tokenizer.decode_pixels = paint
    assert np.array_equal(painted, whole(tokenizer, tiles, columns))


def test_tiles_that_do_not_reach_are_laid_side_by_side():
    tiles = features(Toy(), 6, 1)
    first, second = mosaic(Toy(), iter(tiles), 3)
    assert np.array_equal(np.concatenate([first, second]), tiles.permute(0, 2, 3, 1).numpy())


def test_three_rows_are_held_at_a_time():
    drawn = 0

    def one_by_one():
        nonlocal drawn
        for tile in features(Reaching(), 40, 2):
            drawn += 1
            yield tile

    for row, _ in enumerate(mosaic(Reaching(), one_by_one(), 4)):
        assert drawn <= 4 * (row + 2)
    assert drawn == 40


def test_no_features_paint_nothing():
    assert list(mosaic(Toy(), iter(()), 3)) == []
