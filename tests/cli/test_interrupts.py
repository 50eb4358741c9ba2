"""Ctrl-C ends every command with exit code 130 and no traceback, and leaves whole files."""

import os
import signal
import subprocess
import sys

import pytest
from photos import photo, png
from run import spawn

from titokzip.bitstream import container


def ended(process, told):
    assert b"Traceback" not in told, told
    assert b"Exception ignored" not in told, told
    assert (process.returncode, told.splitlines()[-1]) == (130, b"interrupted")


def test_in_the_middle_of_many_files(tmp_path):
    """The signal comes when the third file is reported, so that some are done and others not."""
    data = png(photo(40, 30))
    for i in range(60):
        (tmp_path / f"{i:02d}.png").write_bytes(data)
    process = spawn("compress", "-r", tmp_path, "-q", "10")
    for _ in range(3):
        process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=100)
    ended(process, told)
    done = list(tmp_path.glob("*.ttk"))
    assert 0 < len(done) < 60
    assert len(list(tmp_path.iterdir())) == 60 + len(done)
    for path in done:
        assert container.unpack(path.read_bytes()).whole


def test_while_it_waits_for_input():
    process = spawn("decompress", "-", "-v")
    process.stdin.write(bytes(2**20))  # more than a pipe holds: it is reading
    process.stdin.flush()
    process.send_signal(signal.SIGINT)
    out, told = process.communicate(timeout=100)
    ended(process, told)
    assert out == b""


IMPORTING = """
import builtins, os, signal, sys
from titokzip.__main__ import main
imported = builtins.__import__
def interrupted(name, *others):
    if name == {module!r}:
        os.kill(os.getpid(), signal.SIGINT)
    return imported(name, *others)
builtins.__import__ = interrupted
main()
"""


@pytest.mark.parametrize("module", ["click", "numpy", "titokzip.codec"])
def test_while_modules_are_imported(tmp_path, module):
    """However deep: an exception there may come out as another, or be passed over."""
    photo(20, 20).save(tmp_path / "a.png")
    code = IMPORTING.format(module=module)
    command = [sys.executable, "-c", code, "compress", str(tmp_path / "a.png")]
    process = subprocess.run(command, capture_output=True, check=False)
    assert (process.returncode, process.stderr) == (130, b"interrupted\n")


def test_a_process_that_ignores_it_goes_on():
    """As one in the background of a shell script does."""
    code = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    code += IMPORTING.format(module="click")
    command = [sys.executable, "-c", code, "info", os.devnull]
    process = subprocess.run(command, capture_output=True, check=False)
    assert (process.returncode, process.stderr) == (1, b"")
