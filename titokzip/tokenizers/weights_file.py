"""State dicts in files that nobody vouches for: safetensors, or a pickle of dense tensors.

Files are memory-mapped, so a tensor is read when it is used. Before anything is built from a file,
what would make its reading large is bounded: the header of a safetensors file, the pickle, the
compression of an archive.
"""

import io
import pickle
import pickletools
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

import torch
from safetensors import safe_open
from torch import Tensor

from titokzip.errors import ModelError

LARGEST_INDEX: Final = 2**23  # bytes that list the tensors; FlexTok d18-d28 needs 85,000

_IMPOSTORS: Final = {
    b"<!doctype": "a web page",
    b"<html": "a web page",
    b"version https://git-lfs": "a git-lfs pointer",
}
# All that a pickled state dict of dense tensors calls, beside the storages.
_CALLED: Final = {
    "collections OrderedDict",
    "torch._utils _rebuild_parameter",
    "torch._utils _rebuild_tensor",
    "torch._utils _rebuild_tensor_v2",
}


def read_state_dict(path: Path, device: str = "cpu") -> dict[str, Tensor]:
    """Open a state dict in a .safetensors file, or in a pickle of dense tensors.

    Raises:
        ModelError: it is missing, damaged or something else.
    """
    try:
        _refuse_impostor(path)
        if path.suffix == ".safetensors":
            return _read_safetensors(path, device)
        return _read_pickle(path, device)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error
    except pickle.UnpicklingError as error:  # torch would advise to trust it
        reason = "damaged, or no pickle of tensors alone"
        raise ModelError(f"{path}: cannot be read as weights ({reason})") from error
    except Exception as error:  # a damaged pickle raises whatever it likes
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ModelError(f"{path}: cannot be read as weights ({reason})") from error


def _refuse_impostor(path: Path) -> None:
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise ModelError("cannot be read as weights (not a file)")
    with path.open("rb") as file:
        start = file.read(100).lstrip().lower()
    for mark, what in _IMPOSTORS.items():
        if start.startswith(mark):
            raise ModelError(f"this is {what}, not weights")


def _read_safetensors(path: Path, device: str) -> dict[str, Tensor]:
    with path.open("rb") as file:
        _refuse_index(int.from_bytes(file.read(8), "little"))
    with safe_open(path, framework="pt", device=device) as file:
        return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118


def _read_pickle(path: Path, device: str) -> dict[str, Tensor]:
    archive = zipfile.is_zipfile(path)  # the first pickles of torch were no archives
    for called in _calls_of_archive(path) if archive else _calls_of_file(path):
        module, _, name = called.partition(" ")
        if called not in _CALLED and not (module == "torch" and name.endswith("Storage")):
            raise ModelError(
                f"cannot be read as weights (damaged, or no pickle of tensors alone: {called:.80})"
            )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of its own old formats
        state = torch.load(path, map_location=device, weights_only=True, mmap=archive)
    if not isinstance(state, dict) or not all(
        isinstance(key, str) and type(tensor) in (Tensor, torch.nn.Parameter)
        for key, tensor in state.items()
    ):
        raise ModelError("holds something other than named tensors")
    return state


def _calls_of_archive(path: Path) -> Iterator[str]:
    """List what the pickle in an archive calls; torch stores it, and all tensors, uncompressed."""
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if member.compress_type != zipfile.ZIP_STORED:
                raise ModelError("cannot be read as weights (a compressed archive)")
            if member.filename.endswith("/data.pkl"):
                _refuse_index(member.file_size)
                with archive.open(member) as pickled:
                    yield from _calls(pickled)


def _calls_of_file(path: Path) -> Iterator[str]:
    """List what the first four pickles of a file call: a number, a version, a machine, tensors."""
    with path.open("rb") as file:
        start = io.BytesIO(file.read(LARGEST_INDEX))  # a pickle cut short is damaged
    for _ in range(4):
        yield from _calls(start)


def _calls(pickled: IO[bytes]) -> Iterator[str]:
    """List the "module name" of everything that a pickle calls, without running it."""
    for opcode, argument, _ in pickletools.genops(pickled):
        if opcode.name in ("GLOBAL", "INST"):
            yield str(argument)
        elif opcode.name == "STACK_GLOBAL":  # its name lies on the stack; torch writes none
            yield "a computed name"


def _refuse_index(size: int) -> None:
    if size > LARGEST_INDEX:
        raise ModelError(
            f"cannot be read as weights (the list of tensors has more than {LARGEST_INDEX:,} bytes)"
        )
