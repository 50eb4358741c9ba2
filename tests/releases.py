"""A release too small to be good, in the layout in which releases come, and a hub to fetch it."""

import hashlib
import json
import math
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import flextoks
import pytest
from safetensors.torch import save_file
from titoks import DIRECT, weights

from titokzip import zoo
from titokzip.errors import ModelError
from titokzip.tokenizers.flextok import network
from titokzip.tokenizers.titok import config as titok_config
from titokzip.zoo import catalog
from titokzip.zoo.catalog import Release

TINY = Release("tiny-6", "someone/tokenizer_tiny_6_imagenet", DIRECT, 90_000, rfid=9.5)
FLEXTOK = Release("flextok-tiny", "no/flextok_tiny", flextoks.TINY, 1, None)
REVISION = "0123456789abcdef0123456789abcdef01234567"


def register(monkeypatch, release=TINY, config=DIRECT):
    """Make a release of a small architecture known until the end of a test."""
    release = replace(release, config=config)
    monkeypatch.setitem(catalog.RELEASES, release.name, release)
    monkeypatch.setitem(titok_config.SIZES, "tiny-encoder", config.encoder)
    monkeypatch.setitem(titok_config.SIZES, "tiny-decoder", config.decoder)
    return release


def listed(shapes):
    """Count tensors and numbers, and hash the names and shapes, in order of name."""
    lines = "".join(f"{key} {list(shape)}\n" for key, shape in sorted(shapes.items()))
    numbers = sum(math.prod(shape) for shape in shapes.values())
    return len(shapes), numbers, hashlib.sha256(lines.encode()).hexdigest()[:16]


def official_config(**changes):
    """Make a config.json of DIRECT, with the same needless parts as the official ones."""
    vq_model = {
        "codebook_size": 64,
        "token_size": 5,
        "use_l2_norm": False,
        "commitment_cost": 0.25,
        "vit_enc_model_size": "tiny-encoder",
        "vit_dec_model_size": "tiny-decoder",
        "vit_enc_patch_size": 8,
        "vit_dec_patch_size": 8,
        "num_latent_tokens": 6,
        "finetune_decoder": False,
        "is_legacy": False,
    }
    return {
        "experiment": {"tokenizer_checkpoint": "tiny.bin", "_target_": "os.system"},
        "model": {
            "vq_model": vq_model | changes,
            "generator": {"image_seq_len": "${model.vq_model.num_latent_tokens}"},
        },
        "dataset": {"preprocessing": {"crop_size": 32}},
    }


def official_folder(folder, state=None, **changes):
    """Write config.json and model.safetensors of DIRECT."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(official_config(**changes)))
    save_file(state or weights(DIRECT), folder / "model.safetensors")
    return folder


def flextok_folder(monkeypatch, folder):
    """Make a small FlexTok known, of one step, and write it as FlexToks are released."""
    monkeypatch.setitem(catalog.RELEASES, FLEXTOK.name, FLEXTOK)
    monkeypatch.setattr(network.FlexTok, "steps", 1)
    folder.mkdir()
    save_file(flextoks.weights(), folder / "model.safetensors")
    time = {"dec_time_embedder": {"_target_": "os.system", "max_timestep": 1.0}}
    config = {"vae": {"scaling_factor": 0.5}, "decoder": {"module_dict": time}}
    config["regularizer"] = {"_target_": "os.system", "levels": [8, 8, 8, 5, 5, 5]}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def own():
    """Name the models that are here, less those that ship."""
    return [
        manifest.name for manifest in zoo.manifests() if manifest.path.parent == zoo.folders()[0]
    ]


def refused(path, message, **how):
    """Expect one line, and no manifest."""
    before = own()
    with pytest.raises(ModelError) as caught:
        zoo.add(path, **how)
    assert "\n" not in str(caught.value)
    assert message in str(caught.value)
    assert own() == before


class Hub:
    """A server that answers for the files of one repository as the hub does."""

    def __init__(self, files):
        self.serve(files)
        self.asked = []  # (method, name, Range) of each request
        self.cut = None  # after so many bytes of weights, connections break
        self.refusal = None  # status and code, answered to everything
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.daemon_threads = False  # all are waited for
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def serve(self, files):
        self.files = dict(files)
        self.sums = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def fetched(self, name="model.safetensors"):
        """List the ranges of a file that were asked for."""
        return [part for method, asked, part in self.asked if (method, asked) == ("GET", name)]

    def _handler(self):
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_HEAD(self):
                self.answer(b"")

            def do_GET(self):
                self.answer(None)

            def answer(self, body):
                owner_and_name, _, name = self.path[1:].partition("/resolve/main/")
                hub.asked.append((self.command, name, self.headers["Range"]))
                if owner_and_name != TINY.repository:
                    return self.refuse(404, "RepoNotFound")
                if hub.refusal:
                    return self.refuse(*hub.refusal)
                if name not in hub.files:
                    return self.refuse(404, "EntryNotFound")
                data = hub.files[name]
                start = int((self.headers["Range"] or "bytes=0-")[6:-1])
                self.send_response(206 if start else 200)
                self.send_header("X-Repo-Commit", REVISION)
                self.send_header("ETag", f'"{hub.sums[name]}"')
                self.send_header("Content-Length", str(len(data) - start))
                if start:
                    self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
                self.end_headers()
                if body is None:
                    stop = len(data)
                    if name == "model.safetensors" and hub.cut:
                        stop, hub.cut = hub.cut, None
                    self.wfile.write(data[start:stop])
                return None

            def refuse(self, status, code):
                self.send_response(status)
                if code:
                    self.send_header("X-Error-Code", code)
                if code == "EntryNotFound":
                    self.send_header("X-Repo-Commit", REVISION)
                self.send_header("Content-Length", "0")
                self.end_headers()

        return Handler
