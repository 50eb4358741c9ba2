"""Many files: whole or not at all, in order, and none stops the others."""

import io
import itertools
import os
import stat
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from photos import photo
from PIL import Image
from toys import Toy, codec

from titokzip import batch
from titokzip.batch import Job, Options, Refused, compress_files, decompress_files
from titokzip.errors import FormatError, ImageError, ModelError, RateError
from titokzip.rate_control import Rate
from titokzip.runtime import prefetch

TOY = codec()
SMALL = Rate(tile=16)


def pictures(folder, count):
    for i in range(count):
        photo(30 + i, 20, i).save(folder / f"{i}.png")
    return [Job(folder / f"{i}.png", folder / f"{i}.ttk") for i in range(count)]


def compressed(jobs, options=Options(), rate=SMALL, one=TOY):  # noqa: B008
    return list(compress_files(jobs, one, rate, options))


def decompressed(jobs, options=Options(), **how):  # noqa: B008
    return list(decompress_files(jobs, lambda _: TOY, options, **how))


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_files_there_and_back(tmp_path):
    jobs = pictures(tmp_path, 7)
    results = compressed(jobs)
    assert [result.job for result in results] == jobs
    for result in results:
        assert result.error is None
        assert result.in_bytes == result.job.source.stat().st_size
        assert result.out_bytes == result.ttk_bytes == result.job.target.stat().st_size
        assert set(result.seconds) == {"read", "network", "write"}
    back = [Job(job.target, tmp_path / "back" / f"{i}.webp") for i, job in enumerate(jobs)]
    for i, result in enumerate(decompressed(back)):
        assert result.error is None
        with Image.open(back[i].target) as image:
            assert (image.format, image.size) == ("WEBP", (30 + i, 20))


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("bad", [[], [0], [9], [3, 4], [0, 1, 8, 9], range(10)], ids=str)
def test_results_come_in_order_around_files_that_fail(tmp_path, threads, bad):
    jobs = pictures(tmp_path, 10)
    for i in bad:
        jobs[i].source.write_bytes(b"no picture")
    results = compressed(jobs, Options(threads=threads))
    assert [result.job for result in results] == jobs
    assert [i for i, result in enumerate(results) if result.error] == list(bad)
    assert all(isinstance(results[i].error, ImageError) for i in bad)
    assert [job.target.exists() for job in jobs] == [i not in bad for i in range(10)]


def test_what_the_codec_refuses_stops_no_other(tmp_path):
    jobs = pictures(tmp_path, 6)
    photo(30, 20).resize((2**21, 1)).save(jobs[3].source)
    for rate, kind in [(Rate(max_bytes=12), RateError), (SMALL, type(None))]:
        kinds = [type(result.error) for result in compressed(jobs, rate=rate)]
        assert kinds == [*[kind] * 3, FormatError, *[kind] * 2]
    assert not jobs[3].target.exists()


def test_one_bad_among_files_to_decompress(tmp_path):
    jobs = pictures(tmp_path, 5)
    compressed(jobs)
    jobs[2].target.write_bytes(b"\x97U" + bytes(30))
    results = decompressed([Job(job.target, job.target.with_suffix(".ppm")) for job in jobs])
    assert [bool(result.error) for result in results] == [False, False, True, False, False]
    assert len(list(tmp_path.glob("*.ppm"))) == 4


@pytest.mark.parametrize("name", ["replace", "chmod"])
def test_a_write_that_fails_leaves_nothing(tmp_path, monkeypatch, name):
    def fail(*_):
        raise OSError(28, "No space left on device")

    jobs = pictures(tmp_path, 3)
    before = names(tmp_path)
    monkeypatch.setattr(Path, name, fail)
    results = compressed(jobs, Options(remove=True))
    assert [result.error.strerror for result in results] == ["No space left on device"] * 3
    assert names(tmp_path) == before


def test_a_write_that_fails_keeps_the_old_file(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fdopen", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    path = tmp_path / "old"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt):
        batch.write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["old"]


def test_new_files_have_the_permissions_of_new_files(tmp_path):
    batch.write_atomically(tmp_path / "deep" / "er" / "a", b"1")
    (tmp_path / "plain").write_bytes(b"1")
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("deep/er/a", "plain")]
    assert modes[0] == modes[1]
    batch.write_atomically(tmp_path / ("n" * 255), b"the longest name there is")


