"""Cutting pictures into tiles and joining them, with and without the filter across borders."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from titokzip.tiling import Grid, dct, join, lapped_filter, neighbours, resample, split

OVERLAPS = [1, 2, 3, 8, 16]


def picture(rows, columns, size, seed=0):
    return np.random.default_rng(seed).integers(
        0, 256, (rows * size, columns * size, 3), dtype=np.uint8
    )


def smooth(rows, columns, size):
    """Make a picture with gentle slopes everywhere."""
    y, x = np.mgrid[: rows * size, : columns * size] / size
    waves = [np.sin(x + 0.5 * y), np.cos(x - y), np.sin(1.5 * y)]
    return np.rint(128 + 60 * np.stack(waves, axis=2)).astype(np.uint8)


@given(st.integers(1, 4), st.integers(1, 4), st.integers(2, 12), st.data())
@settings(deadline=None, max_examples=60)
def test_join_undoes_split_to_the_last_bit(rows, columns, size, data):
    overlap = data.draw(st.integers(0, size // 2))
    pixels = picture(rows, columns, size, data.draw(st.integers(0, 2**32)))
    cut = list(split(pixels, size, overlap))
    assert [tiles.shape for tiles in cut] == [(columns, size, size, 3)] * rows
    assert all(tiles.dtype == np.float32 for tiles in cut)
    assert np.array_equal(join(iter(cut), Grid(rows, columns), size, overlap), pixels)


def test_without_overlap_tiles_are_the_pixels():
    pixels = picture(2, 3, 4)
    tiles = list(split(pixels, 4, 0))
    assert np.array_equal(tiles[1][2], pixels[4:8, 8:12].astype(np.float32) / 255)


def test_split_leaves_its_argument_alone():
    pixels = picture(2, 2, 8)
    before = pixels.copy()
    for tiles in split(pixels, 8, 4):
        tiles *= 0
    assert np.array_equal(pixels, before)


def test_join_leaves_its_argument_alone():
    cut = list(split(picture(2, 2, 8), 8, 4))
    before = [tiles.copy() for tiles in cut]
    join(cut, Grid(2, 2), 8, 4)
    assert all(map(np.array_equal, cut, before))


@pytest.mark.parametrize(("truncate", "level"), [(False, 101), (True, 100)])
def test_join_rounds_unless_it_is_told_to_truncate(truncate, level):
    tiles = [np.full((2, 4, 4, 3), 100.7 / 255, np.float32)] * 2
    assert (join(tiles, Grid(2, 2), 4, 1, truncate) == level).all()


def test_join_clips_what_no_pixel_can_be():
    tiles = np.stack([np.full((4, 4, 3), -0.5), np.full((4, 4, 3), 1.5)]).astype(np.float32)
    joined = join([tiles], Grid(1, 2), 4, 0)
    assert np.array_equal(np.unique(joined[:, :4]), [0])
    assert np.array_equal(np.unique(joined[:, 4:]), [255])


@pytest.mark.parametrize("overlap", OVERLAPS)
def test_the_filter_is_undone_and_barely_stretches(overlap):
    matrix, undo = lapped_filter(overlap), lapped_filter(overlap, undo=True)
    assert matrix.shape == (2 * overlap, 2 * overlap)
    np.testing.assert_allclose(matrix @ undo, np.eye(2 * overlap), atol=1e-6)
    stretches = np.linalg.svd(matrix, compute_uv=False)
    assert stretches.max() == pytest.approx(2**0.5, abs=1e-5)
    assert stretches.min() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("overlap", OVERLAPS)
def test_the_filter_treats_both_sides_of_a_border_alike(overlap):
    matrix = lapped_filter(overlap)
    np.testing.assert_allclose(matrix[::-1, ::-1], matrix, atol=1e-6)


@pytest.mark.parametrize("overlap", OVERLAPS)
def test_constants_pass_the_filter_unchanged(overlap):
    pixels = np.full((2 * 32, 3 * 32, 3), (10, 100, 250), np.uint8)
    for tiles in split(pixels, 32, overlap):
        expected = np.broadcast_to(pixels[:32, :32] / 255, tiles.shape)
        np.testing.assert_allclose(tiles, expected, atol=1e-5)


@pytest.mark.parametrize("overlap", [4, 8, 16])
def test_the_filter_flattens_a_slope_towards_its_border(overlap):
    steps = np.diff(lapped_filter(overlap) @ np.arange(2 * overlap))
    inside = steps[: overlap - 1]
    assert np.array_equal(inside, np.sort(inside)[::-1])
    assert 0 < inside[-1] < 0.3


@pytest.mark.parametrize("overlap", [4, 8, 16])
def test_an_error_of_one_tile_fades_out_across_its_border(overlap):
    error = lapped_filter(overlap, undo=True) @ np.repeat([1, 0], overlap)
    assert np.abs(error + error[::-1] - 1).max() < 1e-5
    steps = -np.diff(error)
    assert steps.max() < 2 / overlap  # no step at the border, nor where the filter's reach ends:
    assert max(abs(error[0] - 1), abs(error[-1])) < 0.04 / overlap + 0.01


@pytest.mark.parametrize("overlap", [0, 4, 16])
def test_energy_is_nearly_preserved(overlap):
    pixels = picture(3, 2, 32)
    energy = sum((tiles.astype(np.float64) ** 2).sum() for tiles in split(pixels, 32, overlap))
    assert energy == pytest.approx(((pixels / 255) ** 2).sum(), rel=0.02 if overlap else 1e-6)


def border_ratio(pixels, size):
    """Measure the step across tile borders over the steps right beside them."""
    ratios = []
    for axis in (0, 1):
        steps = np.abs(np.diff(pixels.astype(np.float64), axis=axis)).mean(axis=(1 - axis, 2))
        borders = np.arange(size, len(steps), size) - 1
        beside = np.concatenate([steps[borders - 1], steps[borders + 1]])
        ratios.append(steps[borders].mean() / beside.mean())
    return np.mean(ratios)


def test_errors_inside_tiles_leave_no_seams():
    size, grid, rng = 32, Grid(4, 5), np.random.default_rng(1)
    original = smooth(grid.rows, grid.columns, size)
    ratios = {}
    for overlap in (0, 16):
        worse = [
            tiles + rng.normal(0, 0.04, (grid.columns, 1, 1, 3)).astype(np.float32)
            for tiles in split(original, size, overlap)
        ]
        ratios[overlap] = border_ratio(join(worse, grid, size, overlap), size)
    assert border_ratio(original, size) < 1.05
    assert ratios[0] > 4
    assert ratios[16] < ratios[0] / 3


@pytest.mark.parametrize("size", [1, 2, 7, 16])
def test_the_dct_is_orthonormal_and_its_first_row_is_the_mean(size):
    matrix = dct(size)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(size), atol=1e-12)
    np.testing.assert_allclose(matrix[0], size**-0.5)


def test_resample_keeps_what_fits_and_resizes_what_does_not():
    image = Image.new("RGB", (5, 7), "teal")
    assert resample(image, 5, 7) is image
    larger = resample(image, 64, 32)
    assert (larger.size, larger.getcolors()) == ((64, 32), [(2048, (0, 128, 128))])


@pytest.mark.parametrize(("rows", "columns"), [(0, 1), (1, 0), (-1, 3)])
def test_a_grid_has_tiles(rows, columns):
    with pytest.raises(ValueError, match="holds no picture"):
        Grid(rows, columns)


def test_tiles_are_counted():
    assert Grid(rows=2, columns=3).tiles == 6


@pytest.mark.parametrize(
    ("grid", "near"),
    [
        (Grid(1, 1), [[]]),
        (Grid(1, 3), [[1], [0, 2], [1]]),
        (Grid(3, 1), [[1], [0, 2], [1]]),
        (Grid(2, 3), [[1, 3], [0, 2, 4], [1, 5], [0, 4], [1, 3, 5], [2, 4]]),
    ],
)
def test_tiles_beside_share_a_side(grid, near):
    found = neighbours(grid)
    assert found.shape == (grid.tiles, 4)
    assert [sorted(row[row < grid.tiles].tolist()) for row in found] == near
    assert found.max() == grid.tiles
