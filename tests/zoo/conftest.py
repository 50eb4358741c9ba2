"""What the tests of hostile files share."""

import resource
import sys

import pytest

MEMORY = 200 << 20  # bytes that a refusal may take


@pytest.fixture
def bounded():
    """Compare the most memory that this process had before and after."""
    unit = 1 if sys.platform == "darwin" else 1024
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit - before < MEMORY
