"""Make a painter part of the way from one to another: the weights in between often look best.

    python benchmarks/blend.py weights/xs.safetensors runs/vivid/xs-vivid.safetensors 0.8 OUT

Network interpolation, as in ESRGAN (Wang et al. 2018, arXiv:1809.00219). Both read the same tokens,
and the second was trained from the first. A texture end that only it has is weakened by as much.
"""

import argparse
from pathlib import Path

import torch

from titokzip import zoo


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    parser.add_argument("share", type=float, help="0 is the first, 1 the second")
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    first, second = (zoo.load(zoo.read_manifest(path)) for path in (args.first, args.second))
    assert first.fingerprint == second.fingerprint, "two painters of the same tokens"
    known = dict(first.tokenizer.named_parameters())
    for name, weights in second.tokenizer.named_parameters():
        if name in known:
            weights.copy_(torch.lerp(known[name], weights, args.share))
        elif ".texture.paint." in name:
            weights.mul_(args.share)
    manifest = zoo.read_manifest(args.second)
    zoo.save(args.out, manifest.name, second.tokenizer, second.context_model, manifest.licence)


if __name__ == "__main__":
    main()
