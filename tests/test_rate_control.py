"""From what the user asked for to a grid."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from titokzip.rate_control import Rate, ladder
from titokzip.tiling import Grid
from titokzip.tiling.grid import nearest_grid

SIDES = st.integers(1, 20_000)
TILES = st.floats(0.01, 1e5)
EXTREMES = [(1, 1), (1, 5000), (5000, 1), (3, 5000), (768, 512), (20_000, 20_000)]


@pytest.mark.parametrize(
    "asked",
    [
        {"quality": 50, "bpp": 0.1},
        {"quality": 50, "max_bytes": 100},
        {"bpp": 0.1, "max_bytes": 100},
        {"bpp": 0.1, "tokens": 8},
        {"max_bytes": 100, "tile": 64},
        {"quality": 0.5},
        {"quality": 101},
        {"quality": math.nan},
        {"bpp": 0},
        {"bpp": -1},
        {"bpp": math.nan},
        {"bpp": math.inf},
        {"max_bytes": 0},
        {"tokens": 0},
        {"tile": -1},
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused(asked):
    with pytest.raises(ValueError, match=r"\w+"):
        Rate(**asked)


def test_only_a_limit_is_a_limit():
    assert Rate().limit(768, 512) is None
    assert Rate(quality=30, tokens=8).limit(768, 512) is None
    assert Rate(max_bytes=100).limit(768, 512) == 100
    assert Rate(bpp=0.1).limit(768, 512) == 4915


@given(SIDES, SIDES, TILES)
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
def test_extreme_pictures_get_sane_grids(width, height):
    assert nearest_grid(width, height, 1) == Grid(1, 1)
    assert nearest_grid(width, height, 0) == Grid(1, 1)
    for tiles in (2, 7, 100, 4000):
        assert tiles / 2.1 < nearest_grid(width, height, tiles).tiles < tiles * 2.1


def test_long_pictures_get_long_grids():
    assert nearest_grid(1, 5000, 20) == Grid(rows=20, columns=1)
    assert nearest_grid(5000, 1, 20) == Grid(rows=1, columns=20)
    assert nearest_grid(768, 512, 6) == Grid(rows=2, columns=3)


def test_tile_is_the_side_that_a_tile_covers():
    assert Rate(tile=64).grid(768, 512) == Grid(rows=8, columns=12)
    assert Rate(tile=10_000).grid(768, 512) == Grid(1, 1)


@pytest.mark.parametrize(("width", "height"), EXTREMES)
def test_more_quality_is_more_tiles(width, height):
    tiles = [Rate(quality=quality).grid(width, height).tiles for quality in range(1, 101, 11)]
    assert tiles == sorted(tiles)
    assert tiles[0] < tiles[-1] or width * height < 2**14
    assert Rate().grid(width, height) == Rate(quality=50).grid(width, height)


@given(SIDES, SIDES, TILES)
@settings(deadline=None, max_examples=200)
def test_the_ladder_goes_down_to_one_tile(width, height, tiles):
    grids = list(ladder(width, height, tiles))
    counts = [grid.tiles for grid in grids]
    assert grids[0] == nearest_grid(width, height, tiles)
    assert counts == sorted(set(counts), reverse=True)
    assert grids[-1] == Grid(1, 1)
