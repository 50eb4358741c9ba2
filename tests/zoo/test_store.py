"""Released weights that are added from files: names, manifests, and what is found of them again."""

import errno
import json
import os
import shutil
from pathlib import Path

import flextoks
import pytest
import torch
from photos import photo
from releases import FLEXTOK, TINY, flextok_folder, official_folder, own, refused
from run import files
from safetensors.torch import load_file, save_file
from titoks import DIRECT, build, images, weights

from titokzip import loading, zoo
from titokzip.bitstream.container import unpack
from titokzip.errors import ModelError
from titokzip.images import plain
from titokzip.rate_control import Rate

pytestmark = pytest.mark.usefixtures("known")


def as_pickle(folder, legacy=False):
    path = folder.with_name("tokenizer_tiny_6.bin")
    state = load_file(folder / "model.safetensors")
    torch.save(state, path, _use_new_zipfile_serialization=not legacy)
    return path


def test_a_folder_is_added_and_loaded(folder, tmp_path):
    manifest = zoo.add(folder)
    assert files(tmp_path / "models") == ["tiny-6.model.json"]
    assert manifest == zoo.find("tiny-6") == zoo.find(str(manifest.path)) == next(zoo.manifests())
    assert (manifest.kind, manifest.licence, manifest.size_note) == (
        "titok",
        "Apache-2.0",
        "5 a tile",
    )
    assert zoo.vocabulary_of(manifest.fingerprint[:4]) == 64
    assert manifest.weights == (folder / "model.safetensors",)
    assert manifest.size == manifest.weights[0].stat().st_size
    tokens = zoo.load_tokenizer(manifest).encode(images(2, 32))
    assert torch.equal(tokens, build(DIRECT).encode(images(2, 32)))


@pytest.mark.parametrize("legacy", [False, True])
def test_pickles_of_tensors_are_added(folder, legacy):
    manifest = zoo.add(as_pickle(folder, legacy))
    same = zoo.add(folder, name="other", like="tiny-6")
    assert manifest.name == "tiny-6"
    assert manifest.fingerprint == same.fingerprint
    tokens = zoo.load_tokenizer(manifest).encode(images(2, 32))
    assert torch.equal(tokens, zoo.load_tokenizer(same).encode(images(2, 32)))


