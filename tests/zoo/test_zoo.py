"""Models of our own: what is written is loaded, what is damaged is refused, names find models."""

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
import refiners
import torch
from photos import photo
from releases import own
from safetensors.numpy import load_file, save_file

import titokzip
from titokzip import loading, zoo
from titokzip.errors import ModelError
from titokzip.images import plain
from titokzip.rate_control import Rate
from titokzip.zoo import embedded

FAST = Rate(quality=10)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    return refiners.write(tmp_path_factory.mktemp("weights") / "tiny.safetensors")


@pytest.fixture
def copy(saved, tmp_path):
    return shutil.copy(saved.path, tmp_path / "copy.safetensors")


def refused(path):
    """Expect one line that names the file."""
    with pytest.raises(ModelError) as caught:
        zoo.verify(zoo.read_manifest(path))
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
    parts = {"context": {}, "decoder": {}}
    for key, array in kept.items():
        part, _, name = key.partition(".")
        parts[part][name] = array
    sums = {
        "digest": zoo.digest(parts["decoder"], config).hex(),
        "fingerprint": embedded.fingerprint(parts["context"]).hex(),
    }
    return edited(path, sums)


def test_a_saved_model_is_loaded(saved):
    assert (saved.name, saved.kind, saved.licence) == ("tiny", "transform", "none")
    made, network = refiners.network(), zoo.load_decoder(saved)
    assert network.config == made.config
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())
    for key, tensor in network.state_dict().items():
        torch.testing.assert_close(tensor, made.state_dict()[key], atol=1e-3, rtol=1e-3)
    model, shipped = (zoo.load_context_model(one) for one in (saved, zoo.find("xs")))
    assert np.array_equal(model.tables.sizes, shipped.tables.sizes)
    assert zoo.parameters(saved) == sum(tensor.numel() for tensor in made.parameters())
    zoo.verify(saved)


def test_networks_are_saved_in_half_precision_and_context_models_in_integers(saved):
    kinds = {key: array.dtype.name for key, array in load_file(saved.path).items()}
    assert {kind for key, kind in kinds.items() if key.startswith("decoder.")} == {"float16"}
    assert {kind for key, kind in kinds.items() if key.startswith("context.")} == {
        "int8",
        "int16",
        "int32",
    }


