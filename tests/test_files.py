"""Files are written whole or not at all, and nothing is left behind."""

import errno
import os
import signal
import stat
import subprocess
import sys
from hashlib import sha256

import pytest

from titokzip import files
from titokzip.files import Manner, write_atomically

NAMELESS = hasattr(os, "O_TMPFILE")


@pytest.fixture(params=["without a name", "with one"])
def way(request, monkeypatch):
    """Both ways to write: where the system has files without names, and where not."""
    if request.param == "with one":
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    elif not NAMELESS:
        pytest.skip("this system has no files without names")
    monkeypatch.setattr(files, "_swept", set())


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.usefixtures("way")
class TestWriting:
    def test_new_files(self, tmp_path):
        digest = write_atomically(tmp_path / "deep" / "er" / "a", [b"1", b"", b"23"])
        assert (tmp_path / "deep" / "er" / "a").read_bytes() == b"123"
        assert digest == sha256(b"123").digest() == files.sha256(tmp_path / "deep" / "er" / "a")
        write_atomically(tmp_path / ("n" * 255), b"the longest name there is")

    def test_old_files_are_replaced(self, tmp_path):
        (tmp_path / "a").write_bytes(b"old")
        write_atomically(tmp_path / "a", b"new")
        assert (tmp_path / "a").read_bytes() == b"new"
        assert names(tmp_path) == ["a"]

    @pytest.mark.parametrize("kind", ["file", "dangling link", "folder"])
    def test_or_kept(self, tmp_path, kind):
        path = tmp_path / "a"
        if kind == "file":
            path.write_bytes(b"old")
        elif kind == "folder":
            path.mkdir()
        else:
            path.symlink_to("nowhere/else")
        with pytest.raises(FileExistsError):
            write_atomically(path, b"new", Manner(replace=False))
        assert names(tmp_path) == ["a"]
        assert path.is_symlink() == (kind == "dangling link")

    def test_permissions_are_those_asked_for_less_the_mask(self, tmp_path):
        before = os.umask(0o027)
        try:
            for asked, given in [(0o666, 0o640), (0o600, 0o600), (0o444, 0o440), (0o7777, 0o640)]:
                write_atomically(tmp_path / "a", b"1", Manner(permissions=asked))
                assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == given
        finally:
            os.umask(before)

    def test_the_mask_of_the_process_is_never_touched(self, tmp_path, monkeypatch):
        monkeypatch.setattr(os, "umask", lambda _: pytest.fail("for a moment, of all threads"))
        write_atomically(tmp_path / "a", b"1")

    def test_times_are_kept(self, tmp_path):
        write_atomically(tmp_path / "a", b"1", Manner(times=(10**18, 10**18 + 7)))
        assert (tmp_path / "a").stat().st_mtime_ns == 10**18 + 7

    def test_parts_that_fail_leave_nothing(self, tmp_path):
        def parts():
            yield b"1"
            raise KeyboardInterrupt

        (tmp_path / "old").write_bytes(b"old")
        for name in ("new", "old"):
            with pytest.raises(KeyboardInterrupt):
                write_atomically(tmp_path / name, parts())
        assert names(tmp_path) == ["old"]
        assert (tmp_path / "old").read_bytes() == b"old"

    @pytest.mark.parametrize("call", ["fsync", "replace"])
    def test_a_system_that_fails_leaves_nothing(self, tmp_path, monkeypatch, call):
        def fail(*_):
            raise OSError(28, "No space left on device")

        (tmp_path / "old").write_bytes(b"old")
        monkeypatch.setattr(*((os, "fsync") if call == "fsync" else (files.Path, "replace")), fail)
        with pytest.raises(OSError, match="No space left"):
            write_atomically(tmp_path / "old", b"new", Manner(durable=True))
        assert names(tmp_path) == ["old"]
        assert (tmp_path / "old").read_bytes() == b"old"

    def test_a_folder_that_refuses_is_named(self, tmp_path, monkeypatch):
        def refuse(*_):
            raise PermissionError(errno.EACCES, "Permission denied", "what nobody knows")

        monkeypatch.setattr(os, "open", refuse)
        with pytest.raises(PermissionError) as caught:
            write_atomically(tmp_path / "a", b"data")
        assert caught.value.filename == str(tmp_path)
        assert caught.value.errno == errno.EACCES

    def test_what_is_durable_is_on_the_disk_with_its_name(self, tmp_path, monkeypatch):
        synced = []
        sync = os.fsync
        monkeypatch.setattr(os, "fsync", lambda handle: synced.append(kind(handle)) or sync(handle))

        def kind(handle):
            return "folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file"

        write_atomically(tmp_path / "a", b"1")
        assert synced == []
        write_atomically(tmp_path / "a", b"1", Manner(durable=True))
        assert synced == ["file", "folder"]


KILLED = """
import os, signal, sys
from pathlib import Path
from titokzip import files
if sys.argv[2] == "named":
    del os.O_TMPFILE
def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)
Path.replace = die
if sys.argv[3] == "all":
    os.link = die
files.write_atomically(Path(sys.argv[1]), b"new")
"""


@pytest.mark.skipif(not NAMELESS, reason="this system has no files without names")
@pytest.mark.parametrize("where", ["all", "replace"])
@pytest.mark.parametrize("how", ["nameless", "named"])
def test_a_process_that_is_killed_leaves_nothing_for_ever(tmp_path, monkeypatch, how, where):
    (tmp_path / "a").write_bytes(b"old")
    command = [sys.executable, "-c", KILLED, str(tmp_path / "a"), how, where]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert (tmp_path / "a").read_bytes() == b"old"
    assert len(names(tmp_path)) == (1 if (how, where) == ("nameless", "all") else 2)
    monkeypatch.setattr(files, "_swept", set())
    monkeypatch.setattr(files, "_YOUNG", 0)
    write_atomically(tmp_path / "b", b"1")
    assert names(tmp_path) == ["a", "b"]


def test_young_files_without_a_lock_are_not_swept(tmp_path, monkeypatch):
    """Another process may have opened one, and not locked it yet."""
    name = f"{files.TEMPORARY_PREFIX}0"
    (tmp_path / name).write_bytes(b"1")
    for young, kept in [(60, [name]), (0, [])]:
        monkeypatch.setattr(files, "_YOUNG", young)
        monkeypatch.setattr(files, "_swept", set())
        write_atomically(tmp_path / "a", b"2")
        assert names(tmp_path) == [*kept, "a"]


def test_files_that_are_being_written_are_not_swept(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "O_TMPFILE", raising=False)

    monkeypatch.setattr(files, "_YOUNG", 0)

    def parts():
        monkeypatch.setattr(files, "_swept", set())
        write_atomically(tmp_path / "other", b"2")
        yield b"1"

    write_atomically(tmp_path / "a", parts())
    assert names(tmp_path) == ["a", "other"]
    (tmp_path / f"{files.TEMPORARY_PREFIX}folder").mkdir()
    monkeypatch.setattr(files, "_swept", set())
    write_atomically(tmp_path / "a", b"3")
    assert names(tmp_path) == [f"{files.TEMPORARY_PREFIX}folder", "a", "other"]


def test_file_systems_without_hard_links(tmp_path, monkeypatch):
    def unsupported(*_, **__):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    monkeypatch.setattr(os, "link", unsupported)
    write_atomically(tmp_path / "a", b"1", Manner(replace=False))
    with pytest.raises(FileExistsError):
        write_atomically(tmp_path / "a", b"2", Manner(replace=False))
    assert names(tmp_path) == ["a"]
    assert (tmp_path / "a").read_bytes() == b"1"
