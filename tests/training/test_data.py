"""The order of samples, and batches of images."""

import io
import json
import tarfile
from collections import Counter
from itertools import islice

import pytest
import torch
from photos import photo, png
from shards import add, write_shard

from titokzip.errors import ImageError
from titokzip.training.data.images import Crop
from titokzip.training.data.loader import ImageBatches, Loading, Share, merged
from titokzip.training.data.order import Lane, Position, held_out
from titokzip.training.data.sources import Source, Split

ALL = {f"a/{i:03}" for i in range(42)}
CROP = Crop(16, random=False, flip=False)


def keys(lane, count):
    return [entry.key for entry in islice(lane, count)]


def lanes(source, count, **how):
    how = {"seed": 3, "window": 2, "split": Split()} | how
    return [Lane(source, number, count, **how) for number in range(count)]


@pytest.mark.parametrize("count", [1, 2, 3, 6, 12])
def test_lanes_are_disjoint_and_an_epoch_has_every_sample_once(shards, count):
    source = Source([shards])
    seen = []
    for lane in lanes(source, count):
        own = []
        for entry in lane:
            if lane.position.epoch:
                break
            own.append(entry.key)
        seen.append(own)
    together = [key for own in seen for key in own]
    assert Counter(together) == Counter(ALL)
    assert together != sorted(together)


def test_epochs_and_seeds_have_orders_of_their_own(shards):
    source = Source([shards])
    (lane,), (other,) = lanes(source, 1), lanes(source, 1, seed=4)
    first, second = keys(lane, 42), keys(lane, 42)
    assert sorted(first) == sorted(second) == sorted(ALL)
    assert len({tuple(first), tuple(second), tuple(keys(other, 42))}) == 3


@pytest.mark.parametrize("count", [1, 2, 12])
def test_a_lane_goes_on_from_its_position(shards, count):
    source = Source([shards])
    for number in {0, count - 1}:
        whole = keys(lanes(source, count)[number], 60)
        for cut in (0, 1, 13, 45):
            lane = lanes(source, count)[number]
            assert keys(lane, cut) == whole[:cut]
            numbers = json.loads(json.dumps(lane.position.numbers()))
            again = lanes(source, count, position=Position.of(numbers))[number]
            assert keys(again, 60 - cut) == whole[cut:]


def test_crops_of_a_held_out_photo_are_held_out_together(tmp_path):
    names = [f"cat-{photo}-n{crop}" for photo in range(60) for crop in range(3)]
    write_shard(tmp_path / "a.tar", names, 4)
    source, split = Source([tmp_path]), Split(0.3, r"^(cat-\d+)-")
    kept = {entry.key for entry in held_out(source, split, 1000)}
    (lane,) = lanes(source, 1, split=split)
    trained = set(keys(lane, len(names) - len(kept)))
    assert kept | trained == set(names)
    photos = [{name.rpartition("-")[0] for name in part} for part in (kept, trained)]
    assert not photos[0] & photos[1]
    assert 9 <= len(photos[0]) <= 27


def test_a_pattern_that_names_no_source_is_refused():
    with pytest.raises(ValueError, match="has no group"):
        Split(0.1, "cat")
    with pytest.raises(ValueError, match="not a regular expression"):
        Split(0.1, "(")


def batches(path, count=8, loading=None, **how):
    loading = loading or Loading(workers=0, window=2, held_out=0)
    source = Source([path] if not isinstance(path, list) else path, pieces=loading.lanes)
    return ImageBatches(source, loading, CROP, count, **how)


def pixels(batch):
    return {row.numpy().tobytes() for row in batch["image"]}


def test_a_batch_holds_images_classes_and_seeds(shards):
    batch = next(batches(shards))
    assert batch["image"].shape == (8, 3, 16, 16)
    assert batch["image"].dtype == torch.uint8
    assert set(batch["label"].tolist()) <= set(range(6))
    assert len(set(batch["seed"].tolist())) == 8
    wanted = {photo(16, 16, i).tobytes() for i in range(42)}
    assert {row.permute(1, 2, 0).numpy().tobytes() for row in batch["image"]} <= wanted


@pytest.mark.parametrize("workers", [0, 2])
def test_workers_and_processes_share_one_sequence(shards, workers):
    """Two processes see together what one sees with twice the batch, in the same steps."""
    loading = Loading(workers=workers, lanes=4, window=2, held_out=0)
    alone = batches(shards, 8, loading)
    pair = [batches(shards, 4, loading, share=Share(rank, 2)) for rank in range(2)]
    for _ in range(7):
        whole, (one, other) = next(alone), map(next, pair)
        assert not pixels(one) & pixels(other)
        assert pixels(whole) == pixels(one) | pixels(other)
        seeds = one["seed"].tolist() + other["seed"].tolist()
        assert sorted(whole["seed"].tolist()) == sorted(seeds)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_go_on_in_the_middle_of_an_epoch(shards, workers):
    loading = Loading(workers=workers, lanes=4, window=1, held_out=0)
    shares = [Share(rank, 2) for rank in range(2)]
    whole = [batches(shards, 12, loading, share=share) for share in shares]
    expected = [[next(one) for one in whole] for _ in range(9)]
    first = [batches(shards, 12, loading, share=share) for share in shares]
    for _ in range(4):
        for one in first:
            next(one)
    state = merged(json.loads(json.dumps([one.state() for one in first])))
    second = [batches(shards, 12, loading, share=share, state=state) for share in shares]
    for step in range(4, 9):
        for one, wanted in zip(second, expected[step], strict=True):
            given = next(one)
            assert all(torch.equal(given[key], wanted[key]) for key in wanted)


