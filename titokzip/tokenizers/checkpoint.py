"""State dicts and the modules that they fill: names, shapes, types and finite numbers, checked.

What a module wants is its state dict on the meta device, which has shapes and no numbers. So a
file is compared with an architecture before memory is taken for it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import torch
from torch import Tensor, nn

from titokzip.errors import ModelError

FLOATS: Final = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


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
    may be there. On a GPU, kernels of convolutions are laid out channels last, once.

    Raises:
        ModelError: a tensor is missing, unexpected, of another shape or no floating point.
    """
    own = module.state_dict()
    names = {released_name(name): name for name in own}
    check_tensors(state, {theirs: own[ours] for theirs, ours in names.items()}, ignored=ignored)
    tensors = {ours: _laid_out(state[theirs].to(dtype)) for theirs, ours in names.items()}
    module.load_state_dict(tensors, assign=True)
    module.requires_grad_(False).eval()


def check_tensors(
    state: Mapping[str, Tensor], wanted: Mapping[str, Tensor], *, ignored: Sequence[str] = ()
) -> None:
    """Compare a state dict with the names, shapes and types of `wanted`, which may be on meta.

    Any of float16, bfloat16, float32 and float64 will do for floating point; other types must be
    the same. Names that start with one of `ignored` may be there.

    Raises:
        ModelError: a tensor is missing, unexpected, or of another shape or type. It names three.
    """
    given = {name: t for name, t in state.items() if not name.startswith(tuple(ignored))}
    shared = given.keys() & wanted.keys()
    problems = {
        "lack": wanted.keys() - given.keys(),
        "have an unexpected": given.keys() - wanted.keys(),
        "have another shape of": {n for n in shared if given[n].shape != wanted[n].shape},
        "have another type of": {n for n in shared if not _fits(given[n].dtype, wanted[n].dtype)},
    }
    for problem, wrong in problems.items():
        if wrong:
            raise ModelError(f"the weights {problem} {_listed(wrong)}")


def check_finite(state: Mapping[str, Tensor]) -> None:
    """Look at every number of the floating-point tensors of a state dict.

    Raises:
        ModelError: one is infinite or NaN. It names three tensors.
    """
    if wrong := [name for name, tensor in state.items() if not _finite(tensor)]:
        raise ModelError(f"the weights have numbers that are not finite in {_listed(wrong)}")


def _fits(given: torch.dtype, wanted: torch.dtype) -> bool:
    return given in FLOATS if wanted.is_floating_point else given == wanted


def _finite(tensor: Tensor) -> bool:
    if not tensor.is_floating_point() or not tensor.numel():
        return True
    low, high = tensor.aminmax()  # NaN if one is
    return bool(low.isfinite() & high.isfinite())


def _listed(names: Iterable[str]) -> str:
    """Name three, cut short, and count the others."""
    first, *others = sorted(names)
    shown = [name if len(name) <= 80 else f"{name[:80]}…" for name in (first, *others[:2])]
    return ", ".join(shown) + (f" and {len(others) - 2} more" if len(others) > 2 else "")


def _laid_out(tensor: Tensor) -> Tensor:
    """Lay a kernel [O, I, h, w] out as Nvidia's convolutions of images in channels last want it."""
    if tensor.device.type == "cpu" or tensor.ndim != 4:
        return tensor
    return tensor.contiguous(memory_format=torch.channels_last)
