"""Photos in memory, and tiles drawn from them."""

import json

import pytest
import torch
from photos import photo
from run import run

from titokzip.errors import ImageError
from titokzip.training import data


def test_photos_are_read_from_folders_and_tars(photos):
    assert (len(photos.training), len(photos.validation)) == (7, 1)
    assert {tuple(p.shape) for p in photos.training} == {(3, 288, 307), (3, 307, 288)}
    assert {p.dtype for p in photos.training + photos.validation} == {torch.uint8}


def test_a_limit_on_photos(folder):
    assert len(data.load(folder, limit=4).training) <= 4


def test_odd_photos_are_read(tmp_path):
    for i, size in enumerate([(1, 1), (1, 5000), (20000, 2)]):
        photo(*size).save(tmp_path / f"{i}.png")
    loaded = data.load(tmp_path)
    for pixels in loaded.training + loaded.validation:
        assert min(pixels.shape[1:]) == 288
        assert max(pixels.shape[1:]) <= 2 * 288


@pytest.mark.parametrize("content", [None, "words.jpg", "broken.tar"])
def test_no_photos_are_one_line(tmp_path, content):
    (tmp_path / "in").mkdir()
    if content:
        (tmp_path / "in" / content).write_text("no photo " * 100)
    with pytest.raises(ImageError, match=r"^[^\n]+$"):
        data.load(tmp_path / "in")
    told = run("train", "toy", "--data", tmp_path / "in", "--out", tmp_path / "out", code=1).stderr
    assert told.startswith("titokzip: ")
    assert not (tmp_path / "out").exists()


def test_every_photo_comes_once_before_any_comes_again(photos):
    sampler = data.Sampler(photos.training, 64, 16, 0)
    for _ in range(3):
        assert len(sampler.order) == 0
        sampler.batch(7)


def test_samples_are_tiles_as_the_codec_cuts_them(photos):
    tiles = data.Sampler(photos.training, 64, 16, 0).batch(9)
    assert tiles.shape == (9, 3, 64, 64)
    assert -1 < tiles.min() < 0.3 < 0.6 < tiles.max() < 2  # the filter stretches by sqrt(2) twice


def test_a_restored_sampler_goes_on(photos):
    sampler, other = (data.Sampler(photos.training, 64, 16, seed) for seed in (0, 1))
    sampler.batch(3)
    other.restore(json.loads(json.dumps(sampler.state())))
    assert torch.equal(sampler.batch(10), other.batch(10))
