"""Released models from a hub: a small server here, behind what HF_ENDPOINT sets."""

import errno
import io
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import flextoks
import pytest
import torch
from photos import photo
from releases import REVISION, TINY, Hub, official_folder, register
from run import files
from titoks import DIRECT, build, images, weights

from titokzip import loading, zoo
from titokzip.errors import ModelError
from titokzip.images import plain

library = pytest.importorskip("huggingface_hub")
constants = pytest.importorskip("huggingface_hub.constants")


@pytest.fixture(scope="module")
def release_files(tmp_path_factory):
    folder = official_folder(tmp_path_factory.mktemp("release"))
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def hub(release_files, monkeypatch, tmp_path):
    """Serve the tiny release, with caches and manifests below `tmp_path`."""
    hub = Hub(release_files)
    register(monkeypatch)
    monkeypatch.setenv("TITOKZIP_MODELS", str(tmp_path / "models"))
    for name, value in {
        "ENDPOINT": hub.url,
        "HUGGINGFACE_CO_URL_TEMPLATE": hub.url + "/{repo_id}/resolve/{revision}/{filename}",
        "HF_HUB_CACHE": str(tmp_path / "hub"),
        "HF_HUB_OFFLINE": False,
        "HF_HUB_DISABLE_PROGRESS_BARS": True,
    }.items():
        monkeypatch.setattr(constants, name, value)
    monkeypatch.setattr("time.sleep", lambda _: None)  # between attempts
    yield hub
    hub.close()


def refused(force=False):
    """Expect one line, no manifest and no weights."""
    with pytest.raises(ModelError) as caught:
        zoo.pull(TINY, force)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_pulled_once(hub, tmp_path):
    manifest = zoo.pull(TINY)
    assert manifest == zoo.find("tiny-6")
    assert manifest.path == tmp_path / "models/tiny-6.model.json"
    assert manifest.weights[0].read_bytes() == hub.files["model.safetensors"]
    assert manifest.digest.hex() == hub.sums["model.safetensors"]
    assert manifest.config["revision"] == REVISION
    assert len(hub.fetched()) == len(hub.fetched("config.json")) == 1
    codec = loading.load("tiny-6", "cpu")
    assert codec.decompress(codec.compress(plain(photo(40, 30)))).size == (40, 30)


def test_pulled_again_without_traffic(hub):
    zoo.pull(TINY)
    asked = len(hub.asked)
    assert "is here already" in refused()
    assert len(hub.asked) == asked
    assert zoo.pull(TINY, force=True) == zoo.find("tiny-6")
    assert len(hub.fetched()) == len(hub.fetched("config.json")) == 1


def test_what_other_tools_fetched_is_not_fetched_again(hub):
    library.hf_hub_download(TINY.repository, "model.safetensors")
    zoo.pull(TINY)
    assert len(hub.fetched()) == 1


def test_a_broken_connection_is_resumed(hub, monkeypatch):
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1000)
    hub.cut = 100_000
    manifest = zoo.pull(TINY)
    assert hub.fetched() == [None, "bytes=100000-"]
    assert manifest.weights[0].read_bytes() == hub.files["model.safetensors"]


def test_wrong_bytes_do_not_stay(hub, tmp_path):
    right = hub.files["model.safetensors"]
    hub.files["model.safetensors"] = right[:-1] + bytes([right[-1] ^ 1])
    assert "wrong bytes" in refused()
    assert not list((tmp_path / "models").glob("*"))
    hub.files["model.safetensors"] = right
    assert zoo.pull(TINY).digest.hex() == hub.sums["model.safetensors"]


def test_a_web_page_is_not_weights(hub):
    page = b"<!DOCTYPE html><html>log in first</html>"
    hub.files["model.safetensors"] = page
    hub.sums["model.safetensors"] = "not-a-checksum"
    assert "this is a web page" in refused()


def test_no_network(hub, tmp_path):
    hub.close()
    assert "cannot be reached" in refused()
    assert not (tmp_path / "models").exists()


