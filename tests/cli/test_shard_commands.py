"""compress and decompress over shards."""

import json
import sys

import pytest
from photos import photo
from run import files, run
from tars import make_shards, read_tar, write_tar


@pytest.fixture
def shards(tmp_path):
    return make_shards(tmp_path / "in", 2, 2)


@pytest.mark.slow
def test_there_and_back(shards, tmp_path):
    names = str(tmp_path / "in" / "s-{000..001}.tar")
    told = run("compress", names, "-O", tmp_path / "out", "--max-bytes", 60, "-j", 1)
    assert told.stderr.count("2 samples") == 2
    assert files(tmp_path / "out") == [
        "manifest.json", "s-000.json", "s-000.tar", "s-001.json", "s-001.tar",
    ]  # fmt: skip
    done = run("decompress", tmp_path / "out" / "s-000.tar", "-O", tmp_path / "back", "--json")
    (row,) = json.loads(done.stdout)["results"]
    assert (row["status"], row["samples"], row["failures"]) == ("success", 2, [])
    assert list(read_tar(tmp_path / "back" / "s-000.tar")) == list(read_tar(shards[0]))


def test_exit_codes(shards, tmp_path):
    out = tmp_path / "out"
    write_tar(shards[1], [("a.png", b"no image"), ("a.txt", b"")])
    told = run("compress", *shards, "-O", out, "--max-bytes", 60, code=1)
    assert "s-001.tar: a: " in told.stderr
    assert (
        "s-000.tar exists; -f overwrites it" in run("compress", shards[0], "-O", out, code=4).stderr
    )
    run("compress", *shards, "-O", out, "--skip-existing")
    assert json.loads((out / "manifest.json").read_text())["failures"] == 1


def test_a_manifest_of_another_program_is_kept_unless_it_is_to_be_replaced(shards, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "manifest.json").write_text("{}")
    command = ["compress", shards[0], "-O", tmp_path / "out", "-q", "10", "-j", 1]
    told = run(*command, code=4).stderr
    assert told.endswith("titokzip did not write it; -f overwrites it\n")
    assert files(tmp_path / "out") == ["manifest.json"]
    run(*command, "-f")
    run(*command, "--skip-existing")
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["samples"] == 2


def test_a_cluster_is_for_shards_and_needs_ray(shards, tmp_path, monkeypatch):
    photo(20, 20).save(tmp_path / "a.png")
    told = run("compress", tmp_path / "a.png", "--ray", "local", code=2)
    assert "--ray works on shards" in told.output
    monkeypatch.setitem(sys.modules, "ray", None)
    for command in ("compress", "decompress"):
        told = run(command, shards[0], "-O", tmp_path / "out", "--ray", "local", code=2)
        assert "pip install 'titokzip[ray]'" in told.output


def test_a_cluster_refuses_options_that_it_does_not_take(shards, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    both = ["--compile", "--batch-size", 3]
    sampled = ["--precision", "float32", "--passes", 2, "--steps", 5, "--guidance", 2]
    for command, options in [("compress", both), ("decompress", both + sampled)]:
        names = [one for one in options if str(one).startswith("--")]
        ray = [command, shards[0], "-O", tmp_path / "out", "--ray", "local"]
        told = run(*ray, *options, code=2).output
        assert "--ray does not take" in told
        assert all(name in told for name in names)
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "-O names"),
        (["-o", "x.tar"], "-O names"),
        (["-O", "x", "--rm"], "--rm does not go with shards"),
        (["-O", "IN"], "folder of the shards themselves"),
        (["-O", "IN/../in/."], "folder of the shards themselves"),
        (["-O", "LINK"], "folder of the shards themselves"),
        (["-O", "x", "other/manifest.tar"], "described in manifest.json"),
        (["-O", "x", "a.png"], "do not go together"),
        (["-O", "x", "other/s-000.tar"], "would make the same output"),
    ],
)
def test_what_makes_no_sense(arguments, message, shards, tmp_path):
    photo(20, 20).save(tmp_path / "a.png")
    (tmp_path / "link").symlink_to("in")
    known = {
        "IN": str(tmp_path / "in"),
        "IN/../in/.": str(tmp_path / "in" / ".." / "in" / "."),
        "LINK": str(tmp_path / "link"),
        "a.png": str(tmp_path / "a.png"),
        "x": str(tmp_path / "x"),
    }
    before = shards[0].read_bytes()
    told = run("compress", shards[0], "-f", *(known.get(one, one) for one in arguments), code=2)
    assert message in told.output
    assert shards[0].read_bytes() == before


def test_a_folder_without_a_name_is_the_current_one(shards, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    run("compress", shards[0], "-O", "", "--max-bytes", 60, "-j", 1)
    assert files(tmp_path / "here") == ["manifest.json", "s-000.json", "s-000.tar"]
