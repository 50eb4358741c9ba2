"""Configs and manifests that were made to harm, and names with escape codes: one line each."""

import json
import os

import pytest
from hostile import ESCAPE, raw, refused, tensor
from releases import flextok_folder, official_config, own
from run import run

from titokzip import zoo
from titokzip.zoo import embedded

pytestmark = pytest.mark.usefixtures("known", "bounded")

# config.json

NUMBERS = [
    *(-1, 0, 7, 10**9, 10**18, 10**4000, -(10**4000), 6.0, 1e308, float("nan"), float("-inf")),
    *(True, None, "6", ESCAPE, "x" * 100_000, [6], {}, "${model}", "${model.vq_model}"),
]
FIELDS = [*official_config()["model"]["vq_model"], "quantize_mode", "vit_dec_patch_size"]


@pytest.mark.parametrize("field", [name for name in FIELDS if name != "commitment_cost"])
def test_configs_of_a_titok_that_are_absurd(folder, field, monkeypatch):
    for value in NUMBERS:
        if value == official_config()["model"]["vq_model"].get(field) and value is not False:
            continue
        (folder / "config.json").write_text(json.dumps(official_config(**{field: value})))
        refused(zoo.add, folder)


@pytest.mark.parametrize("value", NUMBERS, ids=lambda value: repr(value)[:20])
def test_configs_of_a_titok_whose_size_is_absurd(folder, value):
    config = official_config()
    config["dataset"]["preprocessing"]["crop_size"] = value
    (folder / "config.json").write_text(json.dumps(config))
    refused(zoo.add, folder)


FLEXTOK_NUMBERS = [
    *(-1, 0, 1e-300, 1e300, 10**4000, float("nan"), float("inf"), True, None, "1", ESCAPE, [1]),
]


@pytest.mark.parametrize("value", FLEXTOK_NUMBERS, ids=lambda value: repr(value)[:20])
def test_configs_of_a_flextok_that_are_absurd(monkeypatch, tmp_path, value):
    folder = flextok_folder(monkeypatch, tmp_path / "flextok_tiny")
    right = json.loads((folder / "config.json").read_text())
    for path in ("vae.scaling_factor", "decoder.module_dict.dec_time_embedder.max_timestep"):
        config = json.loads(json.dumps(right))
        *parents, key = path.split(".")
        table = config
        for parent in parents:
            table = table[parent]
        table[key] = value
        (folder / "config.json").write_text(json.dumps(config))
        assert key in refused(zoo.add, folder)
    for levels in (value, [value], [10**9] * 1000):
        right["regularizer"]["levels"] = levels
        (folder / "config.json").write_text(json.dumps(right))
        assert "levels" in refused(zoo.add, folder)


TEXTS = {
    "long": b'{"a": "' + b"x" * (1 << 21) + b'"}',
    "deep": b'{"a":' * 100_000,
    "deep enough to read": b'{"a":' * 900 + b"1" + b"}" * 900,
    "a list": b"[]",
    "a number of 5,000 digits": b'{"a": ' + b"9" * 5000 + b"}",
    "half a character": b'{"model": {"vq_model": {"quantize_mode": "\\ud800"}}}',
    "bytes": bytes(range(256)),
    "nothing": b"",
}


@pytest.mark.parametrize("kind", TEXTS)
def test_configs_that_are_no_object(folder, kind):
    (folder / "config.json").write_bytes(TEXTS[kind])
    assert "config.json" in refused(zoo.add, folder)


# Manifests

WRONG = [-1, 10**4000, 1.5, float("nan"), True, "", "x", ESCAPE, "\0", "x" * 100_000, [], {}]


@pytest.mark.parametrize("field", ["release", "weights", "bytes", "sha256", "fingerprint"])
def test_manifests_that_are_absurd(tiny, field):
    right = json.loads(tiny.path.read_text())
    for value in [*WRONG, None]:
        tiny.path.write_text(json.dumps(right | {field: value}))
        refused(lambda: zoo.load_tokenizer(zoo.read_manifest(tiny.path)))
        refused(lambda: zoo.verify(zoo.read_manifest(tiny.path)))
        run("models", "list")


@pytest.mark.parametrize("where", ["../../x", "x", "/", "/dev/zero", "/" + "x" * 5000, "/a\0b"])
def test_manifests_of_weights_that_are_no_file(tiny, where):
    right = json.loads(tiny.path.read_text())
    tiny.path.write_text(json.dumps(right | {"weights": where}))
    refused(lambda: zoo.load_tokenizer(zoo.read_manifest(tiny.path)))
    run("models", "list")
    run("models", "verify", "tiny-6", code=3)


def test_pipes_are_not_waited_for(tiny, tmp_path):
    for name in ("a.model.json", "a.safetensors", "tiny-6.bin"):
        os.mkfifo(tmp_path / "models" / name)
    assert own() == ["tiny-6"]
    refused(zoo.add, tmp_path / "models/tiny-6.bin", force=True)
    refused(zoo.find, str(tmp_path / "models/a.model.json"))


def test_escape_codes_never_reach_the_terminal(tmp_path, known):
    """They are in the names of files, of tensors, of models and of licences."""
    folder = tmp_path / f"{ESCAPE[:4]}tiny-6"
    folder.mkdir()
    raw(folder / "model.safetensors", {ESCAPE: tensor()}, bytes(4))
    (folder / "config.json").write_text(json.dumps(official_config(vit_enc_model_size=ESCAPE)))
    results = [run("models", "add", folder, "--like", "tiny-6", code=3)]
    (folder / "config.json").unlink()
    results.append(run("models", "add", folder, "--like", "tiny-6", code=3))
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / f"{ESCAPE}.model.json").write_text("{}")
    (tmp_path / "models" / "a.model.json").write_text(json.dumps({"format": ESCAPE}))
    metadata = {"__metadata__": {"format": embedded.FORMAT, "name": ESCAPE, "licence": ESCAPE}}
    raw(tmp_path / "models" / "b.safetensors", metadata)
    results += [run("models", "verify", code=3), run("models", "list"), run("doctor")]
    results.append(run("models", "rm", ESCAPE, code=3))
    for result in results:
        assert "\x1b" not in result.output
    assert results[0].stderr.count("\n") == results[1].stderr.count("\n") == 1


def test_one_bad_model_does_not_stop_the_others(tiny, tmp_path):
    for i, text in enumerate((b"", b"{}", b"[" * 100_000, b'{"format": 1}')):
        (tmp_path / "models" / f"a{i}.model.json").write_bytes(text)
        (tmp_path / "models" / f"b{i}.safetensors").write_bytes(text)
    listed = [row["name"] for row in json.loads(run("models", "list", "--json").stdout)["models"]]
    assert {"tiny-6", "xs"} <= set(listed)
    result = run("models", "verify", code=3)
    assert "tiny-6: right" in result.stdout
    assert "xs: right" in result.stdout
    assert result.stderr.count("\n") == 8