def test_images_that_cannot_be_read_are_counted_and_skipped(tmp_path):
    good = png(photo(16, 16))
    with tarfile.open(tmp_path / "a.tar", "w") as shard:
        for i in range(12):
            add(shard, f"{i}.png", png(photo(16, 16, i)))
        add(shard, "cut.png", good[:100])
        add(shard, "words.jpg", b"no image")
        add(shard, "class.png", good)
        add(shard, "class.cls", b"cat")
        add(shard, "notes.txt", b"no image")
    loader = batches(tmp_path, 4)
    seen = [next(loader) for _ in range(6)]  # two epochs
    assert loader.broken == 6
    assert len(set.union(*map(pixels, seen))) == 12


def test_data_without_a_good_image_end_in_one_line(tmp_path):
    write_shard(tmp_path / "a.tar", [])
    with tarfile.open(tmp_path / "a.tar", "w") as shard:
        add(shard, "a.png", b"no image")
    with pytest.raises(ImageError, match=r"^1000 images in a row cannot be read: a: "):
        next(batches(tmp_path, 4))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_damaged_shard_ends_in_one_line(tmp_path, workers):
    write_shard(tmp_path / "a.tar", ["1", "2"], 16)
    (tmp_path / "b.tar").write_bytes(b"not a tar file" * 100)
    loading = Loading(workers=workers, lanes=2, window=1, held_out=0)
    loader = batches(tmp_path, 4, loading)
    with pytest.raises(ImageError) as caught:
        list(islice(loader, 9))
    assert str(caught.value) == f"{tmp_path / 'b.tar'}: damaged, or not an uncompressed tar file"


def test_compressed_shards_are_refused(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w:gz") as shard:
        add(shard, "a.png", png(photo(16, 16)))
    with pytest.raises(ImageError, match="not an uncompressed tar file"):
        next(batches(tmp_path, 4))


def test_nothing_to_train_on_is_said(tmp_path):
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(ImageError, match="no images here, nor tar shards"):
        Source([tmp_path])
    with pytest.raises(ImageError, match="no such file or folder"):
        Source([tmp_path / "missing"])


def test_lanes_that_do_not_fit_are_refused(shards):
    with pytest.raises(ValueError, match="3 lanes are not a multiple of 2 workers in each of 1"):
        batches(shards, 4, Loading(workers=2, lanes=3))


def test_the_number_of_lanes_stays_with_a_run(shards):
    state = batches(shards, 4, Loading(workers=0, lanes=2)).state()
    with pytest.raises(ValueError, match="begun with 2 lanes, not 4"):
        batches(shards, 4, Loading(workers=0, lanes=4), state=merged([state]))


def test_folders_give_their_images_classes(folder):
    source = Source([folder])
    assert source.classes == ["cats", "dogs"]
    entries = [entry for shard in range(len(source)) for entry in source.entries(shard)]
    labels = {entry.key: entry.label for entry in entries}
    assert len(labels) == 16
    assert all(labels[f"{i:02}"] == 1 - i % 2 for i in range(16))


def test_text_features_come_along(tmp_path):
    import numpy as np

    with tarfile.open(tmp_path / "a.tar", "w") as shard:
        for i in range(4):
            features = io.BytesIO()
            np.save(features, np.full((2, 3), i, np.float16))
            add(shard, f"{i}.png", png(photo(16, 16, i)))
            add(shard, f"{i}.text.npy", features.getvalue())
    text = next(batches(tmp_path, 4))["text"]
    assert (text.shape, text.dtype) == ((4, 2, 3), torch.float32)
    assert sorted(text[:, 0, 0].tolist()) == [0, 1, 2, 3]


def test_crops_are_those_of_their_seed():
    image = photo(60, 40, 1)
    random = Crop(16, resize=20, zoom=1.5)
    assert torch.equal(random.cut(image, 7), random.cut(image, 7))
    assert len({random.cut(image, seed).numpy().tobytes() for seed in range(20)}) == 20
    flipped = {Crop(16, random=False).cut(image, seed).numpy().tobytes() for seed in range(20)}
    assert len(flipped) == 2
    wanted = image.resize((24, 16), 3).crop((4, 0, 20, 16))
    centre = random.centred().cut(image, 5).permute(1, 2, 0).numpy()
    assert (
        abs(centre.astype(int) - torch.tensor(list(wanted.tobytes())).view(16, 16, 3).numpy()).max()
        < 8
    )


@pytest.mark.parametrize("how", [{"resize": 8}, {"zoom": 0.5}])
def test_crops_that_do_not_fit_are_refused(how):
    with pytest.raises(ValueError, match="crops"):
        Crop(16, **how)
