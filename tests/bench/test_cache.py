"""The cache keeps what depends on content, across threads and processes, or says what is wrong."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from photos import photo

from titokzip.bench import cache
from titokzip.bench.cache import Cache, CacheError, hash_of, hash_of_pixels


def test_bytes_come_back_in_another_process(tmp_path):
    one = Cache(tmp_path / "new")
    one.put("a", b"\0data")
    one.put("a", b"")
    one.put("b", b"data")
    one.close()
    again = Cache(tmp_path / "new")
    assert (again.get("a"), again.get("b"), again.get("c")) == (b"", b"data", None)


def test_threads_share_it(tmp_path):
    one = Cache(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: one.put(str(i), bytes([i])), range(50)))
        assert list(pool.map(lambda i: one.get(str(i)), range(50))) == [
            bytes([i]) for i in range(50)
        ]


def test_without_a_folder_nothing_stays(tmp_path):
    Cache().put("a", b"x")
    assert Cache().get("a") is None


def test_a_damaged_file_and_a_folder_that_cannot_be_are_one_line(tmp_path):
    (tmp_path / "bench.sqlite").write_bytes(b"no database at all" * 100)
    (tmp_path / "file").write_text("x")
    for folder in (tmp_path, tmp_path / "file"):
        with pytest.raises(CacheError, match=r"^[^\n]*not a cache"):
            Cache(folder)


def test_keys_are_of_contents():
    assert hash_of("a", 1) != hash_of("a1") != hash_of("a", "1")
    image = photo(8, 6)
    assert hash_of_pixels(image) == hash_of_pixels(image.copy())
    assert hash_of_pixels(image) != hash_of_pixels(image.transpose(2))
    assert hash_of_pixels(image.convert("L")) != hash_of_pixels(image)


def test_the_folder_is_where_the_system_says(monkeypatch, tmp_path):
    monkeypatch.setenv("TITOKZIP_BENCH_CACHE", str(tmp_path))
    assert cache.default_folder() == tmp_path
    monkeypatch.delenv("TITOKZIP_BENCH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.default_folder() == tmp_path / "titokzip" / "bench"
