"""Shapes that several tokenizers share, and the config.json beside released weights; no torch."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from titokzip.errors import ModelError

T = TypeVar("T")
CONFIG = "config.json"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")  # beside it, or alone
_REFERENCE = re.compile(r"\$\{([\w.]+)\}")


@dataclass(frozen=True)
class ViTConfig:
    """The shape of a transformer."""

    width: int  # D
    depth: int
    heads: int

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ValueError(f"a width of {self.width} does not split into {self.heads} heads")


SMALL: Final = ViTConfig(width=512, depth=8, heads=8)
BASE: Final = ViTConfig(width=768, depth=12, heads=12)
LARGE: Final = ViTConfig(width=1024, depth=24, heads=16)


def find_weights(path: Path) -> tuple[Path, Path | None]:
    """Find the weights, and the config.json that goes with them, of a folder or a file.

    Raises:
        ModelError: they are not there.
    """
    if not path.is_dir():
        beside = path.with_name(CONFIG)
        return path, beside if path.name in WEIGHTS and beside.is_file() else None
    for weights in (path / name for name in WEIGHTS):
        if weights.is_file():
            return find_weights(weights)
    raise ModelError(f"{path}: no {' or '.join(WEIGHTS)} in this folder")


def read_config_json(path: Path) -> dict[str, Any]:
    """Read a config.json and resolve OmegaConf references such as ${model.size}.

    Raises:
        ModelError: it is not readable as a JSON object.
    """
    try:
        root = json.loads(path.read_bytes())
        if not isinstance(root, dict):
            raise ModelError("is no JSON object")
        return {key: _resolved(value, root) for key, value in root.items()}
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"cannot be read as JSON ({error})") from error


def entry(
    table: Mapping[str, Any], key: str, kind: type[T], path: str = "", default: T | None = None
) -> T:
    """Read one value of a table at `path`, of exactly that type.

    Raises:
        ModelError: it is missing and has no default, or has another type.
    """
    value = table.get(key, default)
    if type(value) is not kind:
        found = "missing" if key not in table else f"{value!r}, not {kind.__name__}"
        raise ModelError(f"{path}{key} is {found}")
    return value


def subtable(table: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
    """Follow a path of keys from table to table.

    Raises:
        ModelError: it leads nowhere.
    """
    for key in path:
        table = table.get(key, None)
        if not isinstance(table, Mapping):
            raise ModelError(f"{'.'.join(path)} is missing")
    return table


def lookup(table: Mapping[str, Any], path: str) -> Any:
    """Follow a dotted path of keys; None if it leads nowhere."""
    value: Any = table
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _resolved(value: Any, root: dict[str, Any]) -> Any:
    if isinstance(value, dict):
        return {key: _resolved(inner, root) for key, inner in value.items()}
    match = _REFERENCE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return value
    found = lookup(root, match[1])
    return value if found is None else found
