"""Models of one's own, trained in the layout of the releases; and all models by name.

Their config.json says under "titokzip" which family and architecture they have. They have no
release: files name them by a fingerprint that begins as that of no release does.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from titokzip.errors import ModelError
from titokzip.generation.config import AutoregressiveConfig, MaskGITConfig
from titokzip.tokenizers.architecture import made
from titokzip.tokenizers.config import CONFIG, find_weights, read_config_json
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


def in_folder(path: Path) -> Release | None:
    """Make out the model of one's own in a folder, if its config.json says that it holds one.

    Raises:
        ModelError: it is damaged.
    """
    config = find_weights(path)[1] if path.is_dir() or path.is_file() else None
    if config is None or ARCHITECTURE not in read_config_json(config):
        return None
    return describe(config)


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
    kind: Any = _CONFIGS.get(about.get("family"))  # type: ignore[arg-type]
    if kind is None:
        raise ModelError(f"{ARCHITECTURE}.family is {about.get('family')!r}, which is unknown")
    architecture = made(kind, about["config"], f"{ARCHITECTURE}.config.")
    return Release(NAME, CONFIG, architecture, parameters=0, rfid=None, licence=LICENCE)
