"""What tests share: the embedded model, a tiny release, and the switch for slow tests."""

import os
from pathlib import Path

import pytest
import torch
import toys
from releases import official_folder, register
from threadpoolctl import threadpool_limits

from titokzip import loading, zoo


def pytest_addoption(parser):
    parser.addoption("--slow", action="store_true", help="run the tests that take minutes too")


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--slow"):
        skip = pytest.mark.skip(reason="takes minutes; --slow runs it")
        for item in items:
            if "slow" in item.keywords:
                item.add_marker(skip)


def pytest_configure():
    # The networks are small: two threads wait for each other, here and in processes of ours.
    torch.set_num_threads(1)
    threadpool_limits(1, "blas")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # The models that someone installed on this machine are not ours.
    os.environ["TITOKZIP_MODELS"] = str(Path(__file__).parent / "no-models")


@pytest.fixture(scope="session")
def embedded():
    """The model that ships with the package, on the CPU."""
    return loading.load(device="cpu")


@pytest.fixture
def toy(monkeypatch):
    """Put a toy of tiles in the place of the model that ships, where a test is of files."""
    one, find = toys.codec(), zoo.find_fingerprint
    fingerprint = one.fingerprint[: len(b"toy!")]
    monkeypatch.setattr(loading, "load", lambda *_, **__: one)
    monkeypatch.setattr(loading, "cached", lambda *_: one)
    monkeypatch.setattr(
        zoo,
        "find_fingerprint",
        lambda prefix: zoo.find(zoo.DEFAULT) if prefix == fingerprint else find(prefix),
    )
    return one


@pytest.fixture
def known(monkeypatch, tmp_path):
    """A release of a tiny TiTok that the zoo knows, and a folder of the user's for its manifest."""
    monkeypatch.setenv("TITOKZIP_MODELS", str(tmp_path / "models"))
    return register(monkeypatch)


@pytest.fixture
def folder(tmp_path):
    """Weights of that release, as its authors would lay them out."""
    return official_folder(tmp_path / "tokenizer_tiny_6_imagenet")


@pytest.fixture
def tiny(known, folder):
    """The manifest of that release, added to the zoo."""
    return zoo.add(folder)
