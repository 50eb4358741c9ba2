"""Memory that runs out costs the files that are too much, and no other."""

from threading import Event

import pytest
from jobs import compressed, decompressed, image_jobs, names
from PIL import Image
from toys import Toy, codec

from titokzip import images
from titokzip.batch import Job, Options
from titokzip.batch.pipeline import Stages, run
from titokzip.batch.processes import Processes
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
