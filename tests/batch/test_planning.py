"""Every file is found, or named with what is wrong, and no output has two makers."""

import os
from pathlib import Path

import pytest

from titokzip.batch import find, pair
from titokzip.images import SUFFIXES


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def found(*inputs, recursive=True, suffixes=SUFFIXES):
    return [
        (str(one.inside), str(one.error) if one.error else None)
        for one in find(map(str, inputs), suffixes, recursive)
    ]


def test_folders_are_gone_through_in_order(tmp_path):
    touch(tmp_path, "b.png", "deep/er/c.webp", "deep/a.JPG", "notes.txt", "A.PNG")
    assert found(tmp_path) == [
        ("A.PNG", None),
        ("b.png", None),
        ("deep/a.JPG", None),
        ("deep/er/c.webp", None),
    ]


def test_odd_names_are_found(tmp_path):
    names = sorted([".png", "a.JFIF", "a.jpe", "a.HEIC", "a.b.tiff", ".hidden.gif", "a.avif"])
    touch(tmp_path, *names, "png", "a.png.txt")
    assert found(tmp_path) == [(name, None) for name in names]


def test_a_named_file_may_have_any_name(tmp_path):
    touch(tmp_path, "Scan 10.15.32")
    assert found(tmp_path / "Scan 10.15.32", "missing") == [
        ("Scan 10.15.32", None),
        ("missing", None),
    ]


def test_a_file_is_found_once(tmp_path, monkeypatch):
    touch(tmp_path, "in/a.png")
    (tmp_path / "in" / "deep").mkdir()
    monkeypatch.chdir(tmp_path)
    inputs = ["in/a.png", "./in/a.png", "in/deep/../a.png", "in", str(tmp_path)]
    assert found(*inputs) == [("a.png", None)]


def test_folders_need_to_be_asked_for(tmp_path):
    touch(tmp_path, "in/a.png", "b.png")
    told = found(tmp_path / "in", tmp_path / "b.png", recursive=False)
    assert [name for name, _ in told] == ["in", "b.png"]
    assert "is a folder" in told[0][1]
    assert told[1][1] is None


def test_what_cannot_be_read_is_named(tmp_path):
    touch(tmp_path, "a.png")
    (tmp_path / "b.png").symlink_to("nowhere")
    (tmp_path / "c.png").symlink_to("c.png")
    os.mkfifo(tmp_path / "d.png")
    (tmp_path / "e").mkdir()
    (tmp_path / "f").symlink_to("e")
    (tmp_path / "g.png").symlink_to("a.png")
    told = dict(found(tmp_path))
    assert list(told) == ["a.png", "b.png", "c.png", "d.png", "f", "g.png"]
    assert told["a.png"] is told["g.png"] is None
    assert "No such file" in told["b.png"]
    assert "symbolic links" in told["c.png"]
    assert "neither a file nor a folder" in told["d.png"]
    assert "link to a folder" in told["f"]


def test_folders_that_cannot_be_read_are_named(tmp_path, monkeypatch):
    touch(tmp_path, "a.png", "locked/b.png")
    scandir = os.scandir

    def locked(path):
        if os.fspath(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", locked)
    (first, second) = found(tmp_path)
    assert first == ("a.png", None)
    assert second[0] == "locked"
    assert "Permission denied" in second[1]


def test_folders_without_images_are_named(tmp_path):
    (tmp_path / "empty").mkdir()
    touch(tmp_path, "texts/notes.txt", "in/a.png")
    told = found(tmp_path / "empty", tmp_path / "in", tmp_path / "texts")
    assert [name for name, _ in told] == ["empty", "a.png", "texts"]
    assert all("no file in it" in error for _, error in (told[0], told[2]))


def paired(folder, *names, skip_existing=False):
    def place(one, longer):
        path = folder / "out" / one.inside
        return path.with_name(path.name + ".ttk") if longer else path.with_suffix(".ttk")

    jobs = pair(find([str(folder / name) for name in names], SUFFIXES, True), place, skip_existing)
    return [
        (job.source.name, job.target.name if job.target else None, str(job.error or ""))
        for job in jobs
    ]


def test_outputs_are_named_after_their_inputs(tmp_path):
    touch(tmp_path, "in/a.png", "in/b.jpg")
    assert paired(tmp_path, "in") == [("a.png", "a.ttk", ""), ("b.jpg", "b.ttk", "")]


def test_inputs_of_one_output_keep_their_suffixes(tmp_path):
    touch(tmp_path, "in/a.jpg", "in/a.png", "in/b.png")
    assert paired(tmp_path, "in") == [
        ("a.jpg", "a.jpg.ttk", ""),
        ("a.png", "a.png.ttk", ""),
        ("b.png", "b.ttk", ""),
    ]


def test_inputs_that_still_make_one_output_are_errors(tmp_path):
    touch(tmp_path, "one/a.png", "two/a.png", "two/b.png")
    told = paired(tmp_path, "one", "two")
    assert [(name, bool(error)) for name, _, error in told] == [
        ("a.png", True),
        ("a.png", True),
        ("b.png", False),
    ]
    assert "another input makes" in told[0][2]


def test_errors_make_no_output(tmp_path):
    touch(tmp_path, "in/a.png")
    (tmp_path / "in" / "a.jpg").symlink_to("nowhere")
    assert paired(tmp_path, "in")[1] == ("a.png", "a.ttk", "")
    (job,) = pair(find([".", "."], SUFFIXES, False), lambda *_: pytest.fail("it has no name"))
    assert isinstance(job.error, IsADirectoryError)
    assert job.target is None


@pytest.mark.parametrize("kind", ["file", "folder", "dangling link", "link"])
def test_what_is_done_is_skipped(tmp_path, kind):
    touch(tmp_path, "in/a.png", "in/b.png", "elsewhere")
    done = tmp_path / "out" / "a.ttk"
    done.parent.mkdir()
    if kind == "file":
        done.write_bytes(b"")
    elif kind == "folder":
        done.mkdir()
    else:
        done.symlink_to(tmp_path / ("elsewhere" if kind == "link" else "nowhere"))
    told = paired(tmp_path, "in", skip_existing=True)
    assert [name for name, _, _ in told] == (
        ["b.png"] if kind in ("file", "link") else ["a.png", "b.png"]
    )


def test_places_that_may_not_be_looked_at_are_errors_of_their_own(tmp_path, monkeypatch):
    """Path.is_dir raises where os.path.isdir does not."""
    touch(tmp_path, "a.png")
    (tmp_path / "loop").symlink_to("loop")

    def denied(self, *_, **__):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "is_dir", denied)
    assert found(tmp_path / "a.png", tmp_path / "loop" / "b.png", recursive=False) == [
        ("a.png", None),
        ("b.png", None),
    ]
