"""What is done ahead is bounded by number and by bytes."""

import time
from concurrent.futures import Future, ThreadPoolExecutor

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


@pytest.mark.parametrize("first", [0.0, 0.3])
def test_threads_begin_nothing_while_too_much_waits(first):
    begun, taken = [], 0

    def read(number):
        begun.append(number)
        time.sleep(first if number == 0 else 0)
        return number

    with ThreadPoolExecutor(3) as pool:
        for number in ahead(pool, read, range(40), 32, lambda _: 100, 250):
            assert number == taken
            taken += 1
            time.sleep(0.01)  # in which all could be read
            assert len(begun) <= taken + 3 + 3
    assert sorted(begun) == list(range(40))


def test_what_waits_at_the_gate_is_let_go_at_the_end():
    with ThreadPoolExecutor(2) as pool:
        results = ahead(pool, lambda n: n, range(40), 32, lambda _: 100, 50)
        assert next(results) == 0
        results.close()


def test_errors_come_in_their_turn():
    results = ahead(AtOnce(), lambda n: n if n != 3 else int("x"), range(6), 4, lambda _: 9, 100)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="invalid literal"):
        next(results)
