"""From what the user asks for to a number of tiles and tokens."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from titokzip import entropy
from titokzip.bitstream.container import packed_size
from titokzip.bitstream.header import Header, TileLayout
from titokzip.errors import RateError
from titokzip.rate_control import Rate, TileTokens, candidate_grids, plan_tiles
from titokzip.tiling import Grid, nearest_grid

SIDES = st.integers(1, 20_000)
EXTREMES = [(1, 1), (1, 5000), (5000, 1), (3, 5000), (768, 512), (20_000, 20_000)]
FIXED, PREFIXES = TileTokens(32, 4096, False), TileTokens(256, 4096, True)


def plan(rate, width=768, height=512, tokens=FIXED):
    unplanned = Header(bytes(4), width, height, TileLayout(Grid(1, 1), 1))
    return plan_tiles(rate, unplanned, tokens)


def size(header, tokens):
    layout = header.layout
    boundaries = layout.boundaries(header.layers)
    lengths = entropy.packed_lengths(layout.grid.tiles, boundaries, tokens.vocabulary)
    return packed_size(header, lengths)


@pytest.mark.parametrize(
    "asked",
    [
        {"quality": 50, "bpp": 0.1},
        {"quality": 50, "max_bytes": 100},
        {"bpp": 0.1, "max_bytes": 100},
        {"bpp": 0.1, "tokens": 8},
        {"max_bytes": 100, "tile": 64},
        {"quality": 50, "tile": 64},
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
def test_contradictions_are_refused(asked):
    with pytest.raises(ValueError, match=r"\w+"):
        Rate(**asked)


def test_only_a_limit_is_a_limit():
    assert Rate().limit(768, 512) is None
    assert Rate(quality=30, tokens=8).limit(768, 512) is None
    assert Rate(max_bytes=100).limit(768, 512) == 100
    assert Rate(bpp=0.1).limit(768, 512) == 4915
    assert Rate(bpp=1e308).limit(768, 512) == 2**62


def test_tile_is_the_side_that_a_tile_covers():
    assert plan(Rate(tile=64)).layout == TileLayout(Grid(rows=8, columns=12), 32)
    assert plan(Rate(tile=10_000)).layout.grid == Grid(1, 1)


@pytest.mark.parametrize(("width", "height"), EXTREMES)
def test_more_quality_is_more_tiles(width, height):
    tiles = [
        plan(Rate(quality=quality), width, height).layout.grid.tiles
        for quality in range(1, 101, 11)
    ]
    assert tiles == sorted(tiles)
    assert tiles[0] < tiles[-1] or width * height < 2**14
    assert plan(Rate(), width, height) == plan(Rate(quality=50), width, height)


@pytest.mark.parametrize("tokens", [FIXED, PREFIXES], ids=["fixed", "prefixes"])
@pytest.mark.parametrize("limit", [80, 150, 400, 5000, 10**9])
def test_a_limit_is_filled_and_never_exceeded(tokens, limit):
    chosen = plan(Rate(max_bytes=limit), tokens=tokens)
    assert size(chosen, tokens) <= limit
    if limit < 10**9:
        assert size(chosen, tokens) > 0.6 * limit
    if tokens is PREFIXES and chosen.layout.grid.tiles > 1:
        assert chosen.layout.tokens >= 0.41 * 256


def test_a_limit_that_nothing_fits_names_the_smallest_size():
    with pytest.raises(RateError, match=r"at least 64 bytes; 40 are"):
        plan(Rate(max_bytes=40))
    assert size(plan(Rate(max_bytes=64)), FIXED) == 64


def test_tokens_are_those_of_the_model():
    assert plan(Rate(tokens=40), tokens=PREFIXES).layout.tokens == 40
    for asked, tokens in ((31, FIXED), (33, FIXED), (257, PREFIXES)):
        with pytest.raises(RateError, match="tokens per tile, not"):
            plan(Rate(tokens=asked), tokens=tokens)


def test_layers_come_with_size():
    layers = [plan(Rate(tile=side), tokens=PREFIXES).layers for side in (500, 350, 200)]
    assert layers == [1, 2, 3]
    assert plan(Rate(tile=50)).layers == 1  # no prefix of the tokens decodes


@given(SIDES, SIDES, st.floats(0.01, 1e5))
@settings(deadline=None, max_examples=200)
def test_candidate_grids_go_down_to_one_tile(width, height, tiles):
    grids = list(candidate_grids(width, height, tiles))
    counts = [grid.tiles for grid in grids]
    assert grids[0] == nearest_grid(width, height, tiles)
    assert counts == sorted(set(counts), reverse=True)
    assert grids[-1] == Grid(1, 1)