def test_no_room(hub, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("huggingface_hub.file_download.http_get", full)
    assert "No space left on device" in refused()
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize(
    ("refusal", "message"),
    [
        ((404, "RepoNotFound"), "answers 404"),
        ((401, None), "answers 401"),
        ((403, "GatedRepo"), "behind terms to accept"),
        ((403, None), "answers 403"),
        ((503, None), "answers 503"),
    ],
)
def test_what_the_hub_refuses(hub, refusal, message):
    hub.refusal = refusal
    assert message in refused()


def test_a_repository_without_weights(hub):
    del hub.files["model.safetensors"]
    message = "someone/tokenizer_tiny_6_imagenet holds no model.safetensors or pytorch_model.bin"
    assert refused() == message


@pytest.fixture
def pickled(hub):
    """Serve the release as One-D-Piece's are: a pickle of tensors, and no config.json."""
    file = io.BytesIO()
    torch.save(weights(DIRECT), file)
    hub.serve({"pytorch_model.bin": file.getvalue()})
    return hub


def test_a_repository_of_a_pickle_alone(pickled, monkeypatch):
    manifest = zoo.pull(TINY)
    assert manifest.weights[0].name == "pytorch_model.bin"
    assert (manifest.config["config"], manifest.config["revision"]) == (None, REVISION)
    tiles = images(2, 32)
    assert torch.equal(zoo.load_tokenizer(manifest).encode(tiles), build(DIRECT).encode(tiles))
    manifest.path.unlink()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert zoo.pull(TINY) == manifest


def test_a_release_whose_weights_do_not_determine_it_needs_its_config(pickled):
    flow = replace(TINY, config=flextoks.TINY)
    with pytest.raises(ModelError, match=r"tokenizer_tiny_6_imagenet holds no config\.json"):
        zoo.pull(flow)
    assert pickled.fetched("pytorch_model.bin") == []  # gigabytes for nothing


def test_offline(hub, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE is set" in refused()
    assert hub.asked == []
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    zoo.pull(TINY)


def test_offline_from_the_cache(hub, monkeypatch):
    manifest = zoo.pull(TINY)
    manifest.path.unlink()
    asked = len(hub.asked)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert zoo.pull(TINY) == manifest
    assert len(hub.asked) == asked


def test_removed_with_its_weights(hub, tmp_path):
    manifest = zoo.pull(TINY)
    zoo.remove(manifest)
    assert not manifest.weights[0].exists()
    assert files(tmp_path / "models") == []
    with pytest.raises(ModelError, match="titokzip models pull tiny-6"):
        zoo.find("tiny-6")


def test_removed_after_the_cache_is_gone(hub, tmp_path):
    manifest = zoo.pull(TINY)
    shutil.rmtree(tmp_path / "hub")
    zoo.remove(manifest)
    assert files(tmp_path / "models") == []


def test_weights_elsewhere_take_nothing_out_of_the_cache(hub, tmp_path):
    """A manifest may name any revision; only that of its own weights is deleted."""
    manifest = zoo.pull(TINY)
    fields = json.loads(manifest.path.read_text())
    copy = shutil.copy(manifest.weights[0], tmp_path / "copy.safetensors")
    manifest.path.write_text(json.dumps(fields | {"weights": str(copy)}))
    zoo.remove(zoo.find("tiny-6"))
    assert manifest.weights[0].exists()
    assert copy.exists()


def test_without_the_library(hub, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ModelError, match=r"pip install 'titokzip\[hub\]'"):
        zoo.pull(TINY)


def error_of_pull(environment):
    """Pull in a process with this environment, which fails; what it writes to stderr."""
    code = "from titokzip.cli import main; main()"
    command = [sys.executable, "-c", code, "models", "pull", "titok-l32"]
    done = subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1
    return done.stderr


def test_the_settings_of_the_hub_are_those_of_other_tools(hub, tmp_path):
    message = error_of_pull({"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path)})
    assert f"{hub.url} answers 404 for yucornetto/tokenizer_titok_l32_imagenet/" in message
    message = error_of_pull({"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)})
    assert f"is not in {tmp_path}/hub, and HF_HUB_OFFLINE is set" in message
