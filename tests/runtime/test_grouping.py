"""Groups of things that follow each other."""

import pytest

from titokzip.runtime.grouping import in_groups


def test_groups_are_as_large_as_memory_allows():
    assert list(in_groups([3, 4, 5, 20, 1, 2], lambda one: one, 9)) == [[3, 4], [5], [20], [1, 2]]
    assert list(in_groups([4, 5, 1], lambda one: one, 9)) == [[4, 5], [1]]
    assert list(in_groups([], len, 9)) == []


def test_nothing_is_read_ahead_of_a_group_that_is_full():
    given = iter([9, 1, 1])
    assert next(in_groups(given, lambda one: one, 9)) == [9]
    assert list(given) == [1, 1]


def test_what_came_before_an_error_comes_first():
    def failing():
        yield 1
        yield 2
        raise ZeroDivisionError

    groups = in_groups(failing(), lambda one: one, 9)
    assert next(groups) == [1, 2]
    with pytest.raises(ZeroDivisionError):
        next(groups)