def test_an_existing_output_is_kept(tmp_path):
    jobs = pictures(tmp_path, 2)
    jobs[1].target.write_bytes(b"old")
    first, second = compressed(jobs)
    assert first.error is None
    assert isinstance(second.error, Refused)
    assert jobs[1].target.read_bytes() == b"old"
    assert compressed(jobs[1:], Options(force=True))[0].error is None
    assert jobs[1].target.read_bytes() != b"old"


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("way", ["same", "link", "round"])
def test_the_input_is_never_the_output(tmp_path, force, way):
    (job,) = pictures(tmp_path, 1)
    (tmp_path / "link").symlink_to(job.source)
    target = {"same": job.source, "link": tmp_path / "link", "round": tmp_path / "x/../0.png"}[way]
    (tmp_path / "x").mkdir()
    before = job.source.read_bytes()
    (result,) = compressed([Job(job.source, target)], Options(force, remove=True))
    assert isinstance(result.error, Refused)
    assert job.source.read_bytes() == before


def test_the_time_of_the_source_is_kept(tmp_path):
    (job,) = pictures(tmp_path, 1)
    os.utime(job.source, ns=(10**18, 10**18 + 7))
    compressed([job])
    assert job.target.stat().st_mtime_ns == 10**18 + 7


def test_sources_go_only_after_success(tmp_path):
    jobs = pictures(tmp_path, 4)
    jobs[0].target.write_bytes(b"in the way")
    jobs[2].source.write_bytes(b"no picture")
    compressed(jobs, Options(remove=True))
    assert names(tmp_path) == ["0.png", "0.ttk", "1.ttk", "2.png", "3.ttk"]


def test_devices_are_written_into_and_never_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (job,) = pictures(tmp_path, 1)
    got = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    (result,) = compressed([Job(job.source, pipe)], Options(remove=True))
    reader.join()
    assert result.error is None
    assert len(got[0]) == result.out_bytes
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert job.source.exists()
    assert compressed([Job(job.source, Path(os.devnull))])[0].error is None
    assert not Path(os.devnull).is_file()


def test_reading_ahead_is_bounded():
    started, done = itertools.count(), 0

    def read(number):
        assert next(started) <= done + 4
        return number

    with ThreadPoolExecutor(3) as pool:
        for number in prefetch.ahead(pool, read, range(50), 3):
            assert number == done
            done += 1
    assert done == 50


def test_files_are_read_while_others_are_coded(tmp_path, monkeypatch):
    jobs, ahead, asked = pictures(tmp_path, 30), [], []
    read, encode = batch._bytes_of, Toy.encode
    monkeypatch.setattr(batch, "_bytes_of", lambda job: asked.append(job) or read(job))

    def counted(self, pixels):
        ahead.append(len(asked))
        return encode(self, pixels)

    monkeypatch.setattr(Toy, "encode", counted)
    compressed(jobs, Options(threads=2), Rate(tile=100), codec(batch=4))
    assert len(ahead) == 8
    assert all(count <= 4 * (i + 1) + 2 for i, count in enumerate(ahead))


@pytest.mark.parametrize("suffix", [".xbm", ".blp", ".webp"])
def test_a_format_that_cannot_hold_the_picture_is_an_error(tmp_path, suffix):
    photo(20000, 1).save(tmp_path / "wide.png")
    compressed([Job(tmp_path / "wide.png", tmp_path / "wide.ttk")])
    (result,) = decompressed([Job(tmp_path / "wide.ttk", tmp_path / f"wide{suffix}")])
    assert isinstance(result.error, ImageError)
    assert names(tmp_path) == ["wide.png", "wide.ttk"]


def test_models_are_loaded_once_a_fingerprint(embedded):
    loads = []
    load = lambda manifest: loads.append(manifest.name) or embedded  # noqa: E731
    found = batch.Models(None, load)
    fingerprint = embedded.model.fingerprint[:4]
    assert found(fingerprint) is found(fingerprint) is embedded
    assert len(loads) == 1
    with pytest.raises(ModelError, match="61626364"):
        found(b"abcd")
    named = batch.Models("xs", load)
    assert named(b"abcd") is named(b"efgh") is embedded
    assert loads[1:] == ["xs"]


def test_standard_input_and_output(monkeypatch):
    class Stream:
        def __init__(self, data=b""):
            self.buffer = io.BytesIO(data)

    file = io.BytesIO()
    photo(40, 30).save(file, "PNG")
    for data, work in [(file.getvalue(), compressed), (None, decompressed)]:
        monkeypatch.setattr(sys, "stdin", Stream(data or sys.stdout.buffer.getvalue()))
        monkeypatch.setattr(sys, "stdout", Stream())
        (result,) = work([Job(None, None)])
        assert (result.error, result.job.name) == (None, "-")
        assert result.out_bytes == len(sys.stdout.buffer.getvalue())
    assert Image.open(sys.stdout.buffer).size == (40, 30)
