"""Memory that runs out costs the files that are too much, and no other."""

from threading import Event

import pytest
from jobs import SMALL, compressed, decompressed, image_jobs, names
from PIL import Image
from toys import Toy, codec

from titokzip import images
from titokzip.batch import Job, Options, Result
from titokzip.batch.ends import Source
from titokzip.batch.pipeline import Stages, run
from titokzip.batch.processes import Processes
from titokzip.batch.whole import Cutting
from titokzip.codec import Codec
from titokzip.rate_control import Rate

DEVICE = type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory. Tried to allocate 9")
KINDS = [
    MemoryError(),
    MemoryError("Unable to allocate 3 TiB"),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    DEVICE,
]


def narrow(jobs):
    """Tell which sources are 33 pixels wide, as the fourth of `image_jobs` is."""
    return [job.source.name == "3.png" for job in jobs]


@pytest.mark.parametrize("error", KINDS, ids=repr)
@pytest.mark.parametrize("batch", [1, 4, 1000])
def test_in_the_network(tmp_path, monkeypatch, error, batch):
    jobs = image_jobs(tmp_path, 8)
    encode = Toy.encode

    def limited(self, pixels):
        if (pixels > 0.999).flatten(1).all(dim=1).any():  # the white image
            raise error
        return encode(self, pixels)

    Image.new("RGB", (33, 20), "white").save(jobs[3].source)
    monkeypatch.setattr(Toy, "encode", limited)
    results = compressed(jobs, Options(remove=True), Rate(tile=16), codec(batch=batch))
    assert [result.job for result in results] == jobs
    assert [bool(result.error) for result in results] == narrow(jobs)
    assert isinstance(results[3].error, MemoryError)
    assert str(results[3].error).startswith("out of memory")
    assert names(tmp_path) == sorted([f"{i}.ttk" for i in range(8) if i != 3] + ["3.png"])


def test_while_files_are_read(tmp_path, monkeypatch):
    jobs, read = image_jobs(tmp_path, 5), images.read

    def limited(file, *others, **how):
        image = read(file, *others, **how)
        if image.width == 33:
            raise MemoryError
        return image

    monkeypatch.setattr(images, "read", limited)
    results = compressed(jobs)
    assert [bool(result.error) for result in results] == narrow(jobs)


def test_while_files_are_written(tmp_path, monkeypatch):
    jobs, encode = image_jobs(tmp_path, 5), images.encode
    compressed(jobs)

    def limited(image, *others):
        if image.width == 33:
            raise MemoryError
        return encode(image, *others)

    monkeypatch.setattr(images, "encode", limited)
    results = decompressed([Job(job.target, job.target.with_suffix(".bmp")) for job in jobs])
    assert [bool(result.error) for result in results] == narrow(jobs)


@pytest.mark.parametrize("error", [RuntimeError("a bug"), ZeroDivisionError()])
def test_bugs_are_no_lack_of_memory(tmp_path, monkeypatch, error):
    def broken(*_, **__):
        raise error
        yield

    monkeypatch.setattr(Codec, "compress_many", broken)
    with pytest.raises(type(error)):
        compressed(image_jobs(tmp_path, 2))


def test_memory_that_runs_out_before_anything_is_read_is_raised(tmp_path, monkeypatch):
    def exhausted(*_, **__):
        raise MemoryError
        yield

    monkeypatch.setattr(Codec, "compress_many", exhausted)
    with pytest.raises(MemoryError):
        compressed(image_jobs(tmp_path, 2))


def test_errors_that_are_known_beforehand_are_results(tmp_path):
    jobs = image_jobs(tmp_path, 3)
    jobs[1] = Job(jobs[1].source, None, FileNotFoundError(2, "No such file", "b"))
    results = compressed(jobs)
    assert [result.error for result in results] == [None, jobs[1].error, None]


@pytest.mark.parametrize(("size", "ahead"), [(1, 12), (2**27, 3)])
def test_small_files_are_written_behind_the_work(size, ahead):
    worked, begun = [], Event()

    def work(numbers):
        for number in numbers:
            worked.append(number)
            if len(worked) == ahead:
                begun.set()
            yield number

    def write(_, number):
        assert begun.wait(10)  # the first file takes until the work is that far ahead
        seen.append(len(worked) - number)

    seen = []
    stages = Stages(lambda results: [int(one.job.data) for one in results], work, write)
    stages.made = lambda _: size
    jobs = [Job(None, None, data=str(number).encode()) for number in range(12)]
    results = list(run(jobs, stages, Options(threads=2), Processes(0)))
    assert [result.error for result in results] == [None] * 12
    assert max(seen) == ahead


@pytest.mark.parametrize("most", [1, 2, 3, 7])
def test_what_is_left_out_of_a_group_is_read_when_it_is_due(most):
    calls, worked = [], []

    def read(results):
        numbers = [int(result.job.data) for result in results[:most]]
        calls.append((len(worked), numbers))
        return [None if number == 2 else number for number in numbers]

    def work(numbers):
        for number in numbers:
            worked.append(number)
            yield number

    jobs = [Job(None, None, data=str(number).encode()) for number in range(7)]
    jobs[4] = Job(None, None, FileNotFoundError(2, "No such file"), data=b"4")
    stages = Stages(read, work, lambda *_: None, groups=lambda jobs: [list(jobs)])
    results = list(run(jobs, stages, Options(threads=2), Processes(0)))
    assert [result.job for result in results] == jobs
    assert worked == [0, 1, 3, 5, 6]
    read_before = [number for _, numbers in calls for number in numbers]
    assert read_before == [0, 1, 2, 3, 5, 6]
    assert all(
        before == len([one for one in worked if one < numbers[0]]) for before, numbers in calls
    )


def test_a_group_is_cut_until_its_tiles_are_too_many(tmp_path, monkeypatch):
    jobs, one = image_jobs(tmp_path, 5), codec()
    jobs[1].source.write_text("no image")
    cutting = Cutting(Source(None, False, 10**6), one.layout.tiles.cutter, SMALL)
    cuts = cutting([Result(job) for job in jobs])
    assert [cut is None for cut in cuts] == [False, True, False, False, False]
    two = cuts[0].tiles.nbytes + cuts[2].tiles.nbytes
    monkeypatch.setattr("titokzip.batch.whole._MOST_TILES", two - 1)
    results = [Result(job) for job in jobs]
    assert [cut is None for cut in cutting(results)] == [False, True, False]
    assert [bool(result.error) for result in results] == [False, True, False, False, False]
