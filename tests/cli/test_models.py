"""titokzip models."""

import dataclasses
import hashlib
import json
import shutil

import numpy as np
import pytest
from photos import photo
from run import files, run
from titoks import DIRECT, build

from titokzip import tiling, zoo
from titokzip.runtime.batching import Batch, encode_tiles
from titokzip.zoo.catalog import Golden

pytestmark = pytest.mark.usefixtures("known")


def listed(name):
    result = json.loads(run("models", "list", "--json").stdout)
    assert result["schema"] == 1
    (row,) = [row for row in result["models"] if row["name"] == name]
    return row


def test_embedded_models_are_listed():
    manifest = zoo.find("xs")
    assert listed("xs") == {
        "name": "xs",
        "here": True,
        "fingerprint": manifest.fingerprint.hex()[:8],
        "tokens": None,
        "size_note": manifest.size_note,
        "rfid": None,
        "parameters": zoo.parameters(manifest),
        "bytes": manifest.path.stat().st_size,
        "licence": "Apache-2.0",
        "repository": None,
        "path": str(manifest.path),
    }
    (line,) = [line for line in run("models", "list").stdout.splitlines() if line[:3] == "xs "]
    assert manifest.fingerprint.hex()[:8] in line
    assert str(manifest.path) in line


def test_released_models_are_listed_before_they_are_here():
    assert listed("titok-l32") == {
        "name": "titok-l32",
        "here": False,
        "fingerprint": None,
        "tokens": 32,
        "size_note": "48 a tile",
        "rfid": 2.21,
        "parameters": 641_054_735,
        "bytes": None,
        "licence": "Apache-2.0",
        "repository": "yucornetto/tokenizer_titok_l32_imagenet",
        "path": None,
    }
    lines = run("models", "list").stdout.splitlines()
    assert {line.split()[0] for line in lines[1:]} >= {"xs", *zoo.RELEASES}
    (line,) = [line for line in lines if line.startswith("titok-l32 ")]
    assert line.split() == [
        "titok-l32",
        "no",
        "32",
        "48",
        "a",
        "tile",
        "2.21",
        *["641.1", "M", "Apache-2.0"],
    ]


def test_released_models_are_listed_once_here(tiny):
    row = listed("tiny-6")
    assert (row["here"], row["path"]) == (True, str(tiny.path))
    assert (row["rfid"], row["size_note"], row["bytes"]) == (9.5, "5 a tile", tiny.size)


def test_models_are_added_verified_and_removed(folder, tmp_path):
    result = run("models", "add", folder)
    manifest = zoo.find("tiny-6")
    assert result.stdout == f"tiny-6: {manifest.fingerprint.hex()[:8]}, 0.4 MB, checked\n"
    assert result.stderr == ""
    assert "here already" in run("models", "add", folder, code=3).stderr
    assert "is here already" in run("models", "pull", "tiny-6").stdout
    run("models", "add", folder, "-f")
    run("models", "add", folder, "--name", "mine", "--like", "tiny-6")
    result = run("models", "verify").stdout
    assert f"tiny-6: right, sha256 {manifest.digest.hex()}\n" in result
    assert "mine: right" in result
    question = run("models", "rm", "mine", stdin="n\n", code=4).stderr
    assert question.startswith("Remove mine? Its 0.4 MB in ")
    assert " stay. [y/N]: " in question
    assert run("models", "rm", "mine", stdin="y\n").stdout == "mine: removed\n"
    run("models", "rm", "tiny-6", "--yes")
    assert files(tmp_path / "models") == []
    assert files(folder) == ["config.json", "model.safetensors"]
    assert "pull tiny-6" in run("models", "rm", "tiny-6", "-f", code=3).stderr
    assert "not pulled or added" in run("models", "rm", "xs", code=3).stderr


def test_embedded_models_are_verified():
    manifest = zoo.find("xs")
    assert run("models", "verify", "xs").stdout == f"xs: right, sha256 {manifest.digest.hex()}\n"
    assert "no model named" in run("models", "verify", "nothing", code=3).stderr