def test_saving_is_whole_or_not_at_all(saved, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("disk full")

    before = shutil.copy(saved.path, tmp_path / "old.safetensors").read_bytes()
    monkeypatch.setattr("os.replace", fail)
    monkeypatch.setattr("pathlib.Path.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        refiners.write(tmp_path / "old.safetensors", seed=1)
    assert (tmp_path / "old.safetensors").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_a_better_network_decodes_the_same_files(saved, tmp_path):
    better = refiners.write(tmp_path / "better.safetensors", "better", seed=1)
    assert better.fingerprint == saved.fingerprint == zoo.find("xs").fingerprint
    assert better.digest != saved.digest
    old, new = (loading.load(one, "cpu") for one in (saved, better))
    data = old.compress(plain(photo(60, 40)), FAST)
    assert data == new.compress(plain(photo(60, 40)), FAST)
    decoded = new.decompress(data)
    assert decoded.tobytes() != old.decompress(data).tobytes()
    chosen = titokzip.decompress(data, model=str(better.path), device="cpu")
    assert chosen.tobytes() == decoded.tobytes()


@pytest.mark.parametrize("lagrange", [0.0, -1.0, float("nan"), 1e9, "half", None, [1.0]])
def test_a_multiplier_that_is_none_is_refused(tmp_path, lagrange):
    manifest = refiners.write(tmp_path / "odd.safetensors", lagrange=lagrange)
    for use in (zoo.lagrange, zoo.verify, loading.load):
        with pytest.raises(ModelError, match="lagrange is"):
            use(manifest)


def test_models_that_do_not_say_it_have_a_multiplier_of_one(saved):
    config = {key: value for key, value in saved.config.items() if key != "lagrange"}
    assert zoo.lagrange(replace(saved, config=config)) == zoo.lagrange(saved) == 1


def test_the_multiplier_of_a_model_is_used(saved, tmp_path):
    half = refiners.write(tmp_path / "half.safetensors", lagrange=0.5)
    one, other = (loading.load(model, "cpu") for model in (saved, half))
    files = [codec.compress(plain(photo(60, 40)), Rate(quality=60)) for codec in (one, other)]
    assert files[0] != files[1]
    assert one.decompress(files[1]).tobytes() == other.decompress(files[1]).tobytes()


@pytest.mark.parametrize("name", ["steps", "pyramid.cells.last_bias", "blocks.signs"])
def test_another_context_model_has_another_fingerprint(saved, tmp_path, name):
    array = refiners.context()[name]
    changed = array + np.ones(1, array.dtype)
    manifest = refiners.write(tmp_path / "new.safetensors", **{name: changed})
    assert manifest.fingerprint != saved.fingerprint


def test_compressing_reads_no_network(copy, saved):
    data = bytearray(copy.read_bytes())
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    data[8 + length + header["decoder.colours.weight"]["data_offsets"][0]] ^= 1
    copy.write_bytes(data)
    codec = loading.load(str(copy), "cpu")
    file = codec.compress(plain(photo(30, 20)), FAST)
    assert file == loading.load(saved, "cpu").compress(plain(photo(30, 20)), FAST)
    with pytest.raises(ModelError, match="checksum"):
        codec.decompress(file)


def test_every_flipped_bit_of_a_tensor_is_found(copy):
    data = bytearray(copy.read_bytes())
    start = 8 + int.from_bytes(data[:8], "little")
    for place in np.linspace(start, len(data) - 1, 20).astype(int):
        data[place] ^= 1 << place % 8
        copy.write_bytes(data)
        assert "damaged" in refused(copy)
        data[place] ^= 1 << place % 8


def test_flipped_bits_of_the_manifest_are_no_crash(copy):
    data = bytearray(copy.read_bytes())
    stop = data.index(b"}}") + 2
    found = []
    for place in [*range(0, 8), *range(8, stop, 53)]:
        data[place] ^= 1 << place % 8
        copy.write_bytes(data)
        try:
            zoo.verify(zoo.read_manifest(copy))  # a letter of its name or licence may have changed
        except ModelError as error:
            found.append(str(error))
        data[place] ^= 1 << place % 8
    assert len(found) > 30
    assert all(str(copy) in line for line in found)


@pytest.mark.parametrize("kept", [0, 7, 8, 100, 5000, -1])
def test_cut_weights_are_refused(copy, kept):
    copy.write_bytes(copy.read_bytes()[:kept])
    assert "cannot be read as weights" in refused(copy)


def test_what_is_no_model_is_refused(tmp_path):
    assert "cannot be read" in refused(tmp_path / "missing.safetensors")
    assert "cannot be read" in refused(tmp_path)
    (tmp_path / "text.safetensors").write_text("no weights at all, just words " * 9)
    assert "cannot be read" in refused(tmp_path / "text.safetensors")
    save_file({"a": np.zeros(3)}, tmp_path / "foreign.safetensors")
    assert "not a titokzip model" in refused(tmp_path / "foreign.safetensors")


@pytest.mark.parametrize(
    "key",
    ["name", "kind", "fingerprint", "digest", "config", "licence", "size_note", "trained_against"],
)
def test_a_manifest_that_lacks_a_line_is_refused(copy, key):
    assert "manifest is damaged" in refused(edited(copy, {key: None}))


@pytest.mark.parametrize(
    "change",
    [
        {"fingerprint": "no hex"},
        {"config": "{"},
        {"config": "null"},
        {"trained_against": "5"},
        {"name": "a\nb"},
        {"digest": "00" * 32},
        {"fingerprint": "00" * 32},
    ],
    ids=str,
)
def test_a_wrong_manifest_is_refused(copy, change):
    assert "damaged" in refused(edited(copy, change))


def test_models_of_an_older_format_are_refused(copy):
    assert "not a titokzip model" in refused(edited(copy, {"format": "titokzip model 1"}))


def test_models_of_a_newer_kind_are_refused(copy):
    assert "'wavelets' are newer" in refused(edited(copy, {"kind": "wavelets"}))
    with pytest.raises(ModelError, match="'wavelets' are newer"):
        zoo.find(str(copy))


@pytest.mark.parametrize(
    "change",
    [
        {"context.steps": None},
        {"context.steps": np.zeros(256, np.int32)},
        {"context.sizes": np.ones((48, 38), np.int32)},
        {"context.pyramid.cells.maps": np.zeros((9, 9), np.int8)},
        {"context.blocks.signs": np.zeros((9, 9), np.float32)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_tables_that_do_not_fit_are_refused_even_under_right_checksums(copy, change):
    assert "holds no context model" in refused(sealed(copy, **change))


@pytest.mark.parametrize(
    "change",
    [
        {"decoder.colours.bias": None},
        {"decoder.surplus": np.zeros(3, np.float16)},
        {"decoder.colours.bias": np.zeros(5, np.float16)},
        {"decoder.colours.bias": np.full(4, np.nan, np.float16)},
    ],
    ids=lambda change: repr(change)[:40],
)
def test_networks_that_do_not_fit_are_refused_even_under_right_checksums(copy, change):
    assert "does not fit its manifest" in refused(sealed(copy, **change))


@pytest.mark.parametrize(
    "change",
    [
        {"widths": [4, 4, 4]},
        {"widths": [4, 4, 4, 1 << 40]},
        {"widths": 4},
        {"encoder": [1, 0, 0, 2]},
        {"encoder": [100_000_000, 0, 0, 1]},
        {"conditions": 0},
        {"wdth": 16},
    ],
    ids=str,
)
def test_configs_that_do_not_fit_are_refused(copy, saved, change):
    config = json.dumps(saved.config | change)
    assert "does not fit its manifest" in refused(sealed(copy, {"config": config}))


def test_models_are_found_by_name_path_and_fingerprint(tmp_path, monkeypatch):
    steps = refiners.context()["steps"] + np.int32(1)
    saved = refiners.write(tmp_path / "models/tiny.safetensors", steps=steps)
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
