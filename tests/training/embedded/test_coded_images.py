"""Training images by number, and the coded images that are stored of them."""

import numpy as np
import pytest
from embedded_runs import run
from photos import photo

from titokzip.errors import ImageError
from titokzip.training.embedded import graphics, images
from titokzip.training.embedded.batches import Batches, evenly
from titokzip.training.embedded.images import Images, find_photos
from titokzip.training.embedded.parts import Items


def test_drawn_images_follow_from_their_seed_and_differ():
    drawn = [graphics.draw(np.random.default_rng(seed)) for seed in range(30)]
    again = graphics.draw(np.random.default_rng(7))
    assert again.tobytes() == drawn[7].tobytes()
    assert len({image.tobytes() for image in drawn}) == 30
    assert all(image.mode == "RGB" and min(image.size) >= 96 for image in drawn)
    assert all(max(image.size) <= 3 * min(image.size) for image in drawn)


def test_an_image_follows_from_its_number(photo_folder):
    photos, held = find_photos([photo_folder], held_out=0.2)
    draw = Images([entry for entry in photos if entry.key != "damaged"], images.DECODER)
    one, same, other = draw(3), draw(3), draw(4)
    assert one.image.tobytes() == same.image.tobytes()
    assert (one.step, one.blocks) == (same.step, same.blocks)
    assert one.image.tobytes() != other.image.tobytes()
    assert not {entry.key for entry in photos} & {entry.key for entry in held}


def test_all_crops_of_a_source_are_held_out_together(tmp_path):
    for i in range(12):
        for crop in "ab":
            photo(16, 16, i).save(tmp_path / f"{i:02}-{crop}.png")
    kept, held = find_photos([tmp_path], r"(.*)-[ab]$", 0.3)
    sources = [{entry.key.split("-")[0] for entry in side} for side in (kept, held)]
    assert len(held) == 2 * len(sources[1])
    assert not sources[0] & sources[1]


def test_too_few_photos_are_an_error(tmp_path):
    photo(16, 16).save(tmp_path / "one.png")
    with pytest.raises(ImageError, match="too few"):
        find_photos([tmp_path])


def test_reduced_photos_are_at_most_half_their_size(photo_folder):
    photos, _ = find_photos([photo_folder], held_out=0.2)
    draw = Images([entry for entry in photos if entry.key != "damaged"], images.REDUCED)
    for number in range(5):
        drawn = draw(number)
        assert drawn.is_photo
        assert 8 * drawn.blocks <= min(drawn.image.size) / 2 + 4


def test_coded_images_are_near_their_originals_and_have_doubles(data_folder):
    items = Items(data_folder / "train")
    assert 8 <= len(items.records) <= 12  # but for those of the damaged photo
    for record in items.records:
        original, decoded = items.images(record)
        error = np.square(original - decoded.astype(np.float32).clip(0, 255)).mean()
        assert 10 * np.log10(255**2 / max(error, 1e-6)) == pytest.approx(record.psnr, abs=0.05)
        assert record.psnr > 12
    doubles = [record for record in items.records if record.double is not None]
    assert doubles
    for record in doubles:
        double, (original, _) = items.double(record), items.images(record)
        halved = double.reshape(3, record.h, 2, record.w, 2).mean((2, 4))
        assert np.abs(halved - original).mean() < 6


def test_a_finished_part_is_kept(data_folder, photo_folder, context_file):
    before = {path: path.stat().st_mtime_ns for path in data_folder.rglob("*.json")}
    counts = "--images", 9, "--reduced", 3, "--validation", 5
    common = "--context", context_file, "--held-out", 0.2
    run("data", photo_folder, "--out", data_folder, *common, *counts)
    assert before == {path: path.stat().st_mtime_ns for path in data_folder.rglob("*.json")}


@pytest.mark.slow
def test_parts_are_the_same_from_several_processes(photo_folder, context_file, tmp_path):
    counts = "--images", 1, "--reduced", 1, "--validation", 1
    common = "--context", context_file, "--held-out", 0.2
    for processes in (1, 2):
        run("data", photo_folder, "--out", tmp_path / str(processes), *common, *counts,
            "--processes", processes)  # fmt: skip
    one, two = (sorted((tmp_path / n).rglob("*.*")) for n in "12")
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]


def test_crops_of_a_batch_fit_their_images(data_folder):
    items = Items(data_folder / "train")
    batch = Batches(items, 0).draw(48, 2**14)
    side = batch.decoded.shape[-1]
    assert side in (32, 48)
    assert batch.original.shape == batch.decoded.shape == (2**14 // side**2, 3, side, side)
    assert batch.double.shape == (int(batch.has_double.sum()), 3, 2 * side, 2 * side)
    assert (batch.original - batch.decoded).square().mean() < 4 * batch.error.mean()


def test_records_are_spread_evenly(data_folder):
    items = Items(data_folder / "train")
    few = list(evenly(items, 3))
    assert few[0] is items.records[0]
    assert len({id(record) for record in few}) == 3


def test_a_damaged_part_is_named(tmp_path):
    (tmp_path / "00000.json").write_text("[{}]")
    with pytest.raises(ImageError, match="00000"):
        Items(tmp_path)
