"""Where titokzip compress writes, what it refuses to overwrite, and what Ctrl-C leaves."""

import shutil
import signal
import time

import pytest
from photos import photo, png
from run import files, run, spawn

from titokzip.bitstream import container

FAST = ("--tokens", "16")


@pytest.fixture
def tree(tmp_path):
    """A folder of pictures with folders and other files in it."""
    for name in ("one.png", "deep/two.JPG", "deep/er/three.webp"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        photo(60, 40).save(tmp_path / "in" / name)
    (tmp_path / "in" / "notes.txt").write_text("no picture")
    return tmp_path / "in"


def test_a_folder_keeps_its_structure(tree, tmp_path):
    run("compress", "-r", tree, "-O", tmp_path / "out", *FAST)
    assert files(tmp_path / "out") == ["deep/er/three.ttk", "deep/two.ttk", "one.ttk"]
    run("compress", "-r", tree, *FAST)
    assert {"one.ttk", "deep/two.ttk"} < set(files(tree))


def test_a_folder_without_r_is_refused(tree):
    assert "is a folder; -r goes through it" in run("compress", tree, code=1).stderr


def test_an_empty_folder_is_nothing_to_do(tmp_path):
    assert run("compress", "-r", tmp_path).output == ""


def test_two_inputs_of_one_output_are_refused(picture, tmp_path):
    picture.with_suffix(".jpg").write_bytes(b"x")
    told = run("compress", picture, picture.with_suffix(".jpg"), code=2).stderr
    assert "would both make" in told
    (tmp_path / "b").mkdir()
    shutil.copy(picture, tmp_path / "b" / "a.png")
    run("compress", picture, tmp_path / "b" / "a.png", "-O", tmp_path / "out", code=2)
    run("compress", picture, tmp_path / "b" / ".." / "a.png", code=2)
    run("compress", picture, picture.with_suffix(".jpg"), "-o", tmp_path / "x.ttk", code=2)
    assert not list(tmp_path.rglob("*.ttk"))


def test_existing_outputs(picture):
    output = picture.with_suffix(".ttk")
    output.write_bytes(b"old")
    assert "exists; -f overwrites it" in run("compress", picture, code=4).stderr
    assert run("compress", picture, "--skip-existing").output == ""
    assert output.read_bytes() == b"old"
    run("compress", picture, *FAST, "-f")
    assert output.read_bytes() != b"old"


def test_no_variable_overwrites_or_deletes(picture):
    output = picture.with_suffix(".ttk")
    output.write_bytes(b"old")
    settings = {"TITOKZIP_COMPRESS_FORCE": "1", "TITOKZIP_COMPRESS_REMOVE": "1"}
    run("compress", picture, env=settings, code=4)
    output.unlink()
    run("compress", picture, *FAST, env=settings)
    assert picture.exists()


def test_sources_are_deleted_on_request(picture):
    run("compress", picture, *FAST, "--rm")
    assert files(picture.parent) == ["a.ttk"]


def test_pipes(picture, embedded):
    data = run("compress", "-", *FAST, stdin=picture.read_bytes()).stdout_bytes
    assert data == run("compress", "-c", picture, *FAST).stdout_bytes
    assert data == run("compress", picture, "-o", "-", *FAST).stdout_bytes
    assert embedded.decompress(data).size == (120, 80)
    run("compress", "-", "-o", picture.with_name("b.ttk"), *FAST, stdin=picture.read_bytes())
    run("compress", "-", "-O", picture.with_name("out"), *FAST, stdin=picture.read_bytes())
    assert files(picture.parent) == ["a.png", "b.ttk", "out/stdin.ttk"]
    run("compress", "-", picture, code=2)
    run("compress", "-", stdin=b"no picture", code=1)
    run("compress", "-", stdin=b"", code=1)


def test_an_output_that_cannot_be_written(picture, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    told = run("compress", picture, "-O", tmp_path / "file" / "deep", code=1).stderr
    assert str(tmp_path / "file") in told
    assert len(told.splitlines()) == 1
    assert files(tmp_path) == ["a.png", "file"]


def test_interrupted(tmp_path):
    """Ctrl-C in the middle of many files: those that are there are whole."""
    data = png(photo(400, 400))
    for i in range(60):
        (tmp_path / f"{i:02d}.png").write_bytes(data)
    process = spawn("compress", "-r", tmp_path, "--tile", "100")
    try:
        while not list(tmp_path.glob("*.ttk")) and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, told
    assert b"interrupted" in told
    assert b"Traceback" not in told
    done = list(tmp_path.glob("*.ttk"))
    assert 0 < len(done) < 60
    assert len(list(tmp_path.iterdir())) == 60 + len(done)
    for path in done:
        assert container.unpack(path.read_bytes()).whole
