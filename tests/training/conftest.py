"""Photos and an untrained model that the tests of training share."""

import io
import tarfile
from dataclasses import replace

import pytest
import torch
from photos import photo

from titokzip.training import data, transform_design
from titokzip.training.presets import PRESETS
from titokzip.training.session import Run

CPU = torch.device("cpu")


def png(width, height, seed):
    file = io.BytesIO()
    photo(width, height, seed).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Eight photos: five files, and three in a tar; beside them what cannot be read."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "deep.jpg").mkdir()
    for i in range(5):
        (folder / "deep.jpg" / f"{i}.png").write_bytes(png(320, 300, i))
    with tarfile.open(folder / "shard.tar", "w") as shard:
        for i in range(5, 8):
            member = tarfile.TarInfo(f"a/{i}.PNG")
            member.size = len(png(300, 320, i))
            shard.addfile(member, io.BytesIO(png(300, 320, i)))
        shard.addfile(tarfile.TarInfo("a/none.txt"), io.BytesIO())
    (folder / "broken.png").write_bytes(png(320, 300, 0)[:5000])
    (folder / "flipped.png").write_bytes(png(320, 300, 0).replace(b"IDAT", b"IDAX", 1))
    (folder / "words.jpg").write_text("no photo")
    (folder / "notes.txt").write_text("no photo")
    return folder


@pytest.fixture(scope="session")
def photos(folder):
    return data.load(folder)


@pytest.fixture(scope="session")
def untrained(photos):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transform_design, "SAMPLES", 300)
        sampler = data.Sampler(photos.training, 64, 16, 0)
        return transform_design.design(PRESETS["toy"].model, sampler.batch)


@pytest.fixture
def begin(untrained, photos):
    """Begin a training of the untrained model, always in the same way."""

    def begun(**options):
        torch.manual_seed(0)
        model = type(untrained)(untrained.config)
        model.load_state_dict(untrained.state_dict())
        preset = replace(PRESETS["toy"], model=untrained.config)
        return Run(model, preset, photos, CPU, **options)

    return begun
