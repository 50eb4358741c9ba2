"""Decoding in windows gives the pixels of decoding the whole field of features at once."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import Reaching, Toy

from titokzip.errors import ModelError
from titokzip.runtime.batching import Batch, to_levels
from titokzip.runtime.tiled_decoding import decode_tiles
from titokzip.tiling import Grid


def features(tokenizer, count, seed):
    random = torch.Generator().manual_seed(seed)
    return tokenizer.decode_features(torch.randint(0, 63, (count, 4), generator=random))


def whole(tokenizer, tiles, columns):
    """Decode the field in one piece, and cut it into rows of tiles [columns, S, S, 3]."""
    rows = [torch.cat(list(row), dim=2) for row in tiles.split(columns)]
    pixels = tokenizer.decode_pixels(torch.cat(rows, dim=1)[None])[0]
    size = tokenizer.size
    cut = pixels.unflatten(2, (columns, size)).unflatten(1, (-1, size))  # [3, r, S, c, S]
    return to_levels(cut.permute(1, 3, 2, 4, 0)).numpy()


def watched(tokenizer):
    """Record the shapes that go through the pixel decoder."""
    shapes, decode = [], tokenizer.decode_pixels
    tokenizer.decode_pixels = lambda window: shapes.append(tuple(window.shape)) or decode(window)
    return shapes


@given(
    st.integers(1, 5), st.integers(1, 20), st.integers(1, 4), st.integers(1, 20), st.integers(0, 99)
)
@settings(deadline=None, max_examples=40)
def test_a_decoder_that_reaches_over_borders_leaves_no_seam(rows, columns, halo, batch, seed):
    tokenizer = Reaching(halo)
    tiles = features(tokenizer, rows * columns, seed)
    decoded = np.stack(
        list(decode_tiles(tokenizer, iter(tiles), [Grid(rows, columns)], Batch(batch)))
    )
    assert np.array_equal(decoded, whole(tokenizer, tiles, columns))


@pytest.mark.parametrize("columns", [1, 7, 8, 9, 16, 17, 25])
def test_wide_rows_are_decoded_in_pieces(columns):
    tokenizer = Reaching(2)
    tiles = features(tokenizer, 2 * columns, 0)
    expected, shapes = whole(tokenizer, tiles, columns), watched(tokenizer)
    decoded = np.stack(list(decode_tiles(tokenizer, iter(tiles), [Grid(2, columns)], Batch(16))))
    assert max(width for *_, width in shapes) <= 8 * 4 + 2 * tokenizer.halo
    assert np.array_equal(decoded, expected)


def test_tiles_of_many_images_go_through_together():
    tokenizer, grids = Reaching(1), [Grid(1, 1)] * 7 + [Grid(2, 3)]
    tiles = features(tokenizer, 13, 0)
    parts = zip(tiles.split([grid.tiles for grid in grids]), grids, strict=True)
    expected = [row for part, grid in parts for row in whole(tokenizer, part, grid.columns)]
    shapes = watched(tokenizer)
    rows = list(decode_tiles(tokenizer, iter(tiles), grids, Batch(4)))
    assert all(np.array_equal(*pair) for pair in zip(rows, expected, strict=True))
    assert [count for count, *_ in shapes] == [4, 3, 1, 1]


def test_the_rows_of_an_image_are_batched_too():
    tokenizer = Reaching(1)
    tiles = features(tokenizer, 2 * 9, 0)
    expected, shapes = whole(tokenizer, tiles, 2), watched(tokenizer)
    decoded = np.stack(list(decode_tiles(tokenizer, iter(tiles), [Grid(9, 2)], Batch(8))))
    assert np.array_equal(decoded, expected)
    assert [count for count, *_ in shapes] == [1, 4, 3, 1]  # the first and last row have less halo


def test_tiles_that_do_not_reach_over_borders_are_laid_side_by_side():
    tiles = features(Toy(), 6, 1)
    first, second = decode_tiles(Toy(), iter(tiles), [Grid(2, 3)], Batch(4))
    assert np.array_equal(
        np.concatenate([first, second]), to_levels(tiles.permute(0, 2, 3, 1)).numpy()
    )


def test_memory_is_bounded_by_three_rows_and_a_batch():
    drawn = 0

    def one_by_one():
        nonlocal drawn
        for tile in features(Reaching(), 40, 2):
            drawn += 1
            yield tile

    for row, _ in enumerate(decode_tiles(Reaching(), one_by_one(), [Grid(10, 4)], Batch(8))):
        assert drawn <= 4 * (row + 2 + 2)
    assert drawn == 40


def test_no_features_are_no_rows():
    assert list(decode_tiles(Toy(), iter(()), [], Batch(4))) == []


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_pixels_that_are_not_finite_are_refused(wrong):
    tokenizer = Toy()
    tokenizer.decode_pixels = lambda features: features * wrong
    with pytest.raises(ModelError, match="not finite: its weights are damaged"):
        list(decode_tiles(tokenizer, iter(features(Toy(), 2, 0)), [Grid(1, 2)], Batch(4)))


def test_memory_that_runs_out_costs_no_pixel():
    tokenizer = Reaching(1)
    tiles = features(tokenizer, 16, 3)
    expected, decode = whole(tokenizer, tiles, 1), tokenizer.decode_pixels

    def limited(window):
        if len(window) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return decode(window)

    tokenizer.decode_pixels = limited
    batch = Batch(8)
    decoded = np.stack(list(decode_tiles(tokenizer, iter(tiles), [Grid(16, 1)], batch)))
    assert np.array_equal(decoded, expected)
    assert batch.tiles <= 3


def test_pixels_are_truncated_on_request():
    tokenizer = Toy()
    tokenizer.decode_pixels = lambda features: torch.full((1, 3, 16, 16), 100.7 / 255)
    for truncate, level in [(False, 101), (True, 100)]:
        (row,) = decode_tiles(
            tokenizer, iter(features(Toy(), 1, 0)), [Grid(1, 1)], Batch(1), truncate
        )
        assert (row.dtype, row.shape) == (np.uint8, (1, 16, 16, 3))
        assert (row == level).all()
