"""Released weights as their authors store them: a state dict, mostly with a config.json beside it.

Nothing in them is trusted: configs are plain JSON, in which no class is looked up by name, pickles
may hold tensors only, and every tensor must be the one that the architecture wants. Files are
mapped into memory, so a tensor is read when it is used, and once.
"""

import hashlib
import json
import pickle
import re
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import safe_open

from titokzip.errors import ModelError
from titokzip.zoo import embedded
from titokzip.zoo.catalog import MEANING, Release

if TYPE_CHECKING:
    from torch import Tensor

    from titokzip.models.flextok import FlexTokConfig
    from titokzip.models.titok import TiTokConfig
    from titokzip.models.tokenizer import Tokenizer

CONFIG = "config.json"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")  # beside it, or alone
NEED_CONFIG = ("flextok",)  # families whose weights do not show all that must be known
_IMPOSTORS = {
    b"<!doctype": "a web page",
    b"<html": "a web page",
    b"version https://git-lfs": "a pointer that git-lfs would follow",
}
_REFERENCE = re.compile(r"\$\{([\w.]+)\}")
_UPSTREAM = {  # what config.json calls the fields of our config
    "encoder": "vit_enc_model_size",
    "decoder": "vit_dec_model_size",
    "length": "num_latent_tokens",
    "codebook": "codebook_size",
    "channels": "token_size",
    "size": "crop_size",
    "patch": "vit_enc_patch_size",
    "normalized": "use_l2_norm",
    "scrambled": "is_legacy",
    "vqgan": "finetune_decoder",
    "text": "text_context_length, text_embed_dim",
}


def files(path: Path) -> tuple[Path, Path | None]:
    """Find the weights, and the config.json that goes with them, of a folder or a file.

    Raises:
        ModelError: they are not there.
    """
    if not path.is_dir():
        beside = path.with_name(CONFIG)
        return path, beside if path.name in WEIGHTS and beside.is_file() else None
    for weights in (path / name for name in WEIGHTS):
        if weights.is_file():
            return files(weights)
    raise ModelError(f"{path}: no {' or '.join(WEIGHTS)} in this folder")


def read(path: Path, device: str = "cpu") -> dict[str, "Tensor"]:
    """Open a state dict in a .safetensors file, or in a pickle of tensors.

    Raises:
        ModelError: it is missing, damaged or something else.
    """
    import torch

    try:
        with path.open("rb") as file:
            start = file.read(100).lstrip().lower()
        for mark, what in _IMPOSTORS.items():
            if start.startswith(mark):
                raise ModelError(f"{path}: this is {what}, not weights")
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt", device=device) as opened:
                return {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
        mapped = zipfile.is_zipfile(path)  # the first pickles of torch were no archives
        state = torch.load(path, map_location=device, weights_only=True, mmap=mapped)
    except ModelError:
        raise
    except pickle.UnpicklingError as error:  # torch would advise to trust it
        reason = "damaged, or no pickle of tensors alone"
        raise ModelError(f"{path}: cannot be read as weights ({reason})") from error
    except Exception as error:  # a damaged pickle raises whatever it likes
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ModelError(f"{path}: cannot be read as weights ({reason})") from error
    if not isinstance(state, dict) or not all(
        isinstance(key, str) and isinstance(tensor, torch.Tensor) for key, tensor in state.items()
    ):
        raise ModelError(f"{path}: holds something else than named tensors")
    return state


def build(
    release: Release, state: Mapping[str, "Tensor"], weights: Path, config: Path | None
) -> "Tokenizer":
    """Build the tokenizer of a release around its state dict; the paths are named in errors.

    Raises:
        ModelError: a tensor is missing, unexpected or of another shape, or the config.json
            contradicts the release.
    """
    if release.family == "flextok":
        from titokzip.models import flextok

        with _about(config):
            flow = _flextok(release, config)
        with _about(weights, f"as {release.name}, "):
            return flextok.from_state_dict(flow, state)
    from titokzip.models import released

    with _about(config):
        vit = _titok(release, config)
    with _about(weights, f"as {release.name}, "):
        return released.from_state_dict(vit, state)


def _titok(release: Release, path: Path | None) -> "TiTokConfig":
    """Give the architecture of a release, which a config.json may repeat but not contradict."""
    from titokzip.models import released

    wanted = released.RELEASED[release.architecture]
    if path is None:
        return wanted
    given = released.config_from(_config(path), text=wanted.text is not None)
    for field in fields(wanted):
        if field.name == "nested":  # a way of training, which configs need not tell
            continue
        theirs, ours = getattr(given, field.name), getattr(wanted, field.name)
        if theirs != ours:
            raise ModelError(
                f"{_UPSTREAM[field.name]} gives {theirs}, but {release.name} has {ours}"
            )
    return wanted


def _flextok(release: Release, path: Path | None) -> "FlexTokConfig":
    """Give the architecture of a release, with two numbers that only its config.json tells."""
    from titokzip.models import flextok

    if path is None:
        raise ModelError(f"{release.name} needs the {CONFIG} beside its weights: add their folder")
    return flextok.configured(flextok.RELEASED[release.architecture], _config(path))


@contextmanager
def _about(path: Path | None, more: str = "") -> Iterator[None]:
    """Name a file in the errors about it."""
    try:
        yield
    except ModelError as error:
        raise ModelError(f"{path}: {more}{error}" if path else str(error)) from error


def fingerprint(release: Release, state: Mapping[str, "Tensor"]) -> bytes:
    """Tell a checkpoint by its release, and by the tensors that give its tokens their meaning."""
    tensors = {key: state[key].float().cpu().numpy() for key in MEANING[release.family]}
    meaning = embedded.digest(tensors, {"release": release.name})
    return release.prefix + meaning[len(release.prefix) :]


def sha256(path: Path) -> bytes:
    """Hash a whole file: seconds, for gigabytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _config(path: Path) -> dict[str, Any]:
    """Read a config.json, references of OmegaConf such as ${model.size} looked up."""
    try:
        root = json.loads(path.read_bytes())
        if not isinstance(root, dict):
            raise ModelError("is no JSON object")
        return {key: _resolved(value, root) for key, value in root.items()}
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"cannot be read as JSON ({error})") from error


def _resolved(value: Any, root: dict[str, Any]) -> Any:
    if isinstance(value, dict):
        return {key: _resolved(inner, root) for key, inner in value.items()}
    match = _REFERENCE.fullmatch(value) if isinstance(value, str) else None
    return _at(root, match[1], value) if match else value


def _at(root: dict[str, Any], path: str, default: str) -> Any:
    value: Any = root
    for key in path.split("."):
        if not isinstance(value, dict) or key not in value:
            return default  # of no use to us, or an error where it is read
        value = value[key]
    return value
