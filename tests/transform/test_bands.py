"""The order of bands."""

import pytest

from titokzip.transform.bands import flatten, in_order
from titokzip.transform.pyramid import Integers


def names(planes, rows=3, columns=5):
    return list(in_order(planes, rows, columns))


@pytest.mark.parametrize("planes", [1, 2, 3, 4])
def test_every_coefficient_is_in_one_band(planes):
    integers = Integers.zeros(planes, 3, 5)
    for number, band in enumerate(names(planes), 1):
        band.of_integers(integers)[:] += number
    row = flatten(integers)
    assert (
        (row > 0).sum() == len(row) == planes * 64 * 15
    )  # all but the means that the pyramid holds
    assert sorted(row) == list(row)


def test_the_pyramid_comes_first_and_planes_take_turns():
    order = names(3)
    first = next(i for i, band in enumerate(order) if band.level is None)
    assert all(band.level is None for band in order[first:])
    levels = [band.level for band in order[:first]]
    assert levels == sorted(levels)
    assert [band.plane for band in order[:6]] == [0, 1, 2, 0, 1, 2]


def test_chroma_lags_behind_luma():
    order = [(band.plane, band.row, band.column) for band in names(3) if band.level is None]
    assert order[:2] == [(0, 0, 1), (0, 1, 0)]
    assert order.index((0, 1, 2)) < order.index((1, 0, 1)) < order.index((0, 2, 2))


def test_alpha_is_no_chroma():
    order = [(band.plane, band.row, band.column) for band in names(4) if band.level is None]
    assert order[:4] == [(0, 0, 1), (0, 1, 0), (3, 0, 1), (3, 1, 0)]
