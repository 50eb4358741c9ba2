"""TorchScript files. Each is a program: only files that their owner trusts should be opened."""

import warnings
from pathlib import Path

import torch

from titokzip.errors import ModelError


def read_script(path: Path, device: str = "cpu") -> torch.jit.ScriptModule:
    """Open a TorchScript module, for evaluation.

    Raises:
        ModelError: it is none.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch would have us export
        try:
            module: torch.jit.ScriptModule = torch.jit.load(str(path), device)  # type: ignore[no-untyped-call]
            return module.eval()
        except (RuntimeError, ValueError, OSError) as error:
            raise ModelError(f"{path}: not a TorchScript file that can be read") from error
