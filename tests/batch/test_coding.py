"""Many files: in order, and none stops the others."""

import itertools
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import numpy as np
import pytest
from jobs import SMALL, TOY, compressed, decompressed, image_jobs, names
from photos import photo
from PIL import Image
from toys import Toy, codec

from titokzip import batch, images, zoo
from titokzip.batch import Job, Options
from titokzip.bitstream import container
from titokzip.bitstream.header import START
from titokzip.codec import Codec
from titokzip.errors import (
    FormatError,
    ImageError,
    ModelError,
    PixelLimitError,
    RateError,
    VerificationError,
)
from titokzip.rate_control import Rate
from titokzip.runtime import prefetch


def test_files_there_and_back(tmp_path):
    jobs = image_jobs(tmp_path, 7)
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
    jobs = image_jobs(tmp_path, 10)
    for i in bad:
        jobs[i].source.write_bytes(b"no image")
    results = compressed(jobs, Options(threads=threads))
    assert [result.job for result in results] == jobs
    assert [i for i, result in enumerate(results) if result.error] == list(bad)
    assert all(isinstance(results[i].error, ImageError) for i in bad)
    assert [job.target.exists() for job in jobs] == [i not in bad for i in range(10)]


def test_what_the_codec_refuses_stops_no_other(tmp_path):
    jobs = image_jobs(tmp_path, 6)
    Image.new("1", (2**21, 1)).save(jobs[3].source)
    for rate, kind in [(Rate(max_bytes=12), RateError), (SMALL, type(None))]:
        kinds = [type(result.error) for result in compressed(jobs, rate=rate)]
        assert kinds == [*[kind] * 3, FormatError, *[kind] * 2]
    assert not jobs[3].target.exists()


def test_one_bad_among_files_to_decompress(tmp_path):
    jobs = image_jobs(tmp_path, 5)
    compressed(jobs)
    jobs[2].target.write_bytes(START + bytes(30))
    results = decompressed([Job(job.target, job.target.with_suffix(".ppm")) for job in jobs])
    assert [bool(result.error) for result in results] == [False, False, True, False, False]
    assert len(list(tmp_path.glob("*.ppm"))) == 4


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
    jobs, ahead, asked = image_jobs(tmp_path, 30), [], []
    read, encode = images.read, Toy.encode
    further = Event()

    def asking(*one, **how):
        asked.append(one)
        if len(asked) == 10:  # of the second batch and the third
            further.set()
        return read(*one, **how)

    def counted(self, pixels):
        assert further.wait(10)
        ahead.append(len(asked))
        return encode(self, pixels)

    monkeypatch.setattr(images, "read", asking)

    monkeypatch.setattr(Toy, "encode", counted)
    compressed(jobs, Options(threads=2), Rate(tile=100), codec(batch=4))
    assert len(ahead) == 8
    assert all(count <= 4 * (i + 1) + 8 for i, count in enumerate(ahead))  # two batches ahead


@pytest.mark.parametrize("suffix", [".xbm", ".ico", ".webp"])
def test_a_format_that_cannot_hold_the_image_is_an_error(tmp_path, suffix):
    photo(20000, 1).save(tmp_path / "wide.png")
    compressed([Job(tmp_path / "wide.png", tmp_path / "wide.ttk")])
    (result,) = decompressed([Job(tmp_path / "wide.ttk", tmp_path / f"wide{suffix}")])
    assert isinstance(result.error, ImageError)
    assert names(tmp_path) == ["wide.png", "wide.ttk"]


def test_models_are_loaded_once_a_fingerprint():
    loads = []
    load = lambda manifest: loads.append(manifest.name) or TOY  # noqa: E731
    found = batch.Models(None, load)
    fingerprint = zoo.find("xs").fingerprint[:4]
    assert found(fingerprint) is found(fingerprint) is TOY
    assert len(loads) == 1
    with pytest.raises(ModelError, match="61626364"):
        found(b"abcd")
    named = batch.Models("xs", load)
    assert named(b"abcd") is named(b"efgh") is TOY
    assert loads[1:] == ["xs"]


