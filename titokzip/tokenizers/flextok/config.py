"""The architecture of FlexTok, and its config.json; no torch."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final

from titokzip.errors import ModelError
from titokzip.tokenizers.config import DEEPEST, WIDEST, ViTConfig, check_whole
from titokzip.tokenizers.config_json import look_up, read_value

D12: Final = ViTConfig(width=768, depth=12, heads=12)
D18: Final = ViTConfig(width=1152, depth=18, heads=18)
D28: Final = ViTConfig(width=1792, depth=28, heads=28)


@dataclass(frozen=True)
class AutoencoderConfig:
    """The shape of a convolutional VAE; the defaults are those of FlexTok's 16 channels."""

    channels: int = 16  # C, of a latent
    widths: tuple[int, ...] = (128, 256, 512, 512)  # per level, finest first
    depth: int = 2  # residual blocks per level, one more in the decoder
    groups: int = 32  # of the group norms

    def __post_init__(self) -> None:
        check_whole("depth", self.depth, 1, DEEPEST)
        for width in (self.channels, *self.widths):
            check_whole("a width", width, 1, WIDEST)

    @property
    def scale(self) -> int:
        """Pixels along each side of a latent."""
        return 1 << (len(self.widths) - 1)


@dataclass(frozen=True)
class ScriptConfig:
    """Any other autoencoder, as a TorchScript file beside the weights."""

    channels: int  # C, of a latent cell
    scale: int  # pixels along each side of one
    sha256: str = ""  # of the file, in hexadecimal

    def __post_init__(self) -> None:
        check_whole("channels", self.channels, 1, WIDEST)
        check_whole("scale", self.scale, 1, WIDEST)


C16: Final = AutoencoderConfig()


@dataclass(frozen=True)
class FlexTokConfig:
    """One architecture; the defaults are those of all released ones.

    Raises:
        ValueError: its sizes do not fit each other.
    """

    family: ClassVar[str] = "flextok"
    needs_config_json: ClassVar[bool] = True  # the weights alone do not determine it

    encoder: ViTConfig
    decoder: ViTConfig
    length: int = 256  # L, tokens per tile
    size: int = 256  # S, side of a tile in pixels
    patch: int = 2  # latents along each side of a patch
    levels: tuple[int, ...] = (8, 8, 8, 5, 5, 5)  # of the FSQ
    autoencoder: AutoencoderConfig | ScriptConfig = C16
    # The weights do not determine these two: likely values, until `check_config` reads them.
    scaling: float = 0.18215  # of the VAE's latents, to about unit variance
    max_timestep: float = 1.0  # the time that is embedded as 1000

    def __post_init__(self) -> None:
        if self.size % (self.patch * self.autoencoder.scale):
            raise ValueError(f"a side of {self.size} is not whole patches of {self.patch} latents")

    @property
    def vocabulary(self) -> int:
        """K, values of a token."""
        return math.prod(self.levels)

    @property
    def side(self) -> int:
        """Latents along each side of a tile."""
        return self.size // self.autoencoder.scale


# What neither the weights nor FlexTokConfig determine, and this implementation assumes.
_ASSUMED: Final[dict[str, Any]] = {
    "encoder.module_dict.enc_seq_packer.mask_mode": "causal_last",
    "encoder.module_dict.enc_transformer.qk_norm": True,
    "decoder.module_dict.dec_latent_dropout.replace_with_single_token": False,
    "decoder.module_dict.dec_seq_packer.mask_mode": "full",
    "decoder.module_dict.dec_transformer.qk_norm": True,
}


def check_config(wanted: FlexTokConfig, config: Mapping[str, Any] | None) -> FlexTokConfig:
    """Complete the architecture of a release with what only its config.json says.

    Raises:
        ModelError: it is missing, lacks a number, or describes another architecture.
    """
    if config is None:
        raise ModelError("the config.json beside its weights is needed: give their folder")
    for path, assumed in _ASSUMED.items():
        found = look_up(config, path)
        if found not in (None, assumed):
            raise ModelError(f"{path} is {found!r:.80}, not {assumed!r}")
    levels = read_value(config, "regularizer", dict).get("levels")
    if levels != list(wanted.levels):
        raise ModelError(f"regularizer.levels is {levels!r:.80}, not {list(wanted.levels)}")
    return replace(
        wanted,
        scaling=_number(config, "vae", "scaling_factor"),
        # The official code's default.
        max_timestep=_number(
            config, "decoder.module_dict.dec_time_embedder", "max_timestep", absent=1000.0
        ),
    )


def _number(config: Mapping[str, Any], table: str, key: str, absent: float | None = None) -> float:
    value: Any = read_value(config, table, dict).get(key, absent)
    if type(value) not in (int, float) or not 1e-6 <= value <= 1e6:
        raise ModelError(f"{key} is {value!r:.80}, not a number in 1e-6..1e6")
    return float(value)
