"""What is done ahead is bounded by number and by bytes."""

from concurrent.futures import Future

import pytest

from titokzip.runtime.prefetch import ahead


class AtOnce:
    """An executor that is done when it is asked."""

    def __init__(self):
        self.begun = 0

    def submit(self, function, *arguments):
        self.begun += 1
        future = Future()
        try:
            future.set_result(function(*arguments))
        except ValueError as error:
            future.set_exception(error)
        return future


@pytest.mark.parametrize(
    ("bytes_", "most", "waiting"),
    [(0, 0, 8), (100, 10**9, 8), (100, 250, 3), (100, 0, 1), (10**9, 250, 1)],
)
def test_results_wait_in_bounded_number_and_bytes(bytes_, most, waiting):
    pool, seen = AtOnce(), 0
    for number in ahead(pool, lambda n: n, range(40), 8, lambda _: bytes_, most):
        assert number == seen
        assert pool.begun - seen <= waiting
        seen += 1
    assert seen == pool.begun == 40


def test_errors_come_in_their_turn():
    results = ahead(AtOnce(), lambda n: n if n != 3 else int("x"), range(6), 4, lambda _: 9, 100)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="invalid literal"):
        next(results)
