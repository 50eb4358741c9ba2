"""The JSON files beside weights: read within bounds, and looked into by dotted paths; no torch.

No class that they name is ever looked up.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from titokzip.errors import ModelError

T = TypeVar("T")

LARGEST: Final = 2**20  # bytes of a file
_REFERENCE: Final = re.compile(r"\$\{([\w.]+)\}")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object from a regular file of at most `LARGEST` bytes.

    Raises:
        ModelError: there is none.
    """
    try:
        if not path.is_file():
            raise ModelError("is not a file")
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise ModelError(f"has more than {LARGEST:,} bytes")
        root = json.loads(data)
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"cannot be read as JSON ({error!s:.200})") from error
    if not isinstance(root, dict):
        raise ModelError("is no JSON object")
    return root


def read_config_json(path: Path) -> dict[str, Any]:
    """Read a config.json and resolve OmegaConf references such as ${model.size}.

    Raises:
        ModelError: it cannot be read as a JSON object, or is nested too deeply.
    """
    root = read_json(path)
    try:
        return {key: _resolved(value, root) for key, value in root.items()}
    except RecursionError as error:
        raise ModelError("cannot be read as JSON (nested too deeply)") from error


def look_up(config: Mapping[str, Any], path: str) -> Any:
    """Follow a dotted path of keys; None if it leads nowhere."""
    value: Any = config
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def read_value(config: Mapping[str, Any], path: str, kind: type[T], default: T | None = None) -> T:
    """Read the value at a dotted path, of exactly that type.

    Raises:
        ModelError: it has another type, or is missing and has no default; or what should hold it
            is no object.
    """
    parent, _, key = path.rpartition(".")
    table = read_value(config, parent, dict) if parent else config
    value = table.get(key, default)
    if type(value) is not kind:
        found = f"{value!r:.80}, not {kind.__name__}" if key in table else "missing"
        raise ModelError(f"{path} is {found}")
    return value


def _resolved(value: Any, root: dict[str, Any]) -> Any:
    if isinstance(value, dict):
        return {key: _resolved(inner, root) for key, inner in value.items()}
    match = _REFERENCE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return value
    found = look_up(root, match[1])
    return value if found is None else found
