"""How weights begin: at random as the authors begin, or from files."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from titokzip.errors import ModelError
from titokzip.tokenizers.checkpoint import fill
from titokzip.tokenizers.flextok.checkpoint import TRAINING_ONLY as FLEXTOK_ONLY
from titokzip.tokenizers.flextok.checkpoint import released_name as flextok_name
from titokzip.tokenizers.flextok.network import FlexTok
from titokzip.tokenizers.titok.checkpoint import TRAINING_ONLY
from titokzip.tokenizers.titok.checkpoint import released_name as titok_name
from titokzip.tokenizers.titok.network import TiTok
from titokzip.tokenizers.weights_file import read_state_dict
from titokzip.zoo.installed import find_weights

_DEVIATION = 0.02  # of weights, at a width of 512 and more
_FULL_WIDTH = 512
_AUTOENCODER = "vae.vae."  # before the names of its tensors, in a FlexTok's weights


@torch.no_grad()
def initialize_titok(model: TiTok) -> None:
    """Draw the weights of a TiTok as its authors do, those of narrower ones wider.

    The VQGAN's are left alone.
    """
    widths = (model.config.encoder.width, model.config.decoder.width)
    for part, width in zip((model.encoder, model.decoder), widths, strict=True):
        deviation = _DEVIATION * max(1.0, _FULL_WIDTH / width) ** 0.5
        for name, module in part.named_modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                if name.endswith("qkv"):
                    nn.init.xavier_uniform_(module.weight)
                else:
                    nn.init.trunc_normal_(module.weight, std=deviation)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
    tables = [
        model.encoder.latents,
        model.decoder.mask_token,
        *(
            table
            for vit in (model.encoder.vit, model.decoder.vit)
            for table in (vit.cls, vit.positions, vit.latent_positions)
        ),
    ]
    for table in tables:
        nn.init.normal_(table, std=table.shape[-1] ** -0.5)
    initialize_codebook(model.quantizer.codebook)
    if isinstance(model.pixel_decoder, nn.Conv2d):
        nn.init.trunc_normal_(model.pixel_decoder.weight, std=_DEVIATION)
        assert model.pixel_decoder.bias is not None, "a convolution with a bias"
        nn.init.zeros_(model.pixel_decoder.bias)


def initialize_codebook(codebook: Tensor) -> None:
    """Draw codes [K, C] uniformly in -1 / K..1 / K."""
    nn.init.uniform_(codebook, -1 / len(codebook), 1 / len(codebook))


def load_weights(module: nn.Module, path: Path, released_name: Callable[[str], str]) -> None:
    """Copy released weights into a module that is to be trained.

    Raises:
        ModelError: a tensor is missing, unexpected or of another shape.
    """
    load_state(module, read_weights(path), released_name, path)


def load_stage_one(model: TiTok, weights: Path, vqgan: Path) -> None:
    """Copy weights of stage 1 and of a MaskGIT-VQGAN's codebook and decoder into a TiTok.

    Raises:
        ModelError: they do not fit it.
    """
    state = read_weights(weights)
    if any(name.startswith("pixel_") for name in state):
        raise ModelError(f"{weights}: these weights have a pixel decoder; stage 2 starts without")
    for name, tensor in read_weights(vqgan).items():
        if not name.startswith("encoder."):
            state[f"pixel_{name}"] = tensor
    load_state(model, state, titok_name, weights)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read the state dict of a file, or of a folder in the released layout.

    Raises:
        ModelError: it is missing or damaged.
    """
    return read_state_dict(find_weights(path)[0])


def load_state(
    module: nn.Module,
    state: dict[str, Tensor],
    released_name: Callable[[str], str],
    path: Path,
) -> None:
    """Copy a state dict into a module that is to be trained.

    Raises:
        ModelError: a tensor is missing, unexpected or of another shape; the path is named.
    """
    wanted = {name: p.requires_grad for name, p in module.named_parameters()}
    try:
        fill(module, state, released_name, ignored=[TRAINING_ONLY, *FLEXTOK_ONLY])
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error
    for name, parameter in module.named_parameters():
        parameter.data = parameter.data.clone()  # what was read may be mapped from the file
        parameter.requires_grad_(wanted[name])
    module.train()


def load_autoencoder(model: FlexTok, path: Path) -> None:
    """Copy the weights of a KL autoencoder into a FlexTok: as diffusers names them, or FlexTok.

    Raises:
        ModelError: they do not fit.
    """
    state = read_weights(path)
    marked = {name.removeprefix(_AUTOENCODER): t for name, t in state.items()
              if name.startswith(_AUTOENCODER)}  # fmt: skip
    holder = nn.ModuleDict({"autoencoder": model.autoencoder})
    named = {f"{_AUTOENCODER}{name}": tensor for name, tensor in (marked or state).items()}
    load_state(holder, named, flextok_name, path)


def load_transformers(model: FlexTok, path: Path) -> None:
    """Copy the weights of a FlexTok's transformers.

    Raises:
        ModelError: they do not fit.
    """
    state = {n: t for n, t in read_weights(path).items() if not n.startswith(_AUTOENCODER)}
    holder = nn.ModuleDict({"encoder": model.encoder, "decoder": model.decoder})
    load_state(holder, state, flextok_name, path)
