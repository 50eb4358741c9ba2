"""titokzip tokens: the tokens of images as data."""

import io
import json
import tarfile

import numpy as np
import pytest
from photos import photo
from run import files, run

from titokzip.errors import FormatError
from titokzip.training.data import tokens


@pytest.fixture
def images(tmp_path):
    """Seven images of a tile in two folders, and one that cannot be read."""
    for i in range(7):
        inside = tmp_path / "images" / ("cats" if i % 2 else "dogs")
        inside.mkdir(parents=True, exist_ok=True)
        photo(32, 32, i).save(inside / f"{i}.png")
    (inside / "broken.png").write_bytes(b"no image")
    return tmp_path / "images"


def members(path):
    with tarfile.open(path) as shard:
        return {member.name: shard.extractfile(member).read() for member in shard}


def test_all_three_kinds_hold_the_tokens_that_files_have(tiny, images, tmp_path):
    pytest.importorskip("pyarrow")
    for suffix in ("npy", "parquet", "tar"):
        told = run("tokens", images, "-m", "tiny-6", "-o", tmp_path / f"t.{suffix}").stderr
        assert told.endswith("tokens of 7 images, 1 could not be read\n")
    npy, parquet = (tokens.read(tmp_path / f"t.{suffix}") for suffix in ("npy", "parquet"))
    assert npy.facts == parquet.facts
    assert (npy.facts.model, npy.facts.length, npy.facts.vocabulary) == ("tiny-6", 6, 64)
    assert npy.facts.fingerprint == tiny.fingerprint.hex()
    assert npy.facts.classes == ("cats", "dogs")
    assert np.array_equal(npy.tokens, parquet.tokens)
    assert npy.labels.tolist() == parquet.labels.tolist()
    assert sorted(npy.labels.tolist()) == [0] * 3 + [1] * 4
    within = members(tmp_path / "t.tar")
    assert len(within) == 14
    for i in range(7):
        source = images / ("cats" if i % 2 else "dogs") / f"{i}.png"
        run("compress", source, "-m", "tiny-6", "-o", tmp_path / "a.ttk", "-f")
        assert within[f"{i}.ttk"] == (tmp_path / "a.ttk").read_bytes()
        assert within[f"{i}.cls"] == str(1 - i % 2).encode()


def test_a_parquet_file_names_its_images(tiny, images, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    run("tokens", images, "-m", "tiny-6", "-o", tmp_path / "t.parquet", "--batch-size", "2")
    table = parquet.read_table(tmp_path / "t.parquet")
    assert table.column_names == ["key", "class", "tokens"]
    assert sorted(table["key"].to_pylist()) == [str(i) for i in range(7)]


def test_mirror_images_are_added(tiny, images, tmp_path):
    run("tokens", images, "-m", "tiny-6", "-o", tmp_path / "t.tar", "--mirror")
    within = members(tmp_path / "t.tar")
    names = {name.removesuffix(".ttk") for name in within if name.endswith(".ttk")}
    assert names == {f"{i}{end}" for i in range(7) for end in ("", "-mirrored")}
    assert any(within[f"{i}.ttk"] != within[f"{i}-mirrored.ttk"] for i in range(7))


def test_shards_keep_their_classes(tiny, tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as shard:
        for i in range(3):
            file = io.BytesIO()
            photo(48, 32, i).save(file, "PNG")
            for name, data in ((f"{i}.png", file.getvalue()), (f"{i}.cls", b"%d" % (7 * i))):
                member = tarfile.TarInfo(name)
                member.size = len(data)
                shard.addfile(member, io.BytesIO(data))
    run("tokens", tmp_path / "a.tar", "-m", "tiny-6", "-o", tmp_path / "t.npy")
    assert np.load(tmp_path / "t.npy")["class"].tolist() == [0, 7, 14]
    assert json.loads((tmp_path / "t.npy.json").read_text())["classes"] == []


def test_what_cannot_be_done_leaves_no_file(tiny, images, tmp_path):
    (tmp_path / "t.npy").write_text("mine")
    told = run("tokens", images, "-m", "tiny-6", "-o", tmp_path / "t.npy", code=4).stderr
    assert "exists; -f overwrites it" in told
    assert (tmp_path / "t.npy").read_text() == "mine"
    run("tokens", images, "-m", "tiny-6", "-o", tmp_path / "t.csv", code=2)
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    (nothing / "a.png").write_bytes(b"no image")
    told = run("tokens", nothing, "-m", "tiny-6", "-o", tmp_path / "u.npy", code=1).stderr
    assert "none of 1 images can be read" in told
    assert [name for name in files(tmp_path) if name.startswith(("u.", "t.", "."))] == ["t.npy"]


def test_damaged_tokens_are_refused(tiny, images, tmp_path):
    run("tokens", images, "-m", "tiny-6", "-o", tmp_path / "t.npy")
    whole = (tmp_path / "t.npy").read_bytes()
    for damaged in (whole[:-5], whole[:100], b""):
        (tmp_path / "t.npy").write_bytes(damaged)
        with pytest.raises(FormatError, match="not a file of stored tokens"):
            tokens.read(tmp_path / "t.npy")
    (tmp_path / "t.npy").write_bytes(whole)
    (tmp_path / "t.npy.json").unlink()
    with pytest.raises(FormatError, match=r"t\.npy"):
        tokens.read(tmp_path / "t.npy")
