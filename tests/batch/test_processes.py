"""Worker processes: the same bytes in the same order, and one that dies takes one file along."""

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
import workers
from jobs import compressed, decompressed, image_jobs
from photos import photo
from PIL import Image
from toys import codec

from titokzip.batch import Job, Options, Result, compress_files, decompress_files, whole
from titokzip.batch.ends import Coded, Form
from titokzip.batch.jobs import groups
from titokzip.batch.pipeline import Stages, each, run
from titokzip.batch.processes import Processes
from titokzip.bitstream import container
from titokzip.errors import ImageError, OutputExists, WorkerDied
from titokzip.images import plain
from titokzip.rate_control import Rate

TWO = Options(processes=2)


def test_without_processes_calls_run_here():
    with Processes(0) as processes:
        assert processes(os.getpid) == os.getpid()


def test_workers_return_and_raise():
    with Processes(2) as processes:
        assert processes(os.getpid) == processes(os.getpid) != os.getpid()
        with pytest.raises(ImageError, match="it is no image"):
            processes(workers.refuse)
        with pytest.raises(ZeroDivisionError) as caught:
            processes(divmod, 1, 0)
        assert "in a worker process:\nTraceback" in caught.value.__notes__[0]


def test_what_cannot_be_sent_is_an_error_of_its_call():
    with Processes(1) as processes:
        worker = processes(os.getpid)
        with pytest.raises(TypeError, match="pickle"):
            processes(threading.Lock)
        with pytest.raises(RuntimeError, match="Unsendable"):
            processes(workers.raise_unsendable)
        with pytest.raises((AttributeError, pickle.PicklingError)):
            processes(lambda: None)
        assert processes(os.getpid) == worker


def test_an_answer_that_nobody_waited_for_goes_to_nobody_else(monkeypatch):
    def interrupted(_):
        monkeypatch.undo()
        raise KeyboardInterrupt

    with Processes(1) as processes:
        first = processes(os.getpid)
        monkeypatch.setattr(Connection, "recv_bytes", interrupted)
        with pytest.raises(KeyboardInterrupt):
            processes(int, "7")
        with pytest.raises(WorkerDied):
            processes(os.getpid)
        assert processes(os.getpid) not in (first, os.getpid())


def test_as_many_workers_as_there_are_callers():
    with Processes(2) as processes, ThreadPoolExecutor(2) as pool:
        sleeps = [pool.submit(processes, time.sleep, 0.3) for _ in range(2)]
        assert [sleep.result() for sleep in sleeps] == [None, None]
        assert len({processes(os.getpid), *pool.map(lambda _: processes(os.getpid), "ab")}) <= 2


def test_a_worker_that_dies_is_an_error_of_its_call_and_another_takes_its_place():
    with Processes(1) as processes:
        first = processes(os.getpid)
        with pytest.raises(WorkerDied, match="died"):
            processes(workers.die)
        assert processes(os.getpid) not in (first, os.getpid())


def test_workers_run_in_one_thread_and_keep_pillows_limit(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 12345)
    with Processes(1) as processes:
        assert processes(workers.settings) == (["1", "1", "1"], 12345)
    assert os.environ["OMP_NUM_THREADS"] == "7"


def test_large_images_are_decoded_one_at_a_time(tmp_path):
    with Processes(2) as processes, ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(processes, workers.decode_large, tmp_path) for _ in range(4)]
        assert [call.result() for call in calls] == [True] * 4


def test_a_worker_that_dies_costs_one_file(tmp_path):
    texts = ["0", "1", "die", "3", "die", "5", "6", "7"]
    for i, text in enumerate(texts):
        (tmp_path / str(i)).write_text(text)
    jobs = [Job(tmp_path / str(i), tmp_path / f"{i}.out") for i in range(len(texts))]
    processes = Processes(2)
    stages = Stages(
        each(lambda result: processes(workers.read, result)),
        lambda numbers: numbers,
        lambda result, number: result.job.target.write_text(str(10 * number)),
    )
    results = list(run(jobs, stages, TWO, processes))
    assert [result.job for result in results] == jobs
    assert [type(result.error) is WorkerDied for result in results] == [t == "die" for t in texts]
    assert [job.target.exists() for job in jobs] == [text != "die" for text in texts]


def test_a_group_that_a_worker_dies_of_is_done_file_by_file(tmp_path):
    texts = ["1", "die", "3"]
    for i, text in enumerate(texts):
        (tmp_path / str(i)).write_text(text)
    results = [Result(Job(tmp_path / str(i), None)) for i in range(3)]
    with Processes(1) as processes:
        found = whole.in_worker(processes, workers.Deadly(), results, [5, 6, 7])
        alone = whole.in_worker(processes, workers.Deadly(), [Result(results[2].job)], [1])
    assert found == [1015, None, 1037]
    assert [type(result.error) for result in results] == [type(None), WorkerDied, type(None)]
    assert [result.note for result in results] == ["read", "", "read"]
    assert alone == [31]


def test_where_no_worker_starts_each_file_says_so(tmp_path, monkeypatch):
    def refused(_):
        raise BlockingIOError("no more processes")

    monkeypatch.setattr(Processes, "_started", refused)
    results = [Result(Job(tmp_path / name, None)) for name in "ab"]
    with Processes(1) as processes:
        assert whole.in_worker(processes, workers.Deadly(), results, [1, 2]) == [None, None]
    assert [type(result.error) for result in results] == [BlockingIOError] * 2


