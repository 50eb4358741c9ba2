"""How many tiles are run at once, and tiles of many images in one batch."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from toys import Toy

from titokzip.runtime import batching, precision
from titokzip.runtime.batching import (
    Batch,
    batch_size,
    collected,
    decode_features,
    encode_tiles,
    from_device,
    group_images,
    to_device,
    to_levels,
    to_unit,
)
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


def images(*counts):
    """Make images of so many tiles [n, S, S, 3]."""
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (count, 16, 16, 3), np.uint8) for count in counts]


def test_tiles_of_many_images_share_batches():
    toy, tiles = Toy(), images(2, 5, 1)
    batches = list(encode_tiles(toy, tiles, Batch(3), "cpu"))
    assert toy.batches == [len(tokens) for tokens in batches] == [3, 3, 2]
    alone = [
        Toy().encode(torch.from_numpy(tile[None].astype(np.float32) / 255).permute(0, 3, 1, 2))
        for tile in np.concatenate(tiles)
    ]
    assert np.array_equal(np.concatenate(batches), torch.cat(alone).numpy())


def test_bytes_and_the_unit_interval():
    levels = np.arange(256, dtype=np.uint8)
    unit = to_unit(torch.from_numpy(levels))
    assert np.array_equal(unit.numpy(), levels.astype(np.float32) / 255)
    assert np.array_equal(to_levels(unit).numpy(), levels)
    between = torch.tensor([-0.5, 100.7 / 255, 100.5 / 255, 101.5 / 255, 1.5])
    assert to_levels(between).tolist() == [0, 101, 100, 102, 255]
    assert to_levels(between, truncate=True).tolist() == [0, 100, 100, 101, 255]


class Memory:
    """A function of a batch that has memory for so many inputs."""

    def __init__(self, most):
        self.most, self.asked = most, []

    def __call__(self, inputs):
        self.asked.append(len(inputs))
        if len(inputs) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return inputs + 1


@pytest.mark.parametrize("most", [1, 3, 7, 100])
def test_memory_that_runs_out_halves_the_batch(most):
    function, batch = Memory(most), Batch(20)
    assert torch.equal(batch.run(function, torch.arange(20)), torch.arange(20) + 1)
    assert batch.tiles <= most or most == 100
    begun = len(function.asked)
    batch.run(function, torch.arange(batch.tiles))
    assert function.asked[begun:] == [batch.tiles]  # at once: the lesson was learnt


def test_a_tile_that_is_too_much_alone_leaves_the_batch_as_it_was():
    batch = Batch(16)
    with pytest.raises(torch.OutOfMemoryError):
        batch.run(Memory(0), torch.arange(16))
    assert batch.tiles == 16


def test_other_errors_are_not_tried_again():
    def broken(inputs):
        asked.append(len(inputs))
        raise RuntimeError("a bug")

    asked = []
    with pytest.raises(RuntimeError, match="a bug"):
        Batch(4).run(broken, torch.arange(4))
    assert asked == [4]


def test_tokens_are_the_same_when_memory_runs_out():
    tiles = images(9, 1, 6)
    wanted = np.concatenate(list(encode_tiles(Toy(), tiles, Batch(8), "cpu")))
    toy = Toy()
    encode = toy.encode
    toy.encode = lambda pixels: encode(Memory(3)(pixels) - 1)
    assert np.array_equal(np.concatenate(list(encode_tiles(toy, tiles, Batch(8), "cpu"))), wanted)
    assert max(toy.batches) <= 3


def test_on_a_gpu_results_are_collected_behind_the_work(monkeypatch):
    """Each when the next has been launched, so that the device has something to do meanwhile."""
    for cuda, wanted in [(False, "0a1b2c"), (True, "01a2bc")]:
        order = []

        def launch(number, order=order):
            order.append(str(number))
            return lambda: order.append("abc"[number])

        monkeypatch.setattr(torch.cuda, "is_initialized", lambda cuda=cuda: cuda)
        assert len(list(collected(map(launch, range(3))))) == 3
        assert "".join(order) == wanted


def test_features_are_decoded_in_batches_of_equal_length():
    toy, batches = Toy(), []
    decode = toy.decode_features
    toy.decode_features = lambda tokens: batches.append(tuple(tokens.shape)) or decode(tokens)
    tokens = [np.full(count, 7, np.int32) for count in (4, 4, 4, 2, 2, 4)]
    features = list(decode_features(toy, tokens, Batch(2)))
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
        list(encode_tiles(toy, images(1), Batch(4), "cpu", tf32=tf32))
    for _ in decode_features(toy, [np.zeros(4, np.int32)], Batch(4)):
        assert torch.backends.cudnn.allow_tf32  # nothing is left set between the calls
    assert settings == [False, True, False]


def test_tiles_go_pinned_and_are_not_waited_for(monkeypatch):
    calls = []

    class Tiles:
        def pin_memory(self):
            calls.append("pinned")
            return self

        def to(self, device, non_blocking=False):
            calls.append((device, non_blocking))
            return self

    monkeypatch.setattr(torch, "from_numpy", lambda _: Tiles())
    to_device(np.zeros(1), "cuda:0")
    assert calls == ["pinned", ("cuda:0", True)]
    calls.clear()
    to_device(np.zeros(1), "cpu")
    assert calls == [("cpu", False)]


def test_what_comes_back_is_waited_for_when_it_is_asked_for(monkeypatch):
    calls = []

    class Event:
        def record(self):
            calls.append("recorded")

        def synchronize(self):
            calls.append("waited")

    class Host:
        def copy_(self, tensor, non_blocking=False):
            calls.append(("copied", non_blocking))

    tensor = SimpleNamespace(device=torch.device("cuda"), shape=(2,), dtype=torch.uint8)
    host = Host()
    monkeypatch.setattr(torch, "empty", lambda *_, **how: calls.append(how["pin_memory"]) or host)
    monkeypatch.setattr(torch.cuda, "Event", Event)
    collect = from_device(tensor)
    assert calls == [True, ("copied", True), "recorded"]
    assert collect() is host
    assert calls[-1] == "waited"
