"""What the tests of several commands start from."""

import pytest
from photos import photo


@pytest.fixture
def source(tmp_path):
    photo(120, 80).save(tmp_path / "a.png")
    return tmp_path / "a.png"
