"""Photos that the tests make, a context model that is fitted to them, and what it codes."""

from dataclasses import replace

import pytest
from embedded_runs import EFFORT, run
from photos import photo

from titokzip.training.embedded import context_model, images


@pytest.fixture(scope="session", autouse=True)
def small_images():
    """Draw smaller working images than usual."""
    with pytest.MonkeyPatch.context() as patch:
        decoder = replace(images.DECODER, sides=(36, 56), fine_share=0, graphics_share=0.1)
        patch.setattr(images, "DECODER", decoder)
        patch.setattr(images, "REDUCED", replace(images.REDUCED, sides=(36, 48)))
        patch.setattr(images, "CONTEXT", replace(images.CONTEXT, sides=(24, 56), fine_share=0))
        yield


@pytest.fixture(scope="session")
def photo_folder(tmp_path_factory):
    """Twenty photos, and beside them one that is damaged."""
    folder = tmp_path_factory.mktemp("photos")
    for i in range(20):
        photo(110 + i, 90 + 2 * i, i).save(folder / f"{i:02}.png")
    (folder / "damaged.png").write_bytes(b"no image")
    return folder


@pytest.fixture(scope="session")
def context_file(photo_folder, tmp_path_factory):
    """A context model, fitted by the command in less time than usual."""
    path = tmp_path_factory.mktemp("context") / "context.safetensors"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(context_model, "Effort", lambda: EFFORT)
        run("context", photo_folder, "--out", path, "--images", 12, "--held-out", 0.2)
    return path


@pytest.fixture(scope="session")
def data_folder(photo_folder, context_file, tmp_path_factory):
    """Images that the command has coded."""
    folder = tmp_path_factory.mktemp("data")
    counts = "--images", 9, "--reduced", 3, "--validation", 5
    common = "--context", context_file, "--held-out", 0.2
    run("data", photo_folder, "--out", folder, *common, *counts)
    return folder
