"""The context model that ships with the package."""

import pytest

from titokzip import zoo


@pytest.fixture(scope="session")
def context_model():
    return zoo.load_context_model(zoo.find(zoo.DEFAULT))
