"""Released weights as their authors store them: what is taken, and what is refused by name."""

import json

import pytest
import torch
from releases import official_config, official_folder, refused, register
from safetensors.torch import save_file
from titoks import DIRECT, TWO_STAGE, build, images, weights

from titokzip import zoo
from titokzip.errors import ModelError
from titokzip.tokenizers.config_json import read_config_json
from titokzip.tokenizers.flextok.network import FlexTok
from titokzip.tokenizers.titok.config import check_config
from titokzip.tokenizers.titok.network import TiTok
from titokzip.zoo import catalog

pytestmark = pytest.mark.usefixtures("known")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"latent_tokens": None}, "lack latent_tokens"),
        ({"surplus": torch.zeros(1)}, "unexpected surplus"),
        ({"latent_tokens": torch.zeros(7, 32)}, "another shape of latent_tokens"),
        ({"quantize.embedding.weight": None}, "lack quantize.embedding.weight"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_tensors_that_do_not_fit_are_named(folder, change, message):
    state = {k: v for k, v in (weights(DIRECT) | change).items() if v is not None}
    save_file(state, folder / "model.safetensors")
    refused(folder, message)


def test_usage_statistics_of_training_are_ignored(folder):
    save_file(
        weights(DIRECT) | {"quantize.embed_prob": torch.ones(64)}, folder / "model.safetensors"
    )
    zoo.load_tokenizer(zoo.add(folder))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_latent_tokens": 7}, "num_latent_tokens gives 7, but the release has 6"),
        ({"codebook_size": 65}, "codebook_size gives 65, but the release has 64"),
        ({"token_size": 4}, "token_size gives 4, but the release has 5"),
        ({"use_l2_norm": True}, "use_l2_norm gives True, but the release has False"),
        ({"vit_enc_model_size": "small"}, "vit_enc_model_size gives"),
        ({"vit_enc_patch_size": 16, "vit_dec_patch_size": 16}, "patch_size gives 16"),
        ({"vit_dec_patch_size": 16}, "decoder patches of 16"),
        ({"is_legacy": True}, "is_legacy True"),
        ({"num_latent_tokens": "${nothing.there}"}, "'${nothing.there}', not int"),
        ({"quantize_mode": "vae"}, "continuous"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_configs_that_contradict_are_refused(tmp_path, change, message):
    refused(official_folder(tmp_path / "tiny-6", **change), message)


def test_references_in_configs_are_looked_up(folder):
    config = official_config(num_latent_tokens="${experiment.length}")
    config["experiment"]["length"] = 6
    (folder / "config.json").write_text(json.dumps(config))
    zoo.add(folder)


DEEP = '{"a":' * 900 + "1" + "}" * 900  # read as JSON, but too deep for us


@pytest.mark.parametrize("text", ["", "{", "[]", "<html>", "[" * 100_000, "\xff", DEEP])
def test_what_is_no_config(folder, text):
    (folder / "config.json").write_text(text, encoding="latin-1")
    refused(folder, "config.json")


def legacy_config(**changes):
    """The config.json of TiTok-L-32, which says neither quantize_mode nor is_legacy."""
    vq_model = {
        "codebook_size": 4096,
        "token_size": 12,
        "use_l2_norm": True,
        "commitment_cost": 0.25,
        "vit_enc_model_size": "large",
        "vit_dec_model_size": "large",
        "vit_enc_patch_size": 16,
        "vit_dec_patch_size": 16,
        "num_latent_tokens": 32,
        "finetune_decoder": True,
    }
    crop = {"preprocessing": {"crop_size": 256}}
    return {"model": {"vq_model": vq_model | changes}, "dataset": crop}


def test_a_config_without_is_legacy_is_legacy(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(legacy_config()))
    config = catalog.RELEASES["titok-l32"].config
    assert check_config(config, read_config_json(path)).is_legacy
    path.write_text(json.dumps(legacy_config(is_legacy=False)))
    with pytest.raises(ModelError, match="is_legacy False"):
        check_config(config, read_config_json(path))


def test_legacy_weights_load_as_legacy(monkeypatch, tmp_path):
    register(monkeypatch, config=TWO_STAGE)
    save_file(weights(TWO_STAGE), tmp_path / "tiny-6.safetensors")
    tokenizer = zoo.load_tokenizer(zoo.add(tmp_path / "tiny-6.safetensors"))
    assert tokenizer.config.is_legacy
    assert torch.equal(tokenizer.encode(images(2, 32)), build(TWO_STAGE).encode(images(2, 32)))


@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "cannot be read as weights"),
        (b"<!DOCTYPE html>\n<html>404</html>", "a web page, not weights"),
        (b"\n<html>404</html>", "a web page, not weights"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git-lfs"),
        (bytes(1000), "cannot be read as weights"),
        (b"PK\x03\x04" + bytes(1000), "cannot be read as weights"),
    ],
    ids=str,
)
def test_what_is_not_weights(tmp_path, suffix, data, message):
    path = tmp_path / f"tiny-6.{suffix}"
    path.write_bytes(data)
    refused(path, message)


def test_pickles_of_anything_else_are_not_run(tmp_path):
    class Harm:
        def __reduce__(self):
            return exec, ("raise SystemExit('harm')",)

    torch.save({"latent_tokens": Harm()}, tmp_path / "tiny-6.bin")
    refused(tmp_path / "tiny-6.bin", "(damaged, or no pickle of tensors alone: __builtin__ exec)")
    torch.save({"state_dict": weights(DIRECT)}, tmp_path / "tiny-6.pth")
    refused(tmp_path / "tiny-6.pth", "something other than named tensors")


@pytest.mark.parametrize("kept", [7, 5000, -1])
def test_cut_weights_are_refused(folder, kept):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    refused(folder, "cannot be read as weights")


def test_folders_that_lack_a_file(folder):
    (folder / "config.json").rename(folder / "config.yaml")
    assert zoo.add(folder).config["config"] is None
    (folder / "model.safetensors").rename(folder / "model.tensors")
    refused(folder, "no model.safetensors or pytorch_model.bin in this folder", force=True)


def test_two_bytes_identify_a_release():
    prefixes = {release.prefix for release in zoo.RELEASES.values()}
    assert len(prefixes) == len(zoo.RELEASES)
    assert zoo.find("xs").fingerprint[:2] not in prefixes
    assert {len(prefix) for prefix in prefixes} == {2}


def test_prefixes_never_change():
    """Files name them."""
    assert zoo.RELEASES["titok-l32"].prefix.hex() == "8556"
    assert zoo.RELEASES["flextok-d18-d28-dfn"].prefix.hex() == "191a"


@pytest.mark.parametrize("name", [n for n in catalog.RELEASES if "d18" not in n])
def test_the_catalog_says_what_the_architectures_are(name):
    release = zoo.RELEASES[name]
    with torch.device("meta"):
        model = {"titok": TiTok, "flextok": FlexTok}[release.family](release.config)
    assert (model.length, model.vocabulary) == (release.tokens, release.vocabulary)
    count = sum(tensor.numel() for tensor in model.state_dict().values())
    assert release.parameters == pytest.approx(count, rel=0 if release.family == "titok" else 1e-3)
