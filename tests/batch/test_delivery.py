"""Outputs are written whole or not at all, and sources go only when their outputs are safe."""

import os
import stat
import tempfile
import threading
from pathlib import Path

import pytest
from jobs import compressed, decompressed, image_jobs, names

from titokzip import files
from titokzip.batch import Job, Options
from titokzip.bitstream.header import START
from titokzip.errors import OutputExists, OutputIsInput, VerificationError


@pytest.mark.parametrize("call", ["link", "fsync"])
def test_a_write_that_fails_leaves_nothing(tmp_path, monkeypatch, call):
    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    jobs = image_jobs(tmp_path, 3)
    before = names(tmp_path)
    monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    monkeypatch.setattr(os, call, fail)
    monkeypatch.setattr(Path, "replace", fail)
    results = compressed(jobs, Options(remove=True))
    assert [result.error.strerror for result in results] == ["No space left on device"] * 3
    assert names(tmp_path) == before


def test_an_existing_output_is_kept(tmp_path):
    jobs = image_jobs(tmp_path, 2)
    jobs[1].target.write_bytes(b"old")
    first, second = compressed(jobs)
    assert first.error is None
    assert type(second.error) is OutputExists
    assert jobs[1].target.read_bytes() == b"old"
    assert compressed(jobs[1:], Options(force=True))[0].error is None
    assert jobs[1].target.read_bytes() != b"old"


def test_a_link_that_leads_nowhere_exists(tmp_path):
    (job,) = image_jobs(tmp_path, 1)
    job.target.symlink_to("nowhere/else.ttk")
    (result,) = compressed([job])
    assert type(result.error) is OutputExists
    assert job.target.is_symlink()
    assert compressed([job], Options(force=True))[0].error is None
    assert not job.target.is_symlink()


def test_an_output_that_appears_meanwhile_is_kept(tmp_path, monkeypatch):
    (job,) = image_jobs(tmp_path, 1)
    monkeypatch.setattr(os.path, "lexists", lambda _: False)
    monkeypatch.setattr(Path, "is_dir", lambda path: path != job.target)
    job.target.write_bytes(b"another process was here")
    (result,) = compressed([job])
    assert type(result.error) is OutputExists
    assert job.target.read_bytes() == b"another process was here"


@pytest.mark.parametrize("force", [False, True])
def test_a_folder_is_never_an_output(tmp_path, force):
    (job,) = image_jobs(tmp_path, 1)
    job.target.mkdir()
    (result,) = compressed([job], Options(force, remove=True))
    assert isinstance(result.error, IsADirectoryError)
    assert names(tmp_path) == ["0.png", "0.ttk"]


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("way", ["same", "link", "round", "hard link"])
def test_the_input_is_never_the_output(tmp_path, force, way):
    (job,) = image_jobs(tmp_path, 1)
    (tmp_path / "link").symlink_to(job.source)
    (tmp_path / "hard").hardlink_to(job.source)
    (tmp_path / "x").mkdir()
    targets = {"same": "0.png", "link": "link", "round": "x/../0.png", "hard link": "hard"}
    before = job.source.read_bytes()
    (result,) = compressed([Job(job.source, tmp_path / targets[way])], Options(force, remove=True))
    assert isinstance(result.error, OutputIsInput)
    assert job.source.read_bytes() == before


def test_the_time_of_the_source_is_kept(tmp_path):
    (job,) = image_jobs(tmp_path, 1)
    os.utime(job.source, ns=(10**18, 10**18 + 7))
    compressed([job])
    assert job.target.stat().st_mtime_ns == 10**18 + 7


@pytest.mark.parametrize("asked", [0o600, 0o640, 0o444, 0o755, 0o666])
@pytest.mark.parametrize("force", [False, True])
def test_outputs_have_no_wider_permissions_than_their_sources(tmp_path, asked, force):
    (job,) = image_jobs(tmp_path, 1)
    job.source.chmod(asked)
    if force:
        job.target.write_bytes(b"old")
        job.target.chmod(0o666)
    before = os.umask(0o002)
    try:
        compressed([job], Options(force))
        back = Job(job.target, tmp_path / "back.png")
        decompressed([back])
    finally:
        os.umask(before)
    for path in (job.target, back.target):
        assert stat.S_IMODE(path.stat().st_mode) == asked & 0o664


def test_sources_go_only_after_success(tmp_path):
    jobs = image_jobs(tmp_path, 4)
    jobs[0].target.write_bytes(b"in the way")
    jobs[2].source.write_bytes(b"no image")
    compressed(jobs, Options(remove=True))
    assert names(tmp_path) == ["0.png", "0.ttk", "1.ttk", "2.png", "3.ttk"]
    back = [Job(job.target, job.source.with_suffix(".bmp")) for job in jobs]
    decompressed(back, Options(remove=True))
    assert names(tmp_path) == ["0.png", "0.ttk", "1.bmp", "2.png", "3.bmp"]


def test_sources_go_after_the_output_is_on_the_disk(tmp_path, monkeypatch):
    (job,) = image_jobs(tmp_path, 1)
    seen = []
    sync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: seen.append(job.source.exists()) or sync(fd))
    compressed([job], Options(remove=True))
    assert seen == [True, True]  # the file, and the folder with its name
    assert not job.source.exists()


def test_sources_stay_where_the_output_does_not_read_back(tmp_path, monkeypatch):
    (job,) = image_jobs(tmp_path, 1)
    monkeypatch.setattr(files, "sha256", lambda path: bytes(32))
    (result,) = compressed([job], Options(remove=True))
    assert isinstance(result.error, VerificationError)
    assert job.source.exists()


def test_devices_are_written_into_and_never_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    (job,) = image_jobs(tmp_path, 1)
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


def test_links_to_streams_are_never_replaced(tmp_path):
    """/dev/stdout is a link to what may be a plain file."""
    (job,) = image_jobs(tmp_path, 1)
    with (tmp_path / "stream").open("wb") as file:
        target = Path(f"/dev/fd/{file.fileno()}")
        if not target.exists():
            pytest.skip("this system has no /dev/fd")
        assert compressed([Job(job.source, target)])[0].error is None
    assert (tmp_path / "stream").read_bytes().startswith(START)


def test_only_names_of_open_files_are_streams(tmp_path):
    """/dev/shm is a folder like any: nothing there is overwritten unasked."""
    shared = Path("/dev/shm")
    if not shared.is_dir():
        pytest.skip("this system has no /dev/shm")
    with tempfile.TemporaryDirectory(dir=shared) as folder:
        (job,) = image_jobs(Path(folder), 1)
        job.target.write_bytes(b"precious")
        (result,) = compressed([job])
        assert type(result.error) is OutputExists
        assert job.target.read_bytes() == b"precious"
        (result,) = compressed([Job(job.source, Path(folder, "new", "a.ttk"))])
        assert result.error is None


def test_a_file_in_the_place_of_a_folder_is_no_output_that_exists(tmp_path):
    (job,) = image_jobs(tmp_path, 1)
    (tmp_path / "file").write_bytes(b"")
    for options in (Options(), Options(force=True)):
        (result,) = compressed([Job(job.source, tmp_path / "file" / "a.ttk")], options)
        assert type(result.error) is NotADirectoryError
        assert result.error.filename == str(tmp_path / "file")
