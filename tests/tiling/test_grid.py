"""Grids of tiles: which one is chosen, and how images are cut and joined."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from titokzip.tiling import Grid, join, nearest_grid, resample, split

SIDES = st.integers(1, 20_000)
EXTREMES = [(1, 1), (1, 5000), (5000, 1), (3, 5000), (768, 512), (20_000, 20_000)]


def noise(rows, columns, size, seed=0):
    return np.random.default_rng(seed).integers(
        0, 256, (rows * size, columns * size, 3), dtype=np.uint8
    )


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 12), st.integers(0, 2**32))
@settings(deadline=None, max_examples=60)
def test_join_inverts_split(rows, columns, size, seed):
    pixels = noise(rows, columns, size, seed)
    tiles = split(pixels, size)
    assert (tiles.shape, tiles.dtype) == ((rows * columns, size, size, 3), np.uint8)
    assert np.array_equal(join(tiles, Grid(rows, columns)), pixels)


def test_tiles_are_the_pixels():
    pixels = noise(2, 3, 4)
    assert np.array_equal(split(pixels, 4)[5], pixels[4:8, 8:12])


def test_split_leaves_its_argument_alone():
    pixels = noise(2, 2, 8)
    before = pixels.copy()
    split(pixels, 8)[:] = 0
    assert np.array_equal(pixels, before)


def test_resample_keeps_what_fits():
    image = Image.new("RGB", (5, 7), "teal")
    assert resample(image, 5, 7) is image
    larger = resample(image, 64, 32)
    assert (larger.size, larger.getcolors()) == ((64, 32), [(2048, (0, 128, 128))])


@pytest.mark.parametrize(("rows", "columns"), [(0, 1), (1, 0), (-1, 3)])
def test_a_grid_has_tiles(rows, columns):
    with pytest.raises(ValueError, match="holds no image"):
        Grid(rows, columns)


@given(SIDES, SIDES, st.floats(0.01, 1e5))
@settings(deadline=None, max_examples=300)
def test_the_nearest_grid_is_near(width, height, tiles):
    grid = nearest_grid(width, height, tiles)
    wanted = min(max(tiles, 1), 2**16)
    assert wanted / 2.1 < grid.tiles < wanted * 2.1
    # No other grid of as many tiles has squarer ones.
    best = min(stretch(width, height, rows, grid.tiles / rows) for rows in divisors(grid.tiles))
    assert stretch(width, height, grid.rows, grid.columns) == pytest.approx(best, abs=1e-9)


def stretch(width, height, rows, columns):
    return abs(math.log(width / columns / (height / rows)))


def divisors(number):
    return [n for n in range(1, number + 1) if number % n == 0]


@pytest.mark.parametrize(("width", "height"), EXTREMES)
def test_extreme_images_get_sane_grids(width, height):
    assert nearest_grid(width, height, 1) == nearest_grid(width, height, 0) == Grid(1, 1)
    for tiles in (2, 7, 100, 4000):
        assert tiles / 2.1 < nearest_grid(width, height, tiles).tiles < tiles * 2.1


def test_long_images_get_long_grids():
    assert nearest_grid(1, 5000, 20) == Grid(rows=20, columns=1)
    assert nearest_grid(5000, 1, 20) == Grid(rows=1, columns=20)
    assert nearest_grid(768, 512, 6) == Grid(rows=2, columns=3)
