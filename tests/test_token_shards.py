"""Tokens and captions of shards: each sample once an epoch, whoever reads."""

import bz2

import numpy as np
import pytest
from photos import photo
from tars import make_shards, write_tar
from torch.utils.data import DataLoader

import titokzip
from titokzip import images
from titokzip.batch import Options, compress_files
from titokzip.batch.shards import Shard, convert
from titokzip.errors import TitokzipError
from titokzip.rate_control import Rate
from titokzip.token_shards import TokenShards, read_samples


@pytest.fixture(scope="module")
def shards(embedded, tmp_path_factory):
    """Three shards of two samples each."""
    folder = tmp_path_factory.mktemp("shards")
    todo = [Shard(str(path), str(folder / path.name)) for path in make_shards(folder / "in", 3, 2)]
    code = lambda jobs: compress_files(jobs, embedded, Rate(max_bytes=60), Options())  # noqa: E731
    for result in convert(todo, code, images.SUFFIXES, ".ttk"):
        assert (result.error, result.samples) == (None, 2)
    return str(folder / "s-{000..002}.tar")


KEYS = [f"{n:06d}" for n in range(6)]


def test_samples_come_in_order_with_their_tokens_and_texts(shards):
    found = list(TokenShards(shards))
    assert [one.key for one in found] == KEYS
    for number, one in enumerate(found):
        assert one.texts == {"txt": f"a photo {number}", "cls": str(number)}
        assert (one.header.width, one.header.height, one.grid) == (20 + number % 7, 18, None)
        assert (one.tokens.dtype, one.tokens.ndim) == (np.int32, 1)


def test_tokens_are_those_of_the_file(tmp_path):
    data = titokzip.compress(photo(24, 18, 5), max_bytes=80)
    write_tar(tmp_path / "a.tar", [("a.ttk", data)])
    (found,) = read_samples(str(tmp_path / "a.tar"))
    assert np.array_equal(found.tokens, titokzip.tokens(data).tokens)
    assert found.tokens.any()


def test_orders_are_of_a_seed_and_an_epoch(shards):
    def order(seed, epoch):
        dataset = TokenShards(shards, shuffle=True, buffer=4, seed=seed)
        dataset.set_epoch(epoch)
        return [one.key for one in dataset]

    orders = [order(seed, epoch) for seed in range(3) for epoch in range(3)]
    assert all(sorted(one) == KEYS for one in orders)
    assert len(set(map(tuple, orders))) > 4
    assert order(1, 2) == orders[5]


@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("workers", [0, 2])
def test_every_sample_is_read_once_among_workers_and_ranks(shards, ranks, workers, monkeypatch):
    found = []
    for rank in range(ranks):
        monkeypatch.setenv("RANK", str(rank))
        monkeypatch.setenv("WORLD_SIZE", str(ranks))
        dataset = TokenShards(shards, shuffle=True)
        loader = DataLoader(dataset, batch_size=None, num_workers=workers)
        found += [one.key for one in loader]
    assert sorted(found) == KEYS


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([("a.txt", b"words")], "a has 0 .ttk files"),
        ([("a.ttk", b""), ("a.left.ttk", b"")], "a has 2 .ttk files"),
        ([("a.ttk", b"no file")], "a: not a .ttk file"),
    ],
)
def test_what_is_wrong_is_told_with_its_shard(files, message, tmp_path):
    write_tar(tmp_path / "s.tar", files)
    with pytest.raises(TitokzipError, match=rf"s\.tar: {message}"):
        list(TokenShards(str(tmp_path / "s.tar")))
    (tmp_path / "s.tar").write_bytes(b"no tar" * 300)
    with pytest.raises(TitokzipError, match=r"s\.tar: "):
        list(TokenShards(str(tmp_path / "s.tar")))


def test_a_compressed_shard_that_ends_early_is_told(tmp_path):
    write_tar(tmp_path / "s.tar", [("a.txt", bytes(20000))])
    cut = (tmp_path / "s.tar").read_bytes()[:9000]
    (tmp_path / "s.tar").write_bytes(bz2.compress(cut) + bytes(30000))
    with pytest.raises(TitokzipError, match=r"s\.tar: "):
        list(read_samples(str(tmp_path / "s.tar")))


def test_tiles_come_with_their_grid(tiny, tmp_path):
    """A released model's tokens are [N, L]; its vocabulary is known without its weights."""
    codec = titokzip.load(tiny, device="cpu")
    data = codec.compress(images.plain(photo(70, 40)), Rate(tile=20))
    write_tar(tmp_path / "s.tar", [("a.ttk", data)])
    (found,) = read_samples(str(tmp_path / "s.tar"))
    assert found.tokens.shape == (found.grid.tiles, codec.layout.tokenizer.length)
    assert found.grid.tiles > 1
