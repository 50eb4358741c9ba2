"""Released checkpoints as their authors store them: a state dict, mostly beside a config.json.

Nothing in them is trusted: configurations are plain JSON in which no class is looked up by name,
pickles may hold tensors only, and every tensor must be one that the architecture has. Files are
memory-mapped, so a tensor is read once, when it is used.
"""

import pickle
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor, nn

from titokzip.errors import ModelError

_IMPOSTORS = {
    b"<!doctype": "a web page",
    b"<html": "a web page",
    b"version https://git-lfs": "a git-lfs pointer",
}


def read_state_dict(path: Path, device: str = "cpu") -> dict[str, Tensor]:
    """Open a state dict in a .safetensors file, or in a pickle of tensors.

    Raises:
        ModelError: it is missing, damaged or something else.
    """
    try:
        with path.open("rb") as file:
            start = file.read(100).lstrip().lower()
        for mark, what in _IMPOSTORS.items():
            if start.startswith(mark):
                raise ModelError(f"{path}: this is {what}, not weights")
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt", device=device) as opened:
                return {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
        mapped = zipfile.is_zipfile(path)  # the first pickles of torch were no archives
        state = torch.load(path, map_location=device, weights_only=True, mmap=mapped)
    except ModelError:
        raise
    except pickle.UnpicklingError as error:  # torch would advise to trust it
        reason = "damaged, or no pickle of tensors alone"
        raise ModelError(f"{path}: cannot be read as weights ({reason})") from error
    except Exception as error:  # a damaged pickle raises whatever it likes
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ModelError(f"{path}: cannot be read as weights ({reason})") from error
    if not isinstance(state, dict) or not all(
        isinstance(key, str) and isinstance(tensor, torch.Tensor) for key, tensor in state.items()
    ):
        raise ModelError(f"{path}: holds something other than named tensors")
    return state


def fill(
    module: nn.Module,
    state: Mapping[str, Tensor],
    released_name: Callable[[str], str],
    *,
    ignored: Sequence[str] = (),
    dtype: torch.dtype = torch.float32,
) -> None:
    """Make the tensors of `state` a module's own and freeze it; copied only where the type changes.

    `released_name` turns a name of ours into one of theirs; names that start with one of `ignored`
    may be there.

    Raises:
        ModelError: a tensor is missing, unexpected or of another shape.
    """
    own = module.state_dict()
    names = {released_name(name): name for name in own}
    wanted = {theirs: own[ours].shape for theirs, ours in names.items()}
    given = {n: tensor.shape for n, tensor in state.items() if not n.startswith(tuple(ignored))}
    for problem, wrong in {
        "lack": wanted.keys() - given.keys(),
        "have an unexpected": given.keys() - wanted.keys(),
        "have another shape of": {n for n in wanted if given.get(n, wanted[n]) != wanted[n]},
    }.items():
        if wrong:
            more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
            raise ModelError(f"the weights {problem} {', '.join(sorted(wrong)[:3])}{more}")
    tensors = {ours: state[theirs].to(dtype) for theirs, ours in names.items()}
    module.load_state_dict(tensors, assign=True)
    module.requires_grad_(False).eval()