def place_of(path, name):
    """Find the first byte of a tensor in a safetensors file."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    return 8 + length + json.loads(data[8 : 8 + length])[name]["data_offsets"][0]


@pytest.mark.parametrize("damage", ["context.sizes", "decoder.colours.weight", "cut", "empty"])
def test_damaged_models_fail_verification(tmp_path, damage):
    manifest = zoo.find("xs")
    (tmp_path / "models").mkdir()
    path = shutil.copy(manifest.path, tmp_path / "models/a.safetensors")
    data = bytearray(path.read_bytes())
    if "." in damage:
        data[place_of(path, damage)] ^= 1
    path.write_bytes({"cut": data[:-9], "empty": b""}.get(damage, data))
    result = run("models", "verify", code=3)
    assert result.stderr.count("\n") == 1
    assert str(path) in result.stderr
    assert "xs: right" in result.stdout  # the others are checked all the same
    photo(20, 20).save(tmp_path / "a.png")
    reads = not damage.startswith("decoder")  # which compressing does not need
    result = run("compress", tmp_path / "a.png", "-m", path, "-q", 5, code=3 * reads)
    assert result.stderr.count("\n") == 1
    assert (tmp_path / "a.ttk").exists() != reads
    if not reads:
        told = run("decompress", tmp_path / "a.ttk", "-m", path, "-f", code=3).stderr
        assert "damaged, its checksum does not match" in told


def test_weights_that_do_not_fit_are_one_line(folder, tmp_path):
    (folder / "model.safetensors").write_bytes(b"<html>no such file</html>")
    result = run("models", "add", folder, code=3).stderr
    assert result.count("\n") == 1
    assert "a web page, not weights" in result
    assert not (tmp_path / "models").exists()


def test_licences_that_allow_less_are_told_first(tmp_path):
    (tmp_path / "flextok_d12_d12_in1k.safetensors").write_bytes(b"")
    result = run("models", "add", tmp_path / "flextok_d12_d12_in1k.safetensors", code=3).stderr
    first, second = result.splitlines()
    assert "research purposes only" in first
    assert first.endswith("https://github.com/apple/ml-flextok/blob/main/LICENSE_WEIGHTS")
    assert "cannot be read as weights" in second


def test_pulled_models_are_removed_with_their_weights(monkeypatch):
    """What the question says; tests/zoo/test_hub.py removes them."""
    manifest = dataclasses.replace(zoo.find("xs"), release="tiny-6", config={"revision": "0123"})
    monkeypatch.setattr(zoo, "find", lambda _: manifest)
    assert " are deleted. [y/N]: " in run("models", "rm", "xs", stdin="n\n", code=4).stderr


def test_what_cannot_be_pulled():
    assert "titok-l32, " in run("models", "pull", "titok", code=3).stderr
    assert "use titok-l32" in run("models", "pull", "titok-ll32-vae", code=3).stderr


@pytest.fixture
def golden(tmp_path, monkeypatch):
    """An image of one tile, and the tokens that the tiny release makes of it."""
    photo(32, 32).save(tmp_path / "golden.png")
    data = (tmp_path / "golden.png").read_bytes()
    tiles = tiling.split(np.asarray(photo(32, 32)), 32)
    (encoded,) = encode_tiles(build(DIRECT), [tiles], Batch(1), "cpu")
    tokens = encoded[0].tolist()
    record = Golden("golden.png", hashlib.sha256(data).hexdigest(), tuple(tokens), tolerance=1)
    monkeypatch.setattr(zoo, "GOLDEN", {"tiny-6": record})
    return tmp_path / "golden.png", record


@pytest.mark.parametrize(("wrong", "code"), [(0, 0), (1, 0), (2, 3)])
def test_printed_tokens_are_compared(tiny, golden, monkeypatch, wrong, code):
    path, record = golden
    tokens = [token ^ (i < wrong) for i, token in enumerate(record.tokens)]
    changed = Golden(record.image, record.sha256, tuple(tokens), record.tolerance)
    monkeypatch.setattr(zoo, "GOLDEN", {"tiny-6": changed})
    result = run("models", "verify", "tiny-6", "--image", path, code=code)
    assert f"{6 - wrong} of 6 tokens are those its authors printed" in result.output


def test_other_images_are_not_compared(tiny, golden, tmp_path):
    photo(32, 32, seed=1).save(tmp_path / "other.png")
    other = tmp_path / "other.png"
    assert (
        "not their golden.png" in run("models", "verify", "tiny-6", "--image", other, code=2).stderr
    )
    assert "must be named" in run("models", "verify", "--image", other, code=2).stderr
    assert "no tokens of xs" in run("models", "verify", "xs", "--image", other, code=2).stderr


def test_the_printed_tokens_of_titok_l32():
    record = zoo.GOLDEN["titok-l32"]
    assert len(record.tokens) == zoo.RELEASES["titok-l32"].tokens
    assert (record.tokens[0], record.tokens[-1], sum(record.tokens)) == (887, 2598, 69_008)
