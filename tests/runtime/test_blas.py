"""The BLAS has one thread as long as anybody is inside, and as many as before afterwards."""

import numpy as np  # noqa: F401  # its BLAS
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from titokzip.runtime.blas import one_thread


def threads():
    return {one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"}


@pytest.fixture
def two():
    with threadpool_limits(2, "blas"):
        if threads() != {2}:
            pytest.skip("this BLAS has no threads to limit")
        yield


def test_it_has_as_many_threads_as_before_afterwards(two):
    with one_thread():
        assert threads() == {1}
    assert threads() == {2}


def test_who_leaves_first_lifts_no_limit(two):
    """As threads do that overlap."""
    one, other = one_thread(), one_thread()
    one.__enter__()
    other.__enter__()
    one.__exit__(None, None, None)
    assert threads() == {1}
    other.__exit__(None, None, None)
    assert threads() == {2}


def test_an_error_lifts_it(two):
    with pytest.raises(ZeroDivisionError), one_thread():
        _ = 1 / 0
    assert threads() == {2}
