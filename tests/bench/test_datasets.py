"""Data sets are found in every layout in which people have them, or one line says what to do."""

import io
import tarfile

import numpy as np
import pytest
from photos import photo
from PIL import Image

from titokzip.bench import datasets
from titokzip.bench.data_files import RUN_FILES
from titokzip.bench.datasets import DatasetError, Protocol, find


def shard(path, names):
    with tarfile.open(path, "w") as tar:
        for i, name in enumerate(names):
            file = io.BytesIO()
            photo(240, 176, seed=i).save(file, "PNG")
            info = tarfile.TarInfo(name)
            info.size = file.tell()
            file.seek(0)
            tar.addfile(info, file)
            tar.addfile(tarfile.TarInfo(name + ".cls"))


def names(dataset):
    return [item.name for item in dataset.items]


def test_image_folders_are_found_by_name(imagenet):
    dataset = find("imagenet-val", imagenet)
    assert names(dataset) == [
        "n01440760/ILSVRC2012_val_00000000.JPEG",
        "n01440760/broken.JPEG",
        "n01440761/ILSVRC2012_val_00000001.JPEG",
        "n01440762/ILSVRC2012_val_00000002.JPEG",
    ]


@pytest.mark.parametrize("layout", ["flat", "tar", "shards"])
def test_other_layouts_hold_the_same_photos(tmp_path, layout):
    if layout == "flat":
        for i in range(2):
            photo(240, 176, seed=i).save(tmp_path / f"{i}.png")
        (tmp_path / "notes.txt").write_text("no photo")
    elif layout == "tar":
        shard(tmp_path / "all.tar", ["0.png", "1.png"])
    else:
        shard(tmp_path / "a-0.tar", ["0.png", "1.png"])
        shard(tmp_path / "a-1.tar", [])
    dataset = find(str(tmp_path / "all.tar" if layout == "tar" else tmp_path))
    assert [name.split("/")[-1] for name in names(dataset)] == ["0.png", "1.png"]
    for i, item in enumerate(dataset.items):
        assert np.array_equal(item.load(Protocol()).image, photo(240, 176, seed=i))


def test_names_in_a_tar_do_not_lead_out_of_the_folder(tmp_path):
    shard(tmp_path / "a.tar", ["../../up.png", "/etc/top.png"])
    assert names(find(str(tmp_path / "a.tar"))) == ["up.png", "etc/top.png"]


def test_the_digest_knows_names_and_contents(tmp_path):
    for i in range(3):
        photo(240, 176, seed=i).save(tmp_path / f"{i}.ppm")
    whole = find(str(tmp_path)).digest
    assert whole == find(str(tmp_path)).digest
    assert whole != find(str(tmp_path), limit=2).digest
    photo(240, 176, seed=9).save(tmp_path / "1.ppm")  # as many bytes as before
    assert whole != find(str(tmp_path)).digest


def test_links_are_followed_once_and_dangling_ones_named(tmp_path):
    photos = tmp_path / "elsewhere"
    photos.mkdir()
    photo(40, 30).save(photos / "a.png")
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "linked").symlink_to(photos)
    (folder / "again").symlink_to(folder)
    (folder / "b.png").symlink_to(photos / "a.png")
    (folder / "gone.png").symlink_to("nowhere.png")
    dataset = find(str(folder))
    assert names(dataset) == ["b.png", "linked/a.png"]
    assert [item.load(Protocol()).image.size for item in dataset.items] == [(40, 30)] * 2
    assert dataset.skipped == {str(folder / "gone.png"): "a link that leads nowhere"}


@pytest.mark.parametrize("name", ["a.tar.gz", "b.tgz", "c.tar.zst", "d.zip"])
def test_compressed_shards_are_named(tmp_path, name):
    photo(40, 30).save(tmp_path / "a.png")
    (tmp_path / name).write_bytes(b"whatever")
    assert names(find(str(tmp_path))) == ["a.png"]
    assert list(find(str(tmp_path)).skipped) == [str(tmp_path / name)]
    with pytest.raises(DatasetError, match="compressed; unpack it"):
        find(str(tmp_path / name))
    (tmp_path / "a.png").unlink()
    with pytest.raises(DatasetError, match="compressed; unpack it"):
        find(str(tmp_path))


def test_what_runs_wrote_is_no_data(tmp_path):
    photo(40, 30).save(tmp_path / "a.png")
    for name in ("bench-old", "bench-new"):
        out = tmp_path / name / "files"
        out.mkdir(parents=True)
        photo(40, 30).save(out / "a.png.q50.webp")
    for name in RUN_FILES:
        (tmp_path / "bench-old" / name).touch()
    dataset = find(str(tmp_path), out=tmp_path / "bench-new")
    assert names(dataset) == ["a.png"]
    assert set(dataset.skipped) == {str(tmp_path / "bench-old"), str(tmp_path / "bench-new")}


def test_a_limit_draws_by_the_seed_and_keeps_the_order(tmp_path):
    for i in range(20):
        (tmp_path / f"{i:02}.png").touch()
    drawn = names(find(str(tmp_path), limit=8, seed=1))
    assert drawn == names(find(str(tmp_path), limit=8, seed=1))
    assert drawn == sorted(drawn)
    assert len(set(drawn)) == 8
    assert drawn != names(find(str(tmp_path), limit=8, seed=2))


@pytest.mark.parametrize("size", [(500, 375), (375, 500), (256, 256), (40, 30), (257, 9000)])
def test_the_protocol_of_titok_makes_squares(size):
    square = Protocol(256, 256).apply(Image.new("RGB", size))
    assert square.size == (256, 256)


def test_resizing_alone_keeps_the_shape():
    assert Protocol(256).apply(Image.new("RGB", (500, 375))).size == (341, 256)


def test_full_resolution_changes_nothing_and_says_so():
    assert np.array_equal(Protocol().apply(photo(240, 176)), photo(240, 176))
    assert str(Protocol()) == "full resolution"
    assert str(Protocol(256, 256)) == "shorter side 256 bicubic, centre crop 256"
    assert str(Protocol(truncate=True)) == "full resolution, decoded pixels truncated"


def test_a_photo_brings_no_profile_along(tmp_path):
    photo(240, 176).save(tmp_path / "a.png", icc_profile=b"0" * 500)
    (item,) = find(str(tmp_path)).items
    assert item.load(Protocol()).image.info == {}


@pytest.mark.parametrize("name", list(datasets.PLACES))
def test_a_missing_data_set_says_where_to_get_and_put_it(tmp_path, name):
    with pytest.raises(DatasetError, match=r"https://|python benchmarks/") as caught:
        find(name, tmp_path)
    assert str(tmp_path / datasets.PLACES[name].folders[0]) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_and_empty_places_are_refused(tmp_path):
    with pytest.raises(DatasetError, match="no such"):
        find("nowhere")
    with pytest.raises(DatasetError, match="no images"):
        find(str(tmp_path))
    (tmp_path / "x.tar").write_bytes(b"no tar at all" * 100)
    with pytest.raises(DatasetError, match="not a tar"):
        find(str(tmp_path))


def test_samples_are_photos():
    pytest.importorskip("skimage", reason="the samples are inside scikit-image")
    dataset = find("samples")
    assert names(dataset) == list(datasets.SAMPLES)
    for item in dataset.items:
        assert min(item.load(Protocol()).image.size) >= 300


def test_samples_without_scikit_image_say_how_to_get_them(monkeypatch):
    monkeypatch.setattr(datasets, "find_spec", lambda name: None)
    with pytest.raises(DatasetError, match="pip install scikit-image"):
        find("samples")
