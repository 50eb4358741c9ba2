"""FlexTok: a picture as an ordered row of tokens (Bachmann et al. 2025, arXiv:2502.13967).

An autoencoder turns pixels into cells. A transformer reads them together with L registers and keeps
only the registers; each becomes a token by rounding a few numbers. Any prefix of the tokens is a
picture: a second transformer reads it and moves noise, step by step, to cells that could have been
the picture's (a rectified flow), and the autoencoder paints them. What the tokens leave open is
invented, by noise that is drawn from the tokens themselves.

    pixels [B, 3, S, S] ─ encode ─▶ tokens [B, L] ─ decode ─▶ features ─ paint ─▶ pixels

B pictures, S the side of a tile, L tokens, k of them kept, C channels of a cell.
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Self

import torch
from torch import Tensor, nn

from titokzip.errors import ModelError
from titokzip.models import flow, weights
from titokzip.models.autoencoder_kl import C16, AutoencoderConfig, AutoencoderKL
from titokzip.models.flextok_names import TRAINING_ONLY, released_name
from titokzip.models.fsq import FSQ
from titokzip.models.layers import ViTConfig
from titokzip.models.resampler import Decoder, Encoder, Moment


@dataclass(frozen=True)
class FlexTokConfig:
    """One architecture; the defaults are those of all released ones."""

    encoder: ViTConfig
    decoder: ViTConfig
    length: int = 256  # L
    size: int = 256  # S
    patch: int = 2  # cells that a patch is wide
    levels: tuple[int, ...] = (8, 8, 8, 5, 5, 5)  # of the digits of a token
    autoencoder: AutoencoderConfig = C16
    # Weights don't show these two, so they are what is likely, until `configured` reads them.
    scaling: float = 0.18215  # what cells are multiplied by to vary about as much as noise
    longest: float = 1.0  # the time that is told like 1000 of a diffusion model

    def __post_init__(self) -> None:
        if self.size % (self.patch * self.autoencoder.scale):
            raise ValueError(f"a side of {self.size} is not whole patches of {self.patch} cells")

    @property
    def cells(self) -> int:
        """How many cells a tile is wide."""
        return self.size // self.autoencoder.scale


class FlexTok(nn.Module):
    """A `Tokenizer`: tiles of S pixels square to L tokens, and back from any prefix of them.

    Painting is slow, and the attributes set how slow. Each of `steps` runs the decoder over the
    patches and the k tokens kept, P + k + 1 positions; and with guidance, which is any but 1, over
    P + 1 more. `guidance` is how strongly the tokens are followed, and `projected` how that is
    kept from oversaturating. The defaults are those that the authors advise.

    `halo` is how many cells around a tile are painted with it. The autoencoder's convolutions reach
    18; with random weights, what is past 6 changes a tile's border no more than its middle, by 3 %
    of the contrast, through norms and attention over all that is painted at once.
    """

    nested = True
    overlap = 0  # tiles are coded edge to edge
    halo = 8

    steps: int = 20
    guidance: float = 7.5
    projected: bool = True  # adaptive projected guidance; else plain classifier-free guidance

    def __init__(self, config: FlexTokConfig) -> None:
        super().__init__()
        self.config = config
        self.size = config.size
        self.length = config.length
        self.quantizer = FSQ(config.levels)
        self.vocabulary = self.quantizer.vocabulary
        shape = (
            config.autoencoder.channels,
            config.cells // config.patch,
            config.patch,
            config.length,
            len(config.levels),
        )
        self.autoencoder = AutoencoderKL(config.autoencoder)
        self.encoder = Encoder(config.encoder, *shape)
        self.decoder = Decoder(config.decoder, *shape)

    def encode(self, pixels: Tensor) -> Tensor:
        """Tokenize pixels [B, 3, S, S] in 0..1 as int32 [B, L] in 0..vocabulary-1.

        The official code draws the autoencoder's cells at random around their most likely values;
        here they are those values.

        Raises:
            ValueError: the tiles have another shape.
        """
        if pixels.shape[1:] != (3, self.size, self.size):
            wanted = f"[B, 3, {self.size}, {self.size}]"
            raise ValueError(f"pixels must be {wanted}, not {list(pixels.shape)}")
        cells = self.autoencoder.encode((2 * pixels - 1).to(self.encoder.registers.dtype))
        return self.quantizer(self.encoder(cells * self.config.scaling))

    def decode(self, tokens: Tensor) -> Tensor:
        """Sample cells float32 [B, C, S / 8, S / 8] that tokens [B, k], 1 <= k <= L, stand for.

        Raises:
            ValueError: the tokens have another shape or are out of range, or `steps` is below 1.
        """
        if tokens.ndim != 2 or not 1 <= tokens.shape[1] <= self.length:
            raise ValueError(f"tokens must be [B, 1..{self.length}], not {list(tokens.shape)}")
        if tokens.numel() and not 0 <= int(tokens.min()) <= int(tokens.max()) < self.vocabulary:
            raise ValueError(f"tokens must be in 0..{self.vocabulary - 1}")
        side = self.config.cells
        start = flow.noise(tokens, (self.config.autoencoder.channels, side, side))
        return self.sample(tokens, start.to(tokens.device))

    def sample(self, tokens: Tensor, start: Tensor) -> Tensor:
        """Sample cells [B, C, h, w] from noise of that shape, as `decode` does from its own."""
        known = self.decoder.known(self.quantizer.lookup(tokens))
        unknown = self.decoder.unknown(len(tokens))
        project = flow.ProjectedGuidance() if self.projected else flow.classifier_free

        def velocity(cells: Tensor, moment: Moment) -> Tensor:
            told: Tensor = self.decoder(cells, known, moment)
            if self.guidance == 1:
                return told
            return project(told, self.decoder(cells, unknown, moment), self.guidance)

        times = flow.times(self.steps).to(start.device)
        return flow.integrate(velocity, start, self.decoder.moments(times, self.config.longest))

    def paint(self, features: Tensor) -> Tensor:
        """Paint features [B, C, h, w], of one tile or of many side by side, as [B, 3, H, W].

        The pixels are about 0..1 and not clamped.
        """
        cells = (features / self.config.scaling).to(self.autoencoder.unquant.weight.dtype)
        return self.autoencoder.decode(cells).float() / 2 + 0.5

    def decode_in(self, dtype: torch.dtype) -> Self:
        """Convert all that comes after the tokens, in place; tokens are the same as ever.

        Cells and pixels come in float32 whatever it is.
        """
        for part in (self.decoder, self.autoencoder.unquant, self.autoencoder.decoder):
            part.to(dtype)
        return self


_D12: Final = ViTConfig(768, 12, 12)
_D18: Final = ViTConfig(1152, 18, 18)
_D28: Final = ViTConfig(1792, 28, 28)

RELEASED: Final[dict[str, FlexTokConfig]] = {
    "flextok_d12_d12_in1k": FlexTokConfig(_D12, _D12),
    "flextok_d18_d18_in1k": FlexTokConfig(_D18, _D18),
    "flextok_d18_d28_in1k": FlexTokConfig(_D18, _D28),
    "flextok_d18_d28_dfn": FlexTokConfig(_D18, _D28),
}

# What neither weights nor `FlexTokConfig` tell, and this code takes for granted.
_ASSUMED: Final[dict[str, Any]] = {
    "encoder.module_dict.enc_seq_packer.mask_mode": "causal_last",
    "encoder.module_dict.enc_transformer.qk_norm": True,
    "decoder.module_dict.dec_latent_dropout.replace_with_single_token": False,
    "decoder.module_dict.dec_seq_packer.mask_mode": "full",
    "decoder.module_dict.dec_transformer.qk_norm": True,
}


def from_state_dict(
    config: FlexTokConfig, state: Mapping[str, Tensor], dtype: torch.dtype = torch.float32
) -> FlexTok:
    """Build a frozen FlexTok around released weights, without copying those of that type.

    Raises:
        ModelError: a tensor is missing, unexpected or of another shape.
    """
    with torch.device("meta"):
        model = FlexTok(config)
    weights.fill(model, state, released_name, ignored=TRAINING_ONLY, dtype=dtype)
    return model


def configured(config: FlexTokConfig, card: Mapping[str, Any]) -> FlexTokConfig:
    """Take over from the config.json beside released weights what they don't show themselves.

    It also names classes to build; they are never looked at.

    Raises:
        ModelError: it lacks a number, or is of another architecture.
    """
    for path, wanted in _ASSUMED.items():
        found = _entry(card, path)
        if found not in (None, wanted):
            raise ModelError(f"{path} is {found!r}, not {wanted!r}")
    levels = _table(card, "regularizer").get("levels")
    if levels != list(config.levels):
        raise ModelError(f"regularizer.levels is {levels!r}, not {list(config.levels)}")
    times = _table(card, "decoder", "module_dict", "dec_time_embedder")
    return replace(
        config,
        scaling=_number(_table(card, "vae"), "scaling_factor"),
        # What is absent is what the official code takes it for.
        longest=_number(times, "max_timestep", absent=1000.0),
    )


def _entry(card: Mapping[str, Any], path: str) -> Any:
    """Follow a path of keys; None if it leads nowhere."""
    value: Any = card
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _table(card: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
    """Follow a path of keys from table to table."""
    for key in path:
        card = card.get(key, None)
        if not isinstance(card, Mapping):
            raise ModelError(f"{'.'.join(path)} is missing")
    return card


def _number(table: Mapping[str, Any], key: str, absent: float | None = None) -> float:
    value: Any = table.get(key, absent)
    if type(value) not in (int, float) or not 0 < value <= sys.float_info.max:
        raise ModelError(f"{key} is {value!r}, not a positive number")
    return float(value)
