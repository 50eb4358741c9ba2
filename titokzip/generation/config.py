"""The architectures of generators, and the config.json beside their weights; no torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Final

from titokzip.errors import ModelError
from titokzip.tokenizers.config import DEEPEST, WIDEST, check_whole
from titokzip.tokenizers.config_json import read_value

DECAYS: Final = ("constant", "linear", "power-cosine")
MOST: Final = 2**24  # tokens, codes or classes
KINDS: Final = {"ViT": "bert", "UViT": "uvit"}  # as a config.json calls them: as we do


@dataclass(frozen=True)
class MaskGITSampling:
    """How MaskGIT samples; the defaults are those published for TiTok-L-32."""

    steps: int = 8
    temperature: float = 9.5  # of the noise on logits and confidences, falling to 0
    guidance: float = 4.5
    decay: str = "linear"  # how guidance goes with the steps
    power: float = 3.0  # of the power-cosine
    annealing: bool = True  # of the softmax temperature, from 1.3 down to 0.5

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"sampling takes at least one step, not {self.steps}")
        if self.decay not in DECAYS:
            raise ValueError(f"guidance is {', '.join(DECAYS)}, not {self.decay!r}")


@dataclass(frozen=True)
class AutoregressiveSampling:
    """How an autoregressive generator samples."""

    temperature: float = 1.0  # 0 takes the most likely token
    top_k: int = 0  # tokens that can be drawn; 0 is all
    top_p: float = 1.0  # share of the probability that can be drawn from
    guidance: float = 1.0  # 1 is none

    def __post_init__(self) -> None:
        if self.temperature < 0 or self.top_k < 0 or not 0 < self.top_p <= 1:
            raise ValueError("temperature and top_k start at 0, and top_p is in 0..1")


@dataclass(frozen=True)
class Target:
    """The tokenizer whose tokens a generator makes."""

    name: str = ""  # of a release, or as it was called in training
    fingerprint: str = ""  # hexadecimal, of what its tokens mean; empty for released generators
    classes: tuple[str, ...] = ()  # names of the classes, in order of their numbers


@dataclass(frozen=True)
class MaskGITConfig:
    """A transformer over tokens of which some are masked, and a class."""

    family: ClassVar[str] = "maskgit"
    needs_config_json: ClassVar[bool] = False

    length: int  # N, tokens an image
    codebook: int = 4096  # K
    classes: int = 1000
    kind: str = "bert"  # or uvit
    width: int = 768
    depth: int = 24
    heads: int = 16
    hidden: int = 3072  # width inside a block
    dropout: float = 0.1  # in training
    target: Target = field(default_factory=Target)
    sampling: MaskGITSampling = field(default_factory=MaskGITSampling)

    def __post_init__(self) -> None:
        if self.kind not in KINDS.values():
            raise ValueError(f"a MaskGIT is {' or '.join(KINDS.values())}, not {self.kind!r}")
        check_whole("hidden", self.hidden, 1, 4 * WIDEST)
        _check_shape(self)
        if self.kind == "uvit" and self.depth % 2:
            raise ValueError(f"a U-ViT has an even number of blocks, not {self.depth}")

    @property
    def vocabulary(self) -> int:
        """K, values of a token."""
        return self.codebook

    @property
    def mask(self) -> int:
        """The number that stands for a masked token; classes follow, then the absence of one."""
        return self.codebook

    @property
    def symbols(self) -> int:
        """Count all numbers that the network reads."""
        return self.codebook + self.classes + 2


@dataclass(frozen=True)
class AutoregressiveConfig:
    """A causal transformer over a class and tokens."""

    family: ClassVar[str] = "autoregressive"
    needs_config_json: ClassVar[bool] = True

    length: int  # N
    codebook: int  # K
    classes: int = 1000
    width: int = 768
    depth: int = 12
    heads: int = 12
    dropout: float = 0.0
    target: Target = field(default_factory=Target)
    sampling: AutoregressiveSampling = field(default_factory=AutoregressiveSampling)

    def __post_init__(self) -> None:
        _check_shape(self)

    @property
    def vocabulary(self) -> int:
        """K, values of a token."""
        return self.codebook


GeneratorConfig = MaskGITConfig | AutoregressiveConfig
GENERATOR_FAMILIES: Final = (MaskGITConfig.family, AutoregressiveConfig.family)


def _check_shape(config: GeneratorConfig) -> None:
    for name in ("length", "codebook", "classes"):
        check_whole(name, getattr(config, name), 1, MOST)
    check_whole("width", config.width, 1, WIDEST)
    check_whole("depth", config.depth, 1, DEEPEST)
    check_whole("heads", config.heads, 1, config.width)
    if config.width % config.heads:
        raise ValueError(f"a width of {config.width} does not split into {config.heads} heads")


def check_config(wanted: MaskGITConfig, config: Mapping[str, Any] | None) -> MaskGITConfig:
    """Return the architecture of a released generator; a config.json may repeat it.

    Raises:
        ModelError: the config.json describes another architecture.
    """
    if config is None:
        return wanted
    given = from_config(config)
    kept = {"dropout": wanted.dropout, "target": wanted.target, "sampling": wanted.sampling}
    if replace(given, **kept) != wanted:  # type: ignore[arg-type]
        raise ModelError(f"model.generator describes {given}, but the release is {wanted}")
    return wanted


def from_config(config: Mapping[str, Any]) -> MaskGITConfig:
    """Read an architecture from the config.json beside a released generator.

    Raises:
        ModelError: it does not describe a MaskGIT.
    """

    def number(name: str) -> int:
        return read_value(config, f"model.generator.{name}", int)

    kind = read_value(config, "model.generator.model_type", str, "ViT")
    if kind not in KINDS:
        raise ModelError(f"model.generator.model_type is {kind!r}, not {' or '.join(KINDS)}")
    try:
        return MaskGITConfig(
            length=read_value(config, "model.vq_model.num_latent_tokens", int),
            codebook=read_value(config, "model.vq_model.codebook_size", int),
            classes=number("condition_num_classes"),
            kind=KINDS[kind],
            width=number("hidden_size"),
            depth=number("num_hidden_layers"),
            heads=number("num_attention_heads"),
            hidden=number("intermediate_size"),
        )
    except ValueError as error:
        raise ModelError(f"model.generator: there is no such model ({error})") from error


def to_config(config: MaskGITConfig) -> dict[str, Any]:
    """Describe a MaskGIT as the official config.json does."""
    kinds = {ours: theirs for theirs, ours in KINDS.items()}
    how = config.sampling
    return {
        "experiment": {},
        "model": {
            "vq_model": {
                "codebook_size": config.codebook,
                "num_latent_tokens": config.length,
            },
            "generator": {
                "model_type": kinds[config.kind],
                "hidden_size": config.width,
                "num_hidden_layers": config.depth,
                "num_attention_heads": config.heads,
                "intermediate_size": config.hidden,
                "dropout": config.dropout,
                "attn_drop": config.dropout,
                "class_label_dropout": 0.1,
                "image_seq_len": config.length,
                "condition_num_classes": config.classes,
                "num_steps": how.steps,
                "randomize_temperature": how.temperature,
                "guidance_scale": how.guidance,
                "guidance_decay": how.decay,
            },
        },
    }
