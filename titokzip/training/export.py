"""Trained models as files: config.json and model.safetensors, in the layout of the releases.

What the official configuration cannot say, such as widths of one's own, is under the key
"titokzip", whole; the zoo reads models of one's own by it.
"""

import dataclasses
import io
import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from titokzip import files
from titokzip.tokenizers.flextok.checkpoint import released_name as flextok_name
from titokzip.tokenizers.flextok.config import ScriptConfig
from titokzip.tokenizers.flextok.network import FlexTok
from titokzip.tokenizers.flextok.scripted import FILE as AUTOENCODER
from titokzip.tokenizers.flextok.scripted import ScriptedAutoencoder
from titokzip.tokenizers.titok.checkpoint import released_name as titok_name
from titokzip.tokenizers.titok.config import SIZES, UPSTREAM, TiTokConfig
from titokzip.tokenizers.titok.network import TiTok
from titokzip.zoo.custom import ARCHITECTURE
from titokzip.zoo.installed import CONFIG, WEIGHTS


def export_titok(model: TiTok, folder: Path, *, stage_one: bool = False) -> list[Path]:
    """Write a TiTok; of stage 1, it has no pixel decoder."""
    return write(folder, titok_config(model.config, stage_one), state_of(model, titok_name))


def titok_config(config: TiTokConfig, stage_one: bool = False) -> dict[str, Any]:
    """Describe a TiTok as the official config.json does."""
    sizes = {shape: name for name, shape in SIZES.items()}
    vq: dict[str, Any] = {
        "quantize_mode": "vq",
        "codebook_size": config.codebook,
        "token_size": config.channels,
        "use_l2_norm": config.normalized,
        "commitment_cost": 0.25,
        "vit_enc_model_size": sizes.get(config.encoder, "custom"),
        "vit_dec_model_size": sizes.get(config.decoder, "custom"),
        "vit_enc_patch_size": config.patch,
        "vit_dec_patch_size": config.patch,
        "num_latent_tokens": config.length,
        "finetune_decoder": config.vqgan is not None and not stage_one,
        "is_legacy": config.is_legacy,
    }
    if config.prefix_decodable:
        vq["strict_length_assertion"] = False
    if config.text is not None:
        positions, channels = UPSTREAM["text"].split(", ")
        vq |= {positions: config.text.positions, channels: config.text.channels}
        vq["clustering_vq"] = False
    return {
        "experiment": {},
        "model": {"vq_model": vq},
        "dataset": {"preprocessing": {"crop_size": config.size}},
        ARCHITECTURE: architecture(config),
    }


def export_flextok(model: FlexTok, folder: Path) -> list[Path]:
    """Write a FlexTok; an autoencoder that is a script lies beside its weights."""
    config, script = model.config, model.autoencoder
    state = state_of(model, flextok_name)
    written = []
    if isinstance(config.autoencoder, ScriptConfig):
        assert isinstance(script, ScriptedAutoencoder), "it is one"
        state = {n: t for n, t in state.items() if not n.startswith("vae.")}
        path = folder / AUTOENCODER
        sha256 = files.write_atomically(path, _script_bytes(script)).hex()
        config = replace(config, autoencoder=replace(config.autoencoder, sha256=sha256))
        written.append(path)
    table = {
        "vae": {"scaling_factor": config.scaling},
        "regularizer": {"levels": list(config.levels)},
        "decoder": {"module_dict": {"dec_time_embedder": {"max_timestep": config.max_timestep}}},
        ARCHITECTURE: architecture(config),
    }
    return [*written, *write(folder, table, state)]


def _script_bytes(autoencoder: ScriptedAutoencoder) -> bytes:
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(autoencoder.script.cpu(), file)
    return file.getvalue()


def architecture(config: Any) -> dict[str, Any]:
    """Describe any of our configurations whole."""
    return {"family": config.family, "config": dataclasses.asdict(config)}


def state_of(
    module: nn.Module, released_name: Callable[[str], str], dtype: torch.dtype = torch.float32
) -> dict[str, Tensor]:
    """Copy the tensors of a module under their released names."""
    return {
        released_name(name): tensor.detach().to("cpu", dtype).contiguous().clone()
        for name, tensor in module.state_dict().items()
    }


def write(folder: Path, config: Mapping[str, Any], state: Mapping[str, Tensor]) -> list[Path]:
    """Write config.json and model.safetensors, each whole or not at all."""
    weights, facts = folder / WEIGHTS[0], folder / CONFIG
    files.write_atomically(weights, save(dict(state)))
    files.write_atomically(facts, json.dumps(config, indent=2).encode() + b"\n")
    return [facts, weights]
