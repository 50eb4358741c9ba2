"""The Frechet distance is scipy's, of any stream of features, and survives a kill."""

import numpy as np
import pytest

from titokzip.bench.frechet import Store, distance, statistics


def features(count, width=24, seed=0, scale=1.0):
    rng = np.random.default_rng(seed)
    mix = rng.normal(size=(width, width))
    return ((rng.normal(size=(count, width)) @ mix) * scale + rng.normal(size=width)).astype("f4")


@pytest.mark.parametrize("seed", range(3))
def test_it_is_what_scipy_computes(seed):
    linalg = pytest.importorskip("scipy.linalg", reason="the oracle is not installed")
    one, other = features(500, seed=seed), features(400, seed=seed + 10, scale=1.3)
    (ma, ca), (mb, cb) = ((f.mean(0, "f8"), np.cov(f.astype("f8").T)) for f in (one, other))
    root = linalg.sqrtm(ca @ cb).real
    expected = ((ma - mb) ** 2).sum() + np.trace(ca + cb - 2 * root)
    found = distance(statistics([one]), statistics([other]))
    assert found == pytest.approx(expected, rel=1e-6)


def test_by_hand_in_one_dimension():
    one, other = np.array([[0.0], [2.0]]), np.array([[10.0], [18.0]])
    # Means 1 and 14; deviations the roots of 2 and 32.
    assert distance(statistics([one]), statistics([other])) == pytest.approx(169 + (2 + 32 - 16))


def test_equal_sets_are_at_zero_and_chunks_do_not_matter():
    rows = features(100)
    whole, parts = statistics([rows]), statistics([rows[:1], rows[1:64], rows[64:]])
    assert parts.count == 100
    assert np.allclose(whole.covariance, parts.covariance)
    assert distance(whole, parts) == pytest.approx(0, abs=1e-6)


def test_fewer_images_than_features_still_give_a_number():
    found = distance(statistics([features(10)]), statistics([features(10, seed=1)]))
    assert np.isfinite(found)
    assert found > 0


def test_rows_of_images_that_did_not_fit_are_left_out():
    rows = features(10)
    holes = rows.copy()
    holes[[2, 5]] = np.nan
    left = statistics([holes])
    assert left.count == 8
    assert np.allclose(left.mean, np.delete(rows, [2, 5], 0).mean(0), atol=1e-5)
    assert statistics([holes[2:3]]) is None


def test_a_store_forgets_what_a_killed_run_added(tmp_path):
    rows = features(9)
    store = Store(tmp_path / "a" / "b.f32", rows.shape[1])
    for row in rows:
        store.append(row[None])
    with store.path.open("ab") as file:
        file.write(b"half a row")
    store.cut(7)
    expected = statistics([rows[:7]])
    assert np.allclose(store.statistics().covariance, expected.covariance)
    assert store.statistics().count == 7
