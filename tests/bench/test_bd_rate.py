"""BD-rates agree with the package of the field, and are refused where they mean nothing."""

import math

import pytest

from titokzip.bench.bd_rate import NoBDRate, bd_rate, overlap

ANCHOR = [(100, 30.0), (200, 33.0), (400, 36.0), (900, 38.5)]
TEST = [(90, 30.5), (210, 33.1), (380, 36.9), (1000, 39.0)]


def test_bd_rate_of_a_curve_shifted_in_rate_is_the_shift():
    shifted = [(rate * 0.8, quality) for rate, quality in ANCHOR]
    assert bd_rate(ANCHOR, shifted) == pytest.approx(-20)
    assert bd_rate(ANCHOR, ANCHOR[:]) == pytest.approx(0)
    assert bd_rate(ANCHOR + ANCHOR[:1], shifted + shifted[2:]) == pytest.approx(-20)


def test_bd_rate_of_two_points_is_that_of_a_line():
    assert bd_rate(ANCHOR[:2], [(50, 30.0), (100, 33.0)]) == pytest.approx(-50)


@pytest.mark.parametrize(
    ("test", "reason"),
    [
        (ANCHOR[:1], "fewer than two points"),
        ([(10, 50.0), (20, 60.0)], "share only 0%"),
        ([(10, 31.0), (20, 31.0)], "does not rise"),
        ([(100, 33.0), (200, 30.0)], "does not rise"),
        ([(100, 30.0), (200, 33.0), (300, 32.0), (400, 36.0)], "does not rise"),
        ([(100, 30.0), (100, 33.0), (400, 36.0)], "does not rise"),
        ([(10, 20.0), (100, 31.0)], "share only 5%"),
    ],
)
def test_bd_rate_where_it_has_no_meaning(test, reason):
    for curves in ((ANCHOR, test), (test, ANCHOR)):
        with pytest.raises(NoBDRate, match=reason):
            bd_rate(*curves)


def test_the_overlap_is_of_both_ranges_together():
    assert overlap(ANCHOR, ANCHOR) == 1
    assert overlap([(1, 0.0), (2, 3.0)], [(1, 1.0), (2, 4.0)]) == pytest.approx(0.5)
    assert overlap([(1, 0.0), (2, 1.0)], [(1, 2.0), (2, 3.0)]) == 0


def test_the_bjontegaard_package_warns_of_what_is_refused():
    pytest.importorskip("matplotlib", reason="the oracle needs it")
    library = pytest.importorskip("bjontegaard", reason="the oracle is not installed")
    apart = [(10, 20.0), (100, 31.0)]
    with pytest.warns(UserWarning, match=r"Insufficient curve overlap: '5"):
        library.bd_rate(
            *zip(*ANCHOR, strict=True),
            *zip(*apart, strict=True),
            method="pchip",
            require_matching_points=False,
        )
    with pytest.raises(NoBDRate, match="share only 5%"):
        bd_rate(ANCHOR, apart)


def test_bd_rate_is_that_of_scipys_curves():
    interpolate = pytest.importorskip("scipy.interpolate", reason="the oracle is not installed")
    curves = [
        interpolate.PchipInterpolator([q for _, q in c], [math.log(r) for r, _ in c])
        for c in (ANCHOR, TEST)
    ]
    low, high = 30.5, 38.5
    areas = [float(curve.integrate(low, high)) for curve in curves]
    expected = 100 * math.expm1((areas[1] - areas[0]) / (high - low))
    assert bd_rate(ANCHOR, TEST) == pytest.approx(expected, rel=1e-9)


def test_bd_rate_is_that_of_the_bjontegaard_package():
    pytest.importorskip("matplotlib", reason="the oracle needs it")
    library = pytest.importorskip("bjontegaard", reason="the oracle is not installed")
    expected = library.bd_rate(*zip(*ANCHOR, strict=True), *zip(*TEST, strict=True), method="pchip")
    assert bd_rate(ANCHOR, TEST) == pytest.approx(expected, rel=1e-9)
