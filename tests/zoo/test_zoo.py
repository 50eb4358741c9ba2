"""Weights: what is saved is loaded, what is damaged is refused, and names find models."""

import json
import re
import shutil

import numpy as np
import pytest
import tiny
import torch
from photos import photo
from releases import own
from safetensors.numpy import load_file, save_file

from titokzip import zoo
from titokzip.codec import Codec, decompress
from titokzip.errors import ModelError
from titokzip.zoo import embedded


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
def copy(saved, tmp_path):
    return shutil.copy(saved.path, tmp_path / "copy.safetensors")


def refused(path):
    """Expect one line that names the file."""
    with pytest.raises(ModelError) as caught:
        zoo.load(zoo.read_manifest(path))
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    return str(caught.value)


def edited(path, metadata=(), **tensors):
    """Change tensors (None: leave out) and metadata of a weights file."""
    with embedded.safe_open(path, framework="numpy") as file:
        known = file.metadata() | dict(metadata)
    kept = load_file(path) | tensors
    kept = {key: array for key, array in kept.items() if array is not None}
    save_file(kept, path, {key: value for key, value in known.items() if value is not None})
    return path


def sealed(path, metadata=(), **tensors):
    """Do the same, and make the checksums right again."""
    edited(path, metadata, **tensors)
    kept, config = load_file(path), zoo.read_manifest(path).config
    sums = {
        "digest": zoo.digest(kept, config).hex(),
        "fingerprint": zoo.fingerprint(kept, config).hex(),
    }
    return edited(path, sums)


def test_a_saved_model_is_loaded(model, context_model, saved):
    loaded = zoo.load(saved)
    assert loaded.fingerprint == saved.fingerprint
    assert (saved.name, saved.licence, saved.tokens) == ("tiny", "none", 8)
    assert loaded.tokenizer.config == model.config
    assert not loaded.tokenizer.training
    tokens = model.encode(tiny.tiles(4))
    torch.testing.assert_close(
        loaded.tokenizer.decode_features(tokens), model.decode_features(tokens), atol=1e-3, rtol=0
    )
    for name, table in context_model.to_tables().items():
        assert np.array_equal(loaded.context_model.to_tables()[name], table)


def test_networks_are_saved_in_half_precision(saved):
    kinds = {key: array.dtype.name for key, array in load_file(saved.path).items()}
    assert {kind for key, kind in kinds.items() if key.startswith(embedded._NETWORKS)} == {
        "float16"
    }
    assert kinds["basis"] == kinds["gain"] == "float32"