@pytest.mark.parametrize("remove", [False, True])
def test_verification_costs_the_file_that_fails(tmp_path, monkeypatch, remove):
    """`remove` verifies without being asked."""
    jobs = image_jobs(tmp_path, 3)
    read = Codec.tokens

    def lying(self, contents):
        return read(self, contents) * (contents.header.width != 31)

    monkeypatch.setattr(Codec, "tokens", lying)
    results = compressed(jobs, Options(remove=remove), verify=not remove)
    assert [type(result.error) for result in results] == [type(None), VerificationError, type(None)]
    assert jobs[1].source.exists()
    assert not jobs[1].target.exists()
    assert jobs[0].source.exists() != remove


def test_what_was_compressed_without_asking_decompresses_without_asking(tmp_path, monkeypatch):
    assert images.MAX_PIXELS <= container.MAX_PIXELS
    monkeypatch.setattr(images, "MAX_PIXELS", 5000)
    monkeypatch.setattr(container, "MAX_PIXELS", 5000)
    photo(80, 50).save(tmp_path / "a.png")
    (result,) = compressed([Job(tmp_path / "a.png", tmp_path / "a.ttk")])
    assert result.error is None
    (result,) = decompressed([Job(tmp_path / "a.ttk", tmp_path / "b.png")])
    assert result.error is None
    (result,) = decompressed([Job(tmp_path / "a.ttk", tmp_path / "c.png")], max_pixels=3999)
    assert isinstance(result.error, FormatError)
    photo(80, 63).save(tmp_path / "a.png")
    (result,) = compressed([Job(tmp_path / "a.png", tmp_path / "d.ttk")])
    assert isinstance(result.error, PixelLimitError)


def test_the_limit_on_pixels_can_be_moved(tmp_path):
    (job,) = image_jobs(tmp_path, 1)
    (result,) = compressed([job], max_pixels=599)
    assert isinstance(result.error, PixelLimitError)
    (result,) = compressed([job], max_pixels=600)
    assert result.error is None


def test_nothing_is_written_that_does_not_decompress(tmp_path, monkeypatch):
    """Whatever the codec may come to write."""
    (job,) = image_jobs(tmp_path, 1)
    nonsense = lambda self, many, *_: (START + b" nonsense" for _ in many)  # noqa: E731
    monkeypatch.setattr(Codec, "compress_many", nonsense)
    (result,) = compressed([job], Options(remove=True))
    assert isinstance(result.error, FormatError)
    assert names(tmp_path) == ["0.png"]


def test_large_images_are_resampled_while_they_are_written(tmp_path, monkeypatch):
    jobs = image_jobs(tmp_path, 3)
    compressed(jobs)
    wanted = [TOY.decompress(job.target.read_bytes()) for job in jobs]
    sizes = []
    encode = images.encode
    monkeypatch.setattr(
        images, "encode", lambda image, *how: sizes.append(image.size) or encode(image, *how)
    )
    monkeypatch.setattr(images, "LARGE", 31 * 20)
    back = [Job(job.target, job.target.with_suffix(".bmp")) for job in jobs]
    assert [result.error for result in decompressed(back)] == [None] * 3
    assert sizes[:2] == [(30, 20), (31, 20)]
    assert sizes[2] != (32, 20)
    for image, job in zip(wanted, back, strict=True):
        with Image.open(job.target) as written:
            assert np.array_equal(np.asarray(written), np.asarray(image))


def test_notes_are_reported(tmp_path, monkeypatch):
    frames = [photo(20, 20, seed).convert("P") for seed in range(2)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    (result,) = compressed([Job(tmp_path / "a.gif", tmp_path / "a.ttk")])
    assert result.note == "first of 2 frames"
