"""resume.pt: everything that a run needs to go on as if it had never stopped."""

import pickle
from pathlib import Path
from typing import Any, Final

import torch

from titokzip import files
from titokzip.errors import ModelError

RESUME: Final = "resume.pt"
UNREADABLE: Final = (  # what torch raises over a file that is cut, or that another program wrote
    RuntimeError, EOFError, pickle.UnpicklingError, LookupError, TypeError, ValueError,
    AttributeError,
)  # fmt: skip


def save(state: dict[str, Any], path: Path) -> None:
    """Write a state whole or not at all, and on the disk before this returns."""
    with files.opened_atomically(path, files.Manner(durable=True)) as file:
        torch.save(state, file)


def load(path: Path) -> dict[str, Any]:
    """Read a state, onto the CPU: what belongs on a device is copied there.

    Raises:
        ModelError: the file is damaged, or no state of a run.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        raise ModelError(f"{path}: damaged, or not the state of a run") from error
    if not isinstance(state, dict) or "step" not in state:
        raise ModelError(f"{path}: not the state of a run")
    return state