def test_saving_is_whole_or_not_at_all(model, context_model, saved, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("disk full")

    before = shutil.copy(saved.path, tmp_path / "old.safetensors").read_bytes()
    monkeypatch.setattr(embedded, "save_file", fail)
    with pytest.raises(OSError, match="disk full"):
        zoo.save(tmp_path / "old.safetensors", "new", model, context_model, "none")
    assert (tmp_path / "old.safetensors").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("part", ["reader", "painter"])
def test_better_networks_keep_the_fingerprint(model, context_model, saved, tmp_path, part):
    other = tiny.spectral()
    for key, parameter in other.named_parameters():
        parameter += 0.1 * key.startswith(part)
    manifest = zoo.save(tmp_path / "new.safetensors", "new", other, context_model, "none")
    assert manifest.fingerprint == saved.fingerprint
    assert manifest.digest != saved.digest
    old = Codec(zoo.load(saved)).compress(photo(60, 40))
    assert Codec(zoo.load(manifest)).decompress(old).size == (60, 40)


def test_two_models_read_the_same_tokens(model, context_model, saved, tmp_path):
    textured = tiny.spectral(texture=4)
    textured.load_state_dict(model.state_dict(), strict=False)
    manifest = zoo.save(
        tmp_path / "perceptual.safetensors", "perceptual", textured, context_model, "none"
    )
    assert manifest.fingerprint == saved.fingerprint
    data = Codec.of(saved, "cpu").compress(photo(60, 40))
    assert data == Codec.of(manifest, "cpu").compress(photo(60, 40))
    plain, perceptual = (
        Codec.of(each, "cpu", precision="auto").decompress(data) for each in (saved, manifest)
    )
    assert plain.tobytes() != perceptual.tobytes()
    assert (
        decompress(data, model=str(manifest.path), device="cpu").tobytes() == perceptual.tobytes()
    )


@pytest.mark.parametrize("name", ["basis", "colour", "mean", "step", "gain", "plane", "places"])
def test_another_code_has_another_fingerprint(context_model, saved, tmp_path, name):
    other = tiny.spectral()
    other.get_buffer(name).add_(1)
    manifest = zoo.save(tmp_path / "new.safetensors", "new", other, context_model, "none")
    assert manifest.fingerprint != saved.fingerprint


def test_a_changed_config_is_damage(saved, tmp_path):
    path = shutil.copy(saved.path, tmp_path / "changed.safetensors")
    config = saved.config | {"overlap": saved.config["overlap"] + 1}
    edited(path, {"config": json.dumps(config)})
    with pytest.raises(ModelError, match="checksum"):
        zoo.load(zoo.read_manifest(path))


def test_other_tables_have_another_fingerprint(model, saved, tmp_path):
    other = tiny.context_model_fit.fit(
        model, model.encode(tiny.tiles(20)).numpy(), [tiny.Grid(4, 5)]
    )
    manifest = zoo.save(tmp_path / "new.safetensors", "new", model, other, "none")
    assert manifest.fingerprint != saved.fingerprint


def test_every_flipped_bit_of_a_tensor_is_found(copy):
    data = bytearray(copy.read_bytes())
    start = 8 + int.from_bytes(data[:8], "little")
    for place in np.linspace(start, len(data) - 1, 40).astype(int):
        data[place] ^= 1 << place % 8
        copy.write_bytes(data)
        assert "damaged" in refused(copy)
        data[place] ^= 1 << place % 8


def test_flipped_bits_of_the_manifest_are_no_crash(copy):
    data = bytearray(copy.read_bytes())
    stop = data.index(b"}}") + 2
    found = []
    for place in [*range(0, 8), *range(8, stop, 13)]:
        data[place] ^= 1 << place % 8
        copy.write_bytes(data)
        try:
            zoo.load(zoo.read_manifest(copy))  # a letter of its name or licence may have changed
        except ModelError as error:
            found.append(str(error))
        data[place] ^= 1 << place % 8
    assert len(found) > 30
    assert all(str(copy) in line for line in found)


@pytest.mark.parametrize("kept", [0, 7, 8, 100, 5000, -1])
def test_cut_weights_are_refused(copy, kept):
    copy.write_bytes(copy.read_bytes()[:kept])
    assert "cannot be read as weights" in refused(copy)


def test_what_is_no_model_is_refused(copy, tmp_path):
    assert "cannot be read" in refused(tmp_path / "missing.safetensors")
    assert "cannot be read" in refused(tmp_path)
    (tmp_path / "text.safetensors").write_text("no weights at all, just words " * 9)
    assert "cannot be read" in refused(tmp_path / "text.safetensors")
    save_file({"a": np.zeros(3)}, tmp_path / "foreign.safetensors")
    assert "not a titokzip model" in refused(tmp_path / "foreign.safetensors")


@pytest.mark.parametrize("key", ["name", "kind", "fingerprint", "digest", "config", "licence"])
def test_a_manifest_that_lacks_a_line_is_refused(copy, key):
    assert "manifest is damaged" in refused(edited(copy, {key: None}))


@pytest.mark.parametrize(
    "change",
    [{"fingerprint": "no hex"}, {"config": "{"}, {"digest": "00" * 32}, {"fingerprint": "00" * 32}],
    ids=str,
)
def test_a_wrong_manifest_is_refused(copy, change):
    assert "damaged" in refused(edited(copy, change))


def test_models_of_a_newer_kind_are_refused(copy):
    assert "'flextok' are newer" in refused(edited(copy, {"kind": "flextok"}))


@pytest.mark.parametrize(
    "change",
    [
        {"mean": None},
        {"prior.weight": None},
        {"prior.frequencies": np.ones((72, 48, 3), np.int32)},
        {"prior.digits": np.array(8, np.int32)},
        {"surplus": np.zeros(3, np.float32)},
        {"prior.surplus": np.zeros(3, np.int32)},
        {"mean": np.zeros(3, np.float32)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_tensors_that_do_not_fit_are_refused_even_under_right_checksums(copy, change):
    assert "does not fit its own manifest" in refused(sealed(copy, **change))


@pytest.mark.parametrize(
    "change",
    [
        {"heads": 0},
        {"width": 17},
        {"depth": 2},
        {"depth": 100_000_000},
        {"width": 1 << 40},
        {"wdth": 16},
        {"size": 33},
        {"patch": 8},
    ],
    ids=str,
)
def test_configs_that_do_not_fit_are_refused(copy, saved, change):
    config = json.loads(json.dumps(saved.config))
    whole = "size" in change or "patch" in change
    config |= change if whole else {"decoder": config["decoder"] | change}
    assert "does not fit its own manifest" in refused(sealed(copy, {"config": json.dumps(config)}))


def test_a_config_that_is_no_object_is_damage(copy):
    edited(copy, {"config": "null"})
    with pytest.raises(ModelError, match="manifest is damaged"):
        zoo.read_manifest(copy)


def test_models_are_found_by_name_path_and_fingerprint(saved, monkeypatch, tmp_path):
    monkeypatch.setenv("TITOKZIP_MODELS", str(saved.path.parent))
    assert own() == ["tiny"]
    assert zoo.find("tiny") == zoo.find(str(saved.path)) == saved
    assert zoo.find_fingerprint(saved.fingerprint[:4]) == saved
    assert zoo.find(zoo.DEFAULT).name == "xs"
    monkeypatch.setenv("TITOKZIP_MODELS", str(tmp_path / "empty"))
    with pytest.raises(ModelError, match=r"no model named 'tiny' here; there is: .*xs"):
        zoo.find("tiny")
    with pytest.raises(ModelError, match=re.escape(str(tmp_path / "empty"))):
        zoo.find_fingerprint(saved.fingerprint[:4])


def test_other_files_beside_models_are_passed_over(copy, monkeypatch):
    (copy.parent / "a.safetensors").write_bytes(b"damaged")
    save_file({"a": np.zeros(3)}, copy.parent / "b.safetensors")
    monkeypatch.setenv("TITOKZIP_MODELS", str(copy.parent))
    assert own() == ["tiny"]
    assert len(list(zoo.files())) >= 4
