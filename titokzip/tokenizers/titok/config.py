"""The architectures of TiTok, TA-TiTok and One-D-Piece, and their config.json; no torch."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Final, TypeVar

from titokzip.errors import ModelError
from titokzip.tokenizers.config import ViTConfig
from titokzip.tokenizers.config_json import read_value

T = TypeVar("T")

CONTINUOUS: Final = "its latents are continuous, and files hold discrete tokens"

SMALL: Final = ViTConfig(width=512, depth=8, heads=8)
BASE: Final = ViTConfig(width=768, depth=12, heads=12)
LARGE: Final = ViTConfig(width=1024, depth=24, heads=16)
SIZES: Final = {"small": SMALL, "base": BASE, "large": LARGE}


@dataclass(frozen=True)
class TextConfig:
    """The shape of the text features that condition a TA-TiTok; by default CLIP's."""

    positions: int = 77
    channels: int = 768


@dataclass(frozen=True)
class VQGANConfig:
    """The shape of a VQGAN's decoder and of the codebook in front of it."""

    codebook: int = 1024  # proxy codes
    channels: int = 256  # of a code, and of a feature
    widths: tuple[int, ...] = (128, 128, 256, 256, 512)  # per level, finest first

    @property
    def scale(self) -> int:
        """Pixels along each side of a feature."""
        return 1 << (len(self.widths) - 1)


MASKGIT: Final = VQGANConfig()


@dataclass(frozen=True)
class TiTokConfig:
    """One architecture; the defaults are those of the paper's two-stage models.

    Raises:
        ValueError: its sizes do not fit each other.
    """

    family: ClassVar[str] = "titok"
    needs_config_json: ClassVar[bool] = False

    encoder: ViTConfig
    decoder: ViTConfig
    length: int  # L, tokens per tile
    codebook: int = 4096  # K
    channels: int = 12  # C, of a code
    size: int = 256  # S, side of a tile in pixels
    patch: int = 16
    normalized: bool = True  # codes are compared on the unit sphere
    is_legacy: bool = True  # the reshape in `Encoder.forward` that the first weights expect
    vqgan: VQGANConfig | None = MASKGIT  # None: the decoder predicts RGB directly
    prefix_decodable: bool = False  # trained with tail token drop: every prefix decodes
    text: TextConfig | None = None  # conditions the decoder beside the tokens

    def __post_init__(self) -> None:
        if self.size % self.patch:
            raise ValueError(f"a side of {self.size} is not a multiple of the patch {self.patch}")
        if self.vqgan is not None and self.vqgan.scale != self.patch:
            raise ValueError(
                f"the VQGAN decodes {self.vqgan.scale} pixels per patch of {self.patch}"
            )

    @property
    def vocabulary(self) -> int:
        """K, values of a token."""
        return self.codebook

    @property
    def grid(self) -> int:
        """Patches along each side of a tile."""
        return self.size // self.patch


# What config.json calls the fields of TiTokConfig, below model.vq_model unless said otherwise.
UPSTREAM: Final = {
    "encoder": "vit_enc_model_size",
    "decoder": "vit_dec_model_size",
    "length": "num_latent_tokens",
    "codebook": "codebook_size",
    "channels": "token_size",
    "size": "crop_size",  # below dataset.preprocessing
    "patch": "vit_enc_patch_size",
    "normalized": "use_l2_norm",
    "is_legacy": "is_legacy",
    "vqgan": "finetune_decoder",
    "text": "text_context_length, text_embed_dim",
}


def check_config(wanted: TiTokConfig, config: Mapping[str, Any] | None) -> TiTokConfig:
    """Return the architecture of a release; a config.json may repeat it, not contradict it.

    Raises:
        ModelError: the config.json describes another architecture.
    """
    if config is None:
        return wanted
    given = from_config(config, text=wanted.text is not None)
    for field in fields(wanted):
        theirs, ours = getattr(given, field.name), getattr(wanted, field.name)
        # How a model was trained is not part of every config.json.
        if field.name != "prefix_decodable" and theirs != ours:
            gives = f"{UPSTREAM[field.name]} gives {theirs!s:.80}"
            raise ModelError(f"{gives}, but the release has {ours}")
    return wanted


def from_config(config: Mapping[str, Any], *, text: bool = False) -> TiTokConfig:
    """Read an architecture from the config.json beside released weights.

    Defaults are those of the official code: the first files omit `is_legacy`, and are legacy.
    `text` marks a TA-TiTok, which its config.json does not.

    Raises:
        ModelError: it does not describe a tokenizer with discrete tokens.
    """

    def read(field: str, kind: type[T], default: T | None = None) -> T:
        return read_value(config, f"model.vq_model.{UPSTREAM.get(field, field)}", kind, default)

    if (mode := read("quantize_mode", str, "vq")) != "vq":
        raise ModelError(f"model.vq_model.quantize_mode is {mode!r:.40}: {CONTINUOUS}")
    legacy, has_vqgan = read("is_legacy", bool, True), read("vqgan", bool, True)
    if legacy != has_vqgan:
        raise ModelError(
            f"model.vq_model.is_legacy {legacy} and finetune_decoder {has_vqgan}: a stage-1 model"
            " without a pixel decoder"
        )
    patch, other = read("patch", int), read("vit_dec_patch_size", int)
    if patch != other:
        raise ModelError(
            f"model.vq_model: encoder patches of {patch!s:.40}, decoder patches of {other!s:.40}"
        )
    try:
        return TiTokConfig(
            SIZES[read("encoder", str)],
            SIZES[read("decoder", str)],
            length=read("length", int),
            codebook=read("codebook", int),
            channels=read("channels", int),
            size=read_value(config, "dataset.preprocessing.crop_size", int),
            patch=patch,
            normalized=read("normalized", bool),
            is_legacy=legacy,
            vqgan=MASKGIT if has_vqgan else None,
            prefix_decodable=not read("strict_length_assertion", bool, True),
            text=TextConfig(read("text_context_length", int, 77), read("text_embed_dim", int, 768))
            if text
            else None,
        )
    except (KeyError, ValueError, ZeroDivisionError) as error:
        raise ModelError(f"model.vq_model: there is no such model ({error!s:.120})") from error
