"""How many tiles are run at once, and tiles of many images in one batch."""

import numpy as np
import pytest
import torch
from toys import Toy

from titokzip.runtime import batching, precision
from titokzip.runtime.batching import batch_size, decode_features, encode_tiles, group_images
from titokzip.tiling import Grid


@pytest.mark.parametrize(
    ("free", "tiles"), [(0, 1), (1 << 30, 2), (6 << 30, 16), (22 << 30, 58), (139 << 30, 256)]
)
def test_a_batch_fills_half_of_the_free_memory(free, tiles, monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (free, 140 << 30))
    large = Toy()
    large.size = 256
    assert batch_size(large, "cuda") == tiles
    assert batch_size(large, "cpu") == batching.DEFAULT_BATCH == 16


def test_images_are_gathered_until_their_tiles_fill_a_batch():
    grids = [Grid(1, 1), Grid(1, 2), Grid(3, 3), Grid(1, 1)]
    pairs = zip("abcd", grids, strict=True)
    groups = list(group_images(pairs, batch=3, tiles=lambda pair: pair[1].tiles))
    assert ["".join(name for name, _ in group) for group in groups] == ["ab", "c", "d"]


def rows(*counts):
    """Make rows of so many tiles [n, S, S, 3]."""
    random = np.random.default_rng(0)
    return [random.random((count, 16, 16, 3), dtype=np.float32) for count in counts]


def test_rows_of_tiles_are_tokenized_in_batches():
    toy, tiles = Toy(), rows(2, 5, 1)
    tokens = encode_tiles(toy, tiles, 3, "cpu")
    assert toy.batches == [3, 3, 2]
    alone = [
        Toy().encode(torch.from_numpy(tile[None]).permute(0, 3, 1, 2))
        for tile in np.concatenate(tiles)
    ]
    assert np.array_equal(tokens, torch.cat(alone).numpy())


def test_features_are_decoded_in_batches_of_equal_length():
    toy, batches = Toy(), []
    decode = toy.decode_features
    toy.decode_features = lambda tokens: batches.append(tuple(tokens.shape)) or decode(tokens)
    tokens = [np.full(count, 7, np.int32) for count in (4, 4, 4, 2, 2, 4)]
    features = list(decode_features(toy, tokens, 2))
    assert batches == [(2, 4), (1, 4), (2, 2), (1, 4)]
    for row, feature in zip(tokens, features, strict=True):
        assert torch.equal(decode(torch.from_numpy(row[None]))[0], feature)


def test_networks_run_without_tf32_unless_it_is_asked_for():
    toy, settings = Toy(), []
    encode, decode = toy.encode, toy.decode_features

    def watched(work):
        return lambda value: settings.append(precision.tf32_allowed()) or work(value)

    toy.encode, toy.decode_features = watched(encode), watched(decode)
    for tf32 in (False, True):
        encode_tiles(toy, rows(1), 4, "cpu", tf32=tf32)
    for _ in decode_features(toy, [np.zeros(4, np.int32)], 4):
        assert torch.backends.cudnn.allow_tf32  # nothing is left set between the calls
    assert settings == [False, True, False]