def test_no_worker_starts_where_nothing_is_to_be_done(tmp_path, monkeypatch, embedded):
    monkeypatch.setattr("titokzip.batch.worker.Worker", None)
    jobs = image_jobs(tmp_path, 4)
    for job in jobs:
        job.target.write_bytes(b"there")
    results = list(compress_files(jobs, embedded, Rate(), TWO))
    assert [type(result.error) for result in results] == [OutputExists] * 4


def test_what_a_worker_wrote_before_it_died_is_taken_if_it_is_the_same(tmp_path, embedded):
    data = embedded.compress(plain(Image.new("L", (24, 16), 90)))
    (tmp_path / "a.ttk").write_bytes(data)
    contents = embedded.checked(container.unpack(data))
    form, files = Form(None, False, None, Options()), [Coded(embedded, contents)]

    def again(name):
        result = Result(Job(tmp_path / "a.ttk", tmp_path / name), header=contents.header)
        whole.Decompressing(form).again()([result], files)
        return result

    first = again("a.png")
    second = again("a.png")
    assert (first.error, second.error) == (None, None)
    assert second.out_bytes == first.out_bytes == (tmp_path / "a.png").stat().st_size
    (tmp_path / "b.png").write_bytes(b"of another program")
    assert type(again("b.png").error) is OutputExists
    assert (tmp_path / "b.png").read_bytes() == b"of another program"


def test_groups_hold_so_many_files_and_bytes(tmp_path):
    jobs = [Job(None, None, data=bytes(100)) for _ in range(40)]
    assert [len(group) for group in groups(2)(iter(jobs))] == [16, 16, 8]
    assert [len(group) for group in groups(2)(jobs)] == [5] * 8
    jobs = [Job(None, None, data=bytes(size)) for size in (10, 2**20, 2**19, 2**19, 1)]
    assert [len(group) for group in groups(1)(iter(jobs))] == [1, 1, 2, 1]
    os.mkfifo(tmp_path / "pipe")
    piped, given = Job(tmp_path / "pipe", None), Job(None, None, data=b"1")
    assert list(groups(1)(iter([given, piped, given]))) == [[given], [piped], [given]]
    gone = Job(tmp_path / "gone.png", None)
    assert list(groups(1)([gone])) == [[gone]]


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """Four images, of which one is none and one is grey."""
    folder = tmp_path_factory.mktemp("sources")
    for i, mode in enumerate(["RGB", "RGB", "L", "RGB"]):
        photo(24 + 8 * i, 24, i, mode).save(folder / f"{i}.png")
    (folder / "1.png").write_bytes(b"no image")
    return folder


def work_on(one, sources, folder, options):
    """Compress the sources, and decompress what came of them."""
    small, large = folder / "small", folder / "large"
    jobs = [Job(sources / f"{i}.png", small / f"{i}.ttk") for i in range(4)]
    there = list(compress_files(jobs, one, Rate(max_bytes=200), options))
    back = [Job(job.target, large / f"{i}.png") for i, job in enumerate(jobs)]
    return there + list(decompress_files(back, lambda _: one, options))


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.glob("*/*")}


def facts(result, folder):
    """Tell all of a result but what it took."""
    if result.error:
        return type(result.error), str(result.error).replace(str(folder), "")
    return result.in_bytes, result.out_bytes, result.ttk_bytes, result.header, result.note


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["embedded", "toy"])
def test_processes_make_the_same_files_and_the_same_errors(kind, sources, tmp_path, request):
    one = codec(batch=3) if kind == "toy" else request.getfixturevalue("embedded")
    alone, together = tmp_path / "alone", tmp_path / "together"
    wanted, found = work_on(one, sources, alone, Options()), work_on(one, sources, together, TWO)
    assert [facts(one, together) for one in found] == [facts(one, alone) for one in wanted]
    assert [bool(one.error) for one in found] == [False, True, False, False] * 2
    assert contents(together) == contents(alone)
    assert len(contents(alone)) == 6
    assert all(set(one.seconds) == {"read", "network", "write"} for one in found if not one.error)


def test_few_files_start_no_process(tmp_path, monkeypatch):
    monkeypatch.setattr("titokzip.batch.worker.Worker", None)
    jobs = image_jobs(tmp_path, 3)
    assert [result.error for result in compressed(jobs, Options(processes=8))] == [None] * 3
    back = [Job(job.target, job.target.with_suffix(".bmp")) for job in jobs]
    assert [one.error for one in decompressed(back, Options(processes=8))] == [None] * 3


KILLED = """
import os, sys, time
from titokzip.batch.processes import Processes
if __name__ == "__main__":
    with Processes(1) as processes:
        print(processes(os.getpid), flush=True)
        processes(time.sleep, 100)
"""


def ended(pid, seconds=20):
    """Wait until a process is gone, or a zombie that nobody has asked about."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="this system has no /proc")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_the_process_that_started_them(number, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(KILLED)
    with subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as parent:
        worker = int(parent.stdout.readline())
        parent.send_signal(number)
        parent.wait(30)
    assert ended(worker)
