"""Models of one's own: added by the description in their config.json, or refused in one line."""

import json

import pytest
import scripts
import torch
import zoo_models
from releases import own
from safetensors.torch import load_file, save_file
from titoks import DIRECT, images

from titokzip import zoo
from titokzip.errors import ModelError


@pytest.fixture(autouse=True)
def models(tmp_path, monkeypatch):
    monkeypatch.setenv("TITOKZIP_MODELS", str(tmp_path / "models"))


@pytest.fixture
def mine(tmp_path):
    return zoo_models.titok(tmp_path / "mine")


def change(folder, *keys, value):
    """Change one value of a config.json."""
    path = folder / "config.json"
    config = json.loads(path.read_text())
    table = config
    for key in keys[:-1]:
        table = table[key]
    table[keys[-1]] = value
    path.write_text(json.dumps(config))


def test_a_model_is_added_by_its_folder(mine):
    manifest = zoo.add(mine)
    assert (manifest.name, manifest.kind, manifest.licence) == ("mine", "titok", "your own")
    assert zoo.release_of(manifest).config == DIRECT
    zoo.verify(manifest)
    tokens = zoo.load_tokenizer(manifest).encode(images(2, 32))
    assert tokens.shape == (2, 6)
    assert zoo.vocabulary_of(manifest.fingerprint[:4]) == 64
    count = sum(tensor.numel() for tensor in load_file(mine / "model.safetensors").values())
    assert zoo.parameters(manifest) == count
    assert zoo.add(mine / "model.safetensors", name="again").fingerprint == manifest.fingerprint


def test_models_with_other_codes_have_other_fingerprints(mine, tmp_path):
    first = zoo.add(mine)
    state = load_file(mine / "model.safetensors")
    state["quantize.embedding.weight"] += 1
    save_file(state, zoo_models.titok(tmp_path / "other") / "model.safetensors")
    assert zoo.add(tmp_path / "other").fingerprint != first.fingerprint
    save_file(state, mine / "model.safetensors")
    with pytest.raises(ModelError, match="not the weights that were added as mine"):
        zoo.load_tokenizer(first)


@pytest.mark.parametrize(
    ("keys", "value", "told"),
    [
        (["titokzip"], 3, "titokzip describes no architecture"),
        (["titokzip", "family"], "spectral", "family is 'spectral', which is unknown"),
        (["titokzip", "family"], [], "which is unknown"),
        (["titokzip", "config", "length"], "6", "config.length is '6', not int"),
        (["titokzip", "config", "length"], 7, "have another shape of"),
        (["titokzip", "config", "depth"], 7, "config.depth is unknown"),
        (["titokzip", "config", "encoder", "depth"], 10**9, "depth is 1000000000, not a whole"),
        (["titokzip", "config", "encoder", "heads"], 3, "does not split into 3 heads"),
        (["titokzip", "config", "size"], 33, "not a multiple of the patch"),
    ],
)
def test_a_wrong_description_is_named(mine, keys, value, told):
    change(mine, *keys, value=value)
    with pytest.raises(ModelError) as caught:
        zoo.add(mine)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(mine) in str(caught.value)
    assert own() == []


@pytest.mark.parametrize(
    ("key", "value"), [("depth", 10**9), ("width", 10**6), ("heads", 0), ("codebook", 0)]
)
@pytest.mark.parametrize("kind", ["maskgit", "autoregressive"])
def test_a_generator_that_cannot_be_is_named(tmp_path, kind, key, value):
    folder = zoo_models.generator(tmp_path / "mine", kind)
    change(folder, "titokzip", "config", key, value=value)
    with pytest.raises(ModelError, match=f"{key} is {value}, not a whole number"):
        zoo.add(folder)


def test_a_manifest_outlives_no_config(mine):
    zoo.add(mine)
    (mine / "config.json").write_text("{}")
    assert own() == []
    with pytest.raises(ModelError, match="no model named 'mine' here"):
        zoo.find("mine")


def test_an_autoencoder_is_the_one_that_was_trained_with(tmp_path):
    folder = zoo_models.flextok(tmp_path / "mine")
    manifest = zoo.add(folder)
    tokens = torch.zeros(1, 3, dtype=torch.int32)
    pixels = zoo.load_tokenizer(manifest)
    pixels.steps = 1
    assert pixels.decode_pixels(pixels.decode_features(tokens)).shape == (1, 3, 32, 32)
    scripts.write(scripts.Distance(), folder / "autoencoder.pt")
    with pytest.raises(ModelError, match="another autoencoder than it was trained with"):
        zoo.load_tokenizer(manifest)
    (folder / "autoencoder.pt").unlink()
    with pytest.raises(ModelError, match="beside the weights is missing"):
        zoo.load_tokenizer(manifest)
