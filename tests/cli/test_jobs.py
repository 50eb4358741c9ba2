"""-j: many processes do what one does, and Ctrl-C ends them all."""

import os
import signal

import pytest
from photos import photo
from run import files, run, spawn

from titokzip.batch import coding
from titokzip.batch.processes import Processes
from titokzip.bitstream import container
from titokzip.runtime.cores import cores


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    for i in range(6):
        photo(20 + i, 24, i).save(tmp_path / "in" / f"{i}.png")
    return tmp_path


def test_the_default_is_a_process_a_core(folder, monkeypatch):
    asked = []
    monkeypatch.setattr(coding, "Processes", lambda count: asked.append(count) or Processes(0))
    arguments = ["compress", "-r", folder / "in", "-O", folder / "out", "-f", "--max-bytes", 1]
    for jobs in ([], ["-j", 1], ["-j", 3], ["-j", 100]):
        run(*arguments, *jobs, code=1)  # no file is as small as that: nothing is written
    assert asked == [min(3, cores()) if cores() > 1 else 0, 0, 3, 3]


@pytest.mark.slow
def test_the_same_files_and_reports(folder):
    told = {}
    for jobs in (1, 2):
        out = folder / str(jobs)
        done = run("compress", "-r", folder / "in", "-O", out, "-j", jobs, "--max-bytes", 60)
        told[jobs] = [line.rpartition("  ")[0] for line in done.stderr.splitlines()]
    assert told[1] == told[2]
    assert len(told[1]) == 6
    assert files(folder / "1") == files(folder / "2")
    for name in files(folder / "1"):
        assert (folder / "1" / name).read_bytes() == (folder / "2" / name).read_bytes()


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="this system has no process groups")
@pytest.mark.parametrize("all_of_them", [True, False])
def test_ctrl_c_ends_them_all(folder, all_of_them):
    """A terminal sends it to the whole group, and others to the first process only."""
    for i in range(6, 30):
        photo(24, 24, i).save(folder / "in" / f"{i}.png")
    process = spawn("compress", "-r", folder / "in", "-j", 2, start_new_session=True)
    for _ in range(2):
        process.stderr.readline()
    (os.killpg if all_of_them else os.kill)(process.pid, signal.SIGINT)
    _, told = process.communicate(timeout=100)  # workers that lived on would keep the stream open
    assert b"Traceback" not in told, told
    assert (process.returncode, told.splitlines()[-1]) == (130, b"interrupted")
    done = [name for name in files(folder / "in") if name.endswith(".ttk")]
    assert 2 <= len(done) < 30
    assert len(files(folder / "in")) == 30 + len(done)
    for name in done:
        assert container.unpack((folder / "in" / name).read_bytes()).whole
