"""Released weights put into our modules: every name accounted for, nothing copied."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from titokzip.errors import ModelError


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