def test_a_cache_of_another_user_is_skipped_unless_it_is_asked_for(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    own, looked_for = tmp_path / "cache/titokzip/models", Path.glob

    def glob(folder, pattern):
        if folder in (own, tmp_path / "models"):
            raise PermissionError(errno.EACCES, "Permission denied", str(folder))
        return looked_for(folder, pattern)

    monkeypatch.setattr(Path, "glob", glob)
    with pytest.raises(PermissionError):
        zoo.find("xs")
    monkeypatch.delenv("TITOKZIP_MODELS")
    assert zoo.find("xs").path.parent.name == "weights"
    with pytest.raises(ModelError, match="there is: xs"):
        zoo.find("other")


def test_nobody_needs_a_home(monkeypatch):
    for name in ("HOME", "XDG_CACHE_HOME", "TITOKZIP_MODELS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # as where no user is known
    assert zoo.find("xs").path.parent.name == "weights"


def test_manifests_are_kept_where_caches_are(folder, monkeypatch, tmp_path):
    monkeypatch.delenv("TITOKZIP_MODELS")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert zoo.add(folder).path == tmp_path / "cache/titokzip/models/tiny-6.model.json"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert zoo.folders()[0] == tmp_path / ".cache/titokzip/models"


@pytest.mark.parametrize(
    "path",
    [
        "tiny-6",
        "tokenizer_tiny_6_imagenet",
        "models--someone--tokenizer_tiny_6_imagenet/snapshots/0123/model.safetensors",
        "Tiny_6.pth",
    ],
)
def test_names_of_weights_identify_their_release(path, tmp_path):
    assert zoo.known_as(tmp_path / path) == TINY


def test_names_that_identify_nothing(folder, tmp_path):
    moved = folder.rename(tmp_path / "x")
    refused(moved, "say which one it is like")
    refused(moved, "say which one it is like", name="mine")
    refused(moved, "no release is named 'titok'; there is: titok-l32, ", like="titok")
    refused(moved, "use titok-l32", like="titok-ll32-vae")
    refused(tmp_path / "tokenizer_titok_bl64_vae_c16_imagenet", "use titok-bl64")
    assert zoo.add(moved, name="mine", like="tiny-6").name == "mine"
    assert zoo.add(moved, name="tiny-6").name == "tiny-6"


@pytest.mark.parametrize("name", ["", "a/b", "../a", "A", "-a", ".a", "a" * 99])
def test_names_that_are_no_file_names(folder, name):
    refused(folder, "cannot name a model", name=name, like="tiny-6")


def test_names_that_are_taken(folder):
    refused(folder, "xs is here already", name="xs", like="tiny-6")
    refused(folder, "xs is here already", name="xs", like="tiny-6", force=True)
    manifest = zoo.add(folder)
    refused(folder, "tiny-6 is here already")
    assert zoo.add(folder, force=True) == manifest


def changed(manifest, change):
    path = manifest.weights[0]
    data = bytearray(path.read_bytes())
    change(data)
    path.write_bytes(data)


def test_weights_that_changed_are_refused(folder):
    manifest = zoo.add(folder)
    zoo.verify(manifest)
    changed(manifest, lambda data: data.append(0))
    for check in (zoo.load_tokenizer, zoo.verify):
        with pytest.raises(ModelError, match="damaged, or not the weights"):
            check(manifest)
    manifest.weights[0].unlink()
    with pytest.raises(ModelError, match="gone from"):
        zoo.load_tokenizer(manifest)


def test_any_changed_byte_fails_verification(folder):
    manifest = zoo.add(folder)
    changed(manifest, lambda data: data.__setitem__(-9999, data[-9999] ^ 1))
    with pytest.raises(ModelError, match="checksum does not match"):
        zoo.verify(manifest)


def test_another_codebook_is_another_model(folder, monkeypatch):
    manifest = zoo.add(folder)
    state = weights(DIRECT)
    state["quantize.embedding.weight"][3, 2] += 1
    save_file(state, folder / "model.safetensors")
    with pytest.raises(ModelError, match="not the weights that were added"):
        zoo.load_tokenizer(manifest)
    other = zoo.add(folder, name="other", like="tiny-6")
    assert other.fingerprint[:2] == manifest.fingerprint[:2] == TINY.prefix
    assert other.fingerprint[2:4] != manifest.fingerprint[2:4]


def test_another_decoder_reads_the_same_files(folder):
    manifest = zoo.add(folder)
    state = weights(DIRECT)
    state["decoder.mask_token"] += 1
    better = official_folder(folder.with_name("better"), state)
    assert zoo.add(better, "better", "tiny-6").fingerprint == manifest.fingerprint


@pytest.fixture
def flextok(monkeypatch, tmp_path):
    return flextok_folder(monkeypatch, tmp_path / "flextok_tiny")


def test_flextoks_are_added_too(flextok):
    manifest = zoo.add(flextok)
    assert (manifest.kind, manifest.fingerprint[:2]) == ("flextok", FLEXTOK.prefix)
    assert zoo.load_tokenizer(manifest).config == flextoks.TINY
    codec = loading.load("flextok-tiny", "cpu")
    data = codec.compress(plain(photo(40, 30)), Rate(tokens=3))
    assert zoo.find_fingerprint(unpack(data).header.model) == manifest
    assert codec.decompress(data).size == (40, 30)


def test_flextoks_need_their_config(flextok):
    alone = shutil.copy(flextok / "model.safetensors", flextok / "flextok_tiny.safetensors")
    refused(alone, "flextok-tiny: the config.json beside its weights")
    (flextok / "config.json").write_text("{}")
    refused(flextok, "config.json: regularizer is missing")


def test_other_maps_into_the_code_are_another_flextok(flextok):
    first = zoo.add(flextok)
    state = flextoks.weights()
    state["decoder.module_dict.dec_from_latents.proj.bias"][0] += 1
    save_file(state, flextok / "model.safetensors")
    other = zoo.add(flextok, "other", "flextok-tiny")
    assert other.fingerprint[:2] == first.fingerprint[:2]
    assert other.fingerprint[2:4] != first.fingerprint[2:4]


def test_damaged_manifests_are_passed_over_and_refused(folder):
    manifest = zoo.add(folder)
    right = json.loads(manifest.path.read_bytes())
    for change, message in (
        ({"format": "x"}, "not the manifest of a model"),
        ({"release": "x"}, "newer"),
        ({"sha256": "x"}, "damaged"),
        ({"weights": 1}, "damaged"),
        ({"fingerprint": None}, "damaged"),
        ({"bytes": None}, "damaged"),
        ({"config": 5}, "damaged"),
        ({"revision": 5}, "damaged"),
    ):
        manifest.path.write_text(json.dumps(right | change))
        assert own() == []
        with pytest.raises(ModelError, match=message):
            zoo.read_manifest(manifest.path)
    manifest.path.write_text(json.dumps(right | {"length": "x"}))
    assert zoo.read_manifest(manifest.path).fingerprint == manifest.fingerprint
    del right["revision"]
    for text in ("", "[]", "1", "{", json.dumps(right)):
        manifest.path.write_text(text)
        with pytest.raises(ModelError, match=r"JSON|damaged \(revision"):
            zoo.read_manifest(manifest.path)


def test_removed_without_its_weights(folder):
    zoo.remove(zoo.add(folder))
    assert own() == []
    assert files(folder) == ["config.json", "model.safetensors"]
    with pytest.raises(ModelError, match="not pulled or added"):
        zoo.remove(zoo.find("xs"))


def test_only_manifests_in_their_folder_are_removed(folder, tmp_path):
    manifest = zoo.add(folder)
    outside = tmp_path / "outside"
    outside.mkdir()
    copy = shutil.copy(manifest.path, outside / "tiny-6.model.json")
    (tmp_path / "models/link").symlink_to(outside, target_is_directory=True)
    for path in (
        copy,
        tmp_path / "models/../outside/tiny-6.model.json",
        tmp_path / "models/link" / copy.name,
    ):
        with pytest.raises(ModelError, match="not pulled or added"):
            zoo.remove(zoo.find(str(path)))
        assert copy.is_file()
    manifest.path.unlink()
    manifest.path.symlink_to(copy)
    zoo.remove(zoo.find("tiny-6"))  # the link, not what it leads to
    assert copy.is_file()
    assert not manifest.path.is_symlink()


def test_files_find_their_model(folder, monkeypatch, tmp_path):
    manifest = zoo.add(folder)
    named = unpack(loading.load("tiny-6", "cpu").compress(plain(photo(40, 30)))).header.model
    assert zoo.find_fingerprint(named) == manifest
    assert zoo.name_of(named) == "tiny-6"
    zoo.remove(manifest)
    with pytest.raises(ModelError, match=r"`titokzip models pull tiny-6` fetches it"):
        zoo.find_fingerprint(named)
    assert zoo.name_of(named) == "tiny-6"
    state = weights(DIRECT)
    state["quantize.embedding.weight"] += 1
    zoo.add(official_folder(tmp_path / "tiny-6", state))
    with pytest.raises(ModelError, match="another checkpoint of tiny-6"):
        zoo.find_fingerprint(named)
    assert zoo.name_of(b"none") is None
