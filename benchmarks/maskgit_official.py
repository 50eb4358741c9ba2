"""Run TiTok's official generators and ours beside each other: logits, loss and samples.

    git clone https://github.com/bytedance/1d-tokenizer CHECKOUT             # 942a96f
    pip install einops omegaconf accelerate huggingface_hub requests tqdm torchvision transformers
    python benchmarks/maskgit_official.py CHECKOUT            # small: what tests/generation records
    python benchmarks/maskgit_official.py CHECKOUT --full     # l32, b64 and s128, random weights

Both get the same weights and the same noise. Prints a line of JSON a network: the largest
difference of logits relative to their deviation, the relative difference of the loss and of its
gradient's norm, and for the three published settings how many of the sampled tokens are equal, and
after how many of the steps all tokens are, masked ones too.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import generation_cases as cases  # noqa: E402

from titokzip.generation.config import MaskGITConfig, to_config  # noqa: E402
from titokzip.generation.maskgit import sample  # noqa: E402
from titokzip.training.tasks.maskgit import MaskedLosses, masked_loss  # noqa: E402
from titokzip.zoo.generators import GENERATORS  # noqa: E402

LOSSES = MaskedLosses()


def official(config: MaskGITConfig) -> nn.Module:
    """Build the official network of a configuration."""
    from modeling.maskgit import ImageBert, UViTBert
    from omegaconf import OmegaConf

    settings = OmegaConf.create(to_config(config))
    theirs = (ImageBert if config.kind == "bert" else UViTBert)(settings)
    state = cases.weights(config)
    extra = set(theirs.state_dict()) - set(state)
    assert not extra, extra
    theirs.load_state_dict(state)
    return theirs.eval()


def sampled(theirs: nn.Module, labels: torch.Tensor, how: Any, noise: Any) -> torch.Tensor:
    """Sample by the official code, its uniform noise replaced by that of our tests."""
    plain = torch.Tensor.uniform_
    torch.Tensor.uniform_ = lambda tensor, *_: tensor.copy_(noise(tensor.shape[1:]))
    try:
        return theirs.generate(
            labels.clone(),
            guidance_scale=how.guidance,
            guidance_decay=how.decay,
            guidance_scale_pow=how.power,
            randomize_temperature=how.temperature,
            softmax_temperature_annealing=how.annealing,
            num_sample_steps=how.steps,
        )
    finally:
        torch.Tensor.uniform_ = plain


@contextmanager
def steps_of(network: nn.Module, noise: Any) -> Iterator[list[torch.Tensor]]:
    """List the tokens that each step of sampling begins with; a step asks for noise twice."""
    seen: list[torch.Tensor] = []
    plain = network.forward

    def forward(tokens: torch.Tensor, *args: Any, **options: Any) -> Any:
        if noise.calls == 2 * len(seen):  # guidance asks the network again
            seen.append(tokens.clone())
        return plain(tokens, *args, **options)

    network.forward = forward
    try:
        yield seen
    finally:
        del network.forward


def compare(
    name: str, config: MaskGITConfig, settings: dict[str, Any], count: int
) -> dict[str, Any]:
    """Compare one network."""
    from modeling.modules.losses import MLMLoss
    from omegaconf import OmegaConf

    theirs, ours = official(config), cases.maskgit(config)
    tokens, labels = cases.tokens(config, count), cases.LABELS[:count]
    with torch.no_grad():
        logits = theirs(tokens, labels.clone(), cond_drop_prob=0.0)
        mine = ours(tokens, labels)
    masked, wanted = tokens == config.mask, tokens % config.codebook
    loss_config = {"label_smoothing": LOSSES.smoothing}
    loss_config["loss_weight_unmasked_token"] = LOSSES.unmasked
    criterion = MLMLoss(OmegaConf.create({"losses": loss_config}))
    theirs.train()
    for module in theirs.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    other, _ = criterion(theirs(tokens, labels.clone(), cond_drop_prob=0.0), wanted, masked)
    other.backward()
    theirs.eval()
    ours.requires_grad_(True)
    loss, right = masked_loss(ours(tokens, labels), wanted, masked, LOSSES)
    loss.backward()
    norms = [
        torch.stack([p.grad.norm() for p in m.parameters() if p.grad is not None]).norm()
        for m in (ours, theirs)
    ]
    result = {
        "case": name,
        "logits_difference": float((mine - logits).abs().max() / logits.std()),
        "logits": [round(v, 5) for v in mine[2, 5, :6].tolist()],
        "loss": float(loss),
        "right": float(right),
        "gradient": float(norms[0]),
        "loss_difference": float((loss - other).abs() / other),
        "gradient_difference": float((norms[0] - norms[1]).abs() / norms[1]),
    }
    for setting, how in settings.items():
        noise, same_noise = cases.Noise(count), cases.Noise(count)
        with steps_of(ours, noise) as steps, steps_of(theirs, same_noise) as their_steps:
            drawn = sample(ours, labels, how, noise)
            other = sampled(theirs, labels, how, same_noise)
        equal = drawn == other
        result[setting] = f"{int(equal.sum())} of {equal.numel()} tokens equal"
        alike = map(torch.equal, [*steps[1:], drawn], [*their_steps[1:], other])
        result[f"{setting}_steps"] = f"{sum(alike)} of {how.steps} steps equal"
        if config.length <= 16:
            result[f"{setting}_tokens"] = drawn[:2].tolist()
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--count", type=int, default=cases.COUNT, help="samples, at least 3")
    args = parser.parse_args()
    sys.path.insert(0, str(args.checkout))
    if not args.full:
        for kind, config in {"bert": cases.BERT, "uvit": cases.UVIT}.items():
            print(json.dumps(compare(kind, config, cases.PUBLISHED, args.count)), flush=True)
        return
    for name, release in GENERATORS.items():
        config = replace(release.config, dropout=0.0)
        how = {name: release.config.sampling}
        print(json.dumps(compare(name, config, how, args.count)), flush=True)


if __name__ == "__main__":
    main()
