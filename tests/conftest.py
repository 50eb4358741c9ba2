"""What all tests share: the embedded model, loaded once, and the switch for slow tests."""

import os
from pathlib import Path

import pytest
import torch

from titokzip.codec import Codec


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="run the tests that take minutes too")


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--slow"):
        skip = pytest.mark.skip(reason="takes minutes; --slow runs it")
        for item in items:
            if "slow" in item.keywords:
                item.add_marker(skip)


def pytest_configure():
    torch.set_num_threads(2)
    # The models that someone installed on this machine are not ours.
    os.environ["TITOKZIP_MODELS"] = str(Path(__file__).parent / "no-models")


@pytest.fixture(scope="session")
def embedded():
    """The model that ships with the package, on the CPU."""
    return Codec.load(device="cpu")
