"""Models of one's own, trained in the layout of the releases; and all models by name.

Their config.json says under "titokzip" which family and architecture they have. They have no
release: files name them by a fingerprint that begins as that of no release does.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from safetensors import SafetensorError, safe_open

from titokzip.errors import ModelError
from titokzip.generation.config import AutoregressiveConfig, MaskGITConfig
from titokzip.tokenizers.architecture import made
from titokzip.tokenizers.config_json import read_config_json
from titokzip.tokenizers.flextok.config import FlexTokConfig, ScriptConfig
from titokzip.tokenizers.titok.config import TiTokConfig
from titokzip.zoo.catalog import RELEASES, Release
from titokzip.zoo.families import family
from titokzip.zoo.generators import GENERATORS

if TYPE_CHECKING:
    from torch import Tensor

NAME: Final = "custom"  # where a manifest names a release
ARCHITECTURE: Final = "titokzip"  # key in a config.json
LICENCE: Final = "your own"
_CONFIGS: Final = {
    kind.family: kind for kind in (TiTokConfig, FlexTokConfig, MaskGITConfig, AutoregressiveConfig)
}


def known(name: str, config: Path | None = None) -> Release | None:
    """Find a released tokenizer or generator; or make out a model of one's own by its config.json.

    Raises:
        ModelError: it is one's own, and its config.json is damaged.
    """
    if name == NAME and config is not None:
        return describe(config)
    return RELEASES.get(name) or GENERATORS.get(name)


def is_described(config: Path) -> bool:
    """Tell whether a config.json describes a custom model.

    Raises:
        ModelError: it is damaged.
    """
    try:
        return ARCHITECTURE in read_config_json(config)
    except ModelError as error:
        raise ModelError(f"{config}: {error}") from error


def build(release: Release, state: "Mapping[str, Tensor]", weights: Path) -> Any:
    """Build a model of one's own around its state dict.

    Raises:
        ModelError: a tensor is missing, unexpected or of another shape, or the autoencoder of a
            FlexTok is not beside its weights.
    """
    model = family(release.family).from_state_dict(release.config, state)
    config = release.config
    if isinstance(config, FlexTokConfig) and isinstance(config.autoencoder, ScriptConfig):
        from titokzip.tokenizers.flextok import scripted

        device = str(next(iter(state.values())).device)
        autoencoder = scripted.of_folder(config.autoencoder, weights.parent, device)
        model.autoencoder = autoencoder  # type: ignore[attr-defined]
    return model


def parameters(weights: Path) -> int:
    """Count the numbers in a file of weights, from its header.

    Raises:
        ModelError: it is missing or damaged.
    """
    try:
        with safe_open(weights, framework="np") as file:
            return sum(math.prod(file.get_slice(key).get_shape()) for key in file.keys())  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{weights}: cannot be read as weights ({error})") from error


def describe(config: Path) -> Release:
    """Read what a config.json says of a model of one's own.

    Raises:
        ModelError: it is damaged.
    """
    try:
        return _release(read_config_json(config))
    except ModelError as error:
        raise ModelError(f"{config}: {error}") from error


def _release(table: Mapping[str, Any]) -> Release:
    about = table.get(ARCHITECTURE)
    if not isinstance(about, Mapping) or not isinstance(about.get("config"), Mapping):
        raise ModelError(f"{ARCHITECTURE} describes no architecture")
    kind: Any = _CONFIGS.get(str(about.get("family")))
    if kind is None:
        raise ModelError(f"{ARCHITECTURE}.family is {about.get('family')!r}, which is unknown")
    architecture = made(kind, about["config"], f"{ARCHITECTURE}.config.")
    return Release(NAME, NAME, architecture, parameters=0, rfid=None, licence=LICENCE)
