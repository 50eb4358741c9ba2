"""Names that hold anything, and streams that are closed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from photos import photo
from run import run
from toys import codec

from titokzip.bitstream import container
from titokzip.cli.output import message, shown
from titokzip.errors import FormatError, OutputExists, PixelLimitError, Transparent, Truncated
from titokzip.images import plain


@pytest.fixture(scope="module")
def small():
    return codec().compress(plain(photo(40, 30)))


@pytest.fixture
def file(tmp_path, small):
    (tmp_path / "a.ttk").write_bytes(small)
    return tmp_path / "a.ttk"


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("plain é 猫 🐈 a b", "plain é 猫 🐈 a b"),
        ("no\u00a0break, 10.15\u202fAM", "no\u00a0break, 10.15\u202fAM"),
        ("red \x1b[31m", "red \\x1b[31m"),
        ("bell \a, line\n, delete \x7f", "bell \\x07, line\\n, delete \\x7f"),
        ("C1 \x9b", "C1 \\x9b"),
        (os.fsdecode(b"caf\xe9"), "caf\\xe9"),
        ("turned \u202e", "turned \\u202e"),
        ("\ud800", "\\ud800"),
        ("line\u2028", "line\\u2028"),
    ],
)
def test_what_a_terminal_would_act_upon_is_escaped(text, seen):
    assert shown(text) == seen
    assert shown(text).encode()


@pytest.mark.parametrize("name", [b"caf\xe9", b"\x1b[31mred", b"two\nlines"])
@pytest.mark.usefixtures("toy")
def test_names_are_escaped_by_every_command(tmp_path, small, name):
    path = tmp_path / (os.fsdecode(name) + ".ttk")
    path.write_bytes(small)
    for command, code in [("info", 0), ("test", 0), ("decompress", 0), ("compress", 1)]:
        result = run(command, path, code=code)
        assert shown(os.fsdecode(name)) in result.output
        assert "\x1b" not in result.output
        assert result.output.encode()
        if command == "test":
            continue
        told = run(command, path, "--json", *["-f"] * (command == "decompress"), code=code).stdout
        assert "\x1b" not in told
        given = json.loads(told)["results"][0]["input"]
        assert given == (shown(str(path)) if b"\xe9" in name else str(path))


@pytest.mark.parametrize(("command", "letters"), [("info", "utf-8"), ("test", "ascii")])
def test_streams_that_know_no_such_letter_are_no_crash(tmp_path, small, command, letters):
    path = tmp_path / (os.fsdecode(b"caf\xe9") + "猫.ttk")
    path.write_bytes(small)
    environment = os.environ | {"PYTHONIOENCODING": f"{letters}:strict"}
    line = [sys.executable, "-m", "titokzip", command, path]
    process = subprocess.run(line, capture_output=True, env=environment, check=False)
    assert (process.returncode, process.stderr) == (0, b"")
    assert b"caf\\xe9" in process.stdout


def test_options_are_escaped_too(tmp_path):
    told = run("decompress", tmp_path / "x", "-o", "\x1b[31m.txt", code=2).stderr
    assert "\x1b" not in told
    assert "\\x1b[31m.txt" in told
    assert "\x1b" not in run("compress", "x", "-m", "\x1b[31m", code=3).stderr


@pytest.mark.parametrize(
    ("closed", "arguments", "code", "told"),
    [
        ("<&-", "info -", 1, ""),
        (">&-", "info a.ttk", 1, "titokzip: standard output is closed"),
        (">&-", "test a.ttk", 1, "titokzip: standard output is closed"),
        ("2>&-", "info a.ttk", 0, ""),
        ("2>&-", "info missing.ttk", 1, ""),
        ("<&- >&- 2>&-", "compress a.png -f", 0, ""),
        ("> /dev/full", "info a.ttk", 1, "titokzip: No space left on device"),
    ],
)
def test_streams_that_are_closed_or_full_are_one_line(file, closed, arguments, code, told):
    if "full" in closed and not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    photo(40, 30).save(file.with_name("a.png"))
    line = f"exec {sys.executable} -m titokzip {arguments} {closed}"
    process = subprocess.run(["sh", "-c", line], capture_output=True, cwd=file.parent, check=False)
    assert (process.returncode, process.stderr.decode().strip()) == (code, told)
    if "-f" in arguments:
        container.unpack(file.read_bytes())  # no message went into it


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OutputExists("x exists"), "x exists; -f overwrites it"),
        (Transparent("it is transparent"), "it is transparent; --background white (or"),
        (
            Truncated("2 of 3 layers are intact"),
            "2 of 3 layers are intact; --allow-partial decodes",
        ),
        (PixelLimitError("too many"), "too many; --max-pixels raises it"),
        (PixelLimitError("too many; --max-pixels"), "too many; --max-pixels"),
        (FormatError("damaged"), "damaged"),
        (FormatError(), "FormatError"),
        (MemoryError(), "out of memory"),
        (FileNotFoundError(2, "No such file", "name"), "No such file"),
        (FileNotFoundError(2, "No such file", "other"), "other: No such file"),
        (OSError("strange"), "strange"),
        (IsADirectoryError(21, "is a folder"), "is a folder; -r goes through it"),
    ],
    ids=repr,
)
def test_errors_are_one_line_with_the_option_that_helps(error, told):
    assert message(error, "name").startswith(told)
