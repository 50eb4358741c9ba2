"""A well-known test set is compared with its list, whatever files its pixels are in."""

import json

import pytest
from photos import photo

from titokzip.bench import held_out
from titokzip.bench.datasets import find


@pytest.fixture
def kodak(tmp_path, monkeypatch):
    """Lay out three images as Kodak, and make the list of them."""
    folder = tmp_path / "kodak"
    folder.mkdir()
    for i in range(3):
        photo(40, 30, seed=i).save(folder / f"kodim0{i}.png")
    known = held_out.hashes(find("kodak", tmp_path))
    monkeypatch.setattr(held_out, "listed", lambda name: known if name == "kodak" else {})
    return folder


def test_the_same_pixels_pass_in_any_file(kodak):
    assert held_out.check(find("kodak", kodak.parent)) is None
    photo(40, 30, seed=1).save(kodak / "kodim01.webp", lossless=True)
    (kodak / "kodim01.png").unlink()
    assert held_out.check(find("kodak", kodak.parent)) is None
    assert held_out.check(find("kodak", kodak.parent, limit=2)) is None


def test_other_pixels_and_unknown_names_are_told(kodak):
    photo(40, 30, seed=9).save(kodak / "kodim01.png")
    photo(40, 30, seed=9).save(kodak / "extra.png")
    (kodak / "kodim02.png").write_bytes(b"broken")
    said = held_out.check(find("kodak", kodak.parent))
    assert said == (
        "3 of 4 images are not those of the held-out list of kodak:"
        " extra.png, kodim01.png, kodim02.png"
    )


def test_other_data_sets_have_no_list(kodak):
    assert held_out.check(find(str(kodak))) is None or find(str(kodak)).name == "kodak"


def test_the_committed_lists():
    from importlib.resources import files

    found = json.loads(files("titokzip.bench").joinpath("held_out.json").read_text())
    assert {name: len(images) for name, images in found.items()} == {
        "kodak": 24, "imagenet-heldout": 100, "cq100": 96, "graphics": 19,
    }  # fmt: skip
    for images in found.values():
        assert len(set(images.values())) == len(images)
        assert all(len(sha) == 64 for sha in images.values())


def test_no_image_is_in_two_lists():
    lists = [held_out.listed(name) for name in ("kodak", "imagenet-heldout", "cq100", "graphics")]
    hashes = [sha for images in lists for sha in images.values()]
    assert len(set(hashes)) == len(hashes)


def test_images_of_cq100_that_are_kodaks_are_left_out(tmp_path):
    (tmp_path / "cq100").mkdir()
    for name in ("girl", "macarons"):
        photo(40, 30).save(tmp_path / "cq100" / f"{name}.png")
    dataset = find("cq100", tmp_path)
    assert [item.name for item in dataset.items] == ["macarons.png"]
    assert dataset.skipped == {"girl.png": "an image of another test set"}


def test_the_graphics_are_drawn_as_they_are_listed(tmp_path):
    import subprocess
    import sys
    from pathlib import Path

    script = Path(__file__).parents[2] / "benchmarks" / "graphics.py"
    subprocess.run([sys.executable, str(script), str(tmp_path / "graphics")], check=True)
    dataset = find("graphics", tmp_path)
    assert len(dataset.items) == 19
    assert set(held_out.hashes(dataset)) == set(held_out.listed("graphics"))
