"""Large models in parts, and several models of the same tokens."""

import filecmp
import itertools
import shutil

import pytest
import tiny
from photos import photo
from releases import own
from safetensors.numpy import load_file

from titokzip import zoo
from titokzip.codec import Codec
from titokzip.errors import ModelError
from titokzip.zoo import embedded, store


@pytest.fixture(scope="module")
def model():
    return tiny.spectral()


@pytest.fixture(scope="module")
def context_model(model):
    return tiny.tables(model)


@pytest.fixture(scope="module")
def saved(model, context_model, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    return zoo.save(path, "tiny", model, context_model, "none")


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(embedded, "LARGEST_PART", 20_000)


@pytest.fixture
def parts(model, context_model, small_parts, tmp_path):
    """Save the model in parts."""
    return zoo.save(tmp_path / "tiny.safetensors", "tiny", model, context_model, "none")


def test_large_models_are_saved_in_parts(parts, saved, tmp_path, monkeypatch):
    count = len(parts.weights)
    assert count > 3
    names = [f"tiny-{i:05}-of-{count:05}.safetensors" for i in range(1, count + 1)]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    assert [path.name for path in parts.weights] == names
    assert parts.path == parts.weights[0]
    assert (parts.digest, parts.fingerprint) == (saved.digest, saved.fingerprint)
    assert zoo.parameters(parts) == zoo.parameters(saved)
    tokens = zoo.load(saved).tokenizer.encode(tiny.tiles(2))
    assert (zoo.load(parts).tokenizer.encode(tiny.tiles(2)) == tokens).all()
    monkeypatch.setenv("TITOKZIP_MODELS", str(tmp_path))
    assert [path.parent for path in zoo.files()].count(tmp_path) == 1
    assert zoo.find("tiny") == zoo.find(str(parts.weights[2])) == parts


def test_parts_are_as_large_as_they_may_be(parts):
    sizes = [sum(array.nbytes for array in load_file(path).values()) for path in parts.weights]
    tensors = [len(load_file(path)) for path in parts.weights]
    assert all(size <= 20_000 or alone == 1 for size, alone in zip(sizes, tensors, strict=True))
    assert all(one + other > 20_000 for one, other in itertools.pairwise(sizes))


def test_numbers_that_make_no_parts_are_a_name(tmp_path, monkeypatch):
    (tmp_path / "a-00001-of-00000.safetensors").write_bytes(b"")
    monkeypatch.setenv("TITOKZIP_MODELS", str(tmp_path))
    assert tmp_path / "a-00001-of-00000.safetensors" in zoo.files()
    assert own() == []


@pytest.mark.parametrize("which", [0, 1, -1])
def test_a_missing_part_is_named(parts, which, tmp_path, monkeypatch):
    parts.weights[which].unlink()
    monkeypatch.setenv("TITOKZIP_MODELS", str(tmp_path))
    assert parts.path in zoo.files()
    with pytest.raises(ModelError, match="a part of the model is missing") as caught:
        zoo.load(zoo.read_manifest(parts.path))
    assert parts.weights[which].name in str(caught.value)


def test_a_part_of_another_model_is_damage(parts, model, context_model, small_parts, tmp_path):
    other = tiny.spectral()
    for parameter in other.parameters():
        parameter += 0.1
    (tmp_path / "other").mkdir()
    foreign = zoo.save(tmp_path / "other/tiny.safetensors", "tiny", other, context_model, "none")
    pairs = zip(foreign.weights[1:], parts.weights[1:], strict=True)
    theirs, own = next(pair for pair in pairs if not filecmp.cmp(*pair, shallow=False))
    shutil.copy(theirs, own)
    with pytest.raises(ModelError, match="checksum"):
        zoo.load(parts)


def test_saving_again_leaves_nothing_of_the_old_parts(
    parts, model, context_model, monkeypatch, tmp_path
):
    (tmp_path / "tiny-2.safetensors").write_bytes(b"another's")
    monkeypatch.setattr(embedded, "LARGEST_PART", 2**24)
    zoo.save(tmp_path / "tiny.safetensors", "tiny", model, context_model, "none")
    names = ["tiny-2.safetensors", "tiny.safetensors"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    monkeypatch.setattr(embedded, "LARGEST_PART", 20_000)
    manifest = zoo.save(tmp_path / "tiny.safetensors", "tiny", model, context_model, "none")
    assert set(tmp_path.iterdir()) == {tmp_path / "tiny-2.safetensors", *manifest.weights}


def test_two_models_of_the_same_tokens(model, context_model, saved, tmp_path, monkeypatch):
    other = tiny.spectral()
    for key, parameter in other.named_parameters():
        parameter += 0.05 * key.startswith("painter")
    monkeypatch.setenv("TITOKZIP_MODELS", str(tmp_path))
    names = ["a-perceptual", "b-plain"]
    plain = zoo.save(tmp_path / "b.safetensors", "b-plain", model, context_model, "none")
    perceptual = zoo.save(tmp_path / "a.safetensors", "a-perceptual", other, context_model, "none")
    assert plain.fingerprint == perceptual.fingerprint
    assert [manifest.name for manifest in zoo.manifests()][:2] == names
    for name in names:
        monkeypatch.setattr(store, "DEFAULT", name)
        assert zoo.find_fingerprint(plain.fingerprint[:4]).name == name
    monkeypatch.setattr(store, "DEFAULT", "xs")
    assert zoo.find_fingerprint(plain.fingerprint[:4]) == perceptual  # the first that is found
    data = Codec.load("b-plain", "cpu").compress(photo(60, 40))
    images = [Codec.load(name, "cpu").decompress(data) for name in names]
    assert images[0].tobytes() != images[1].tobytes()
