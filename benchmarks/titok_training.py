"""Train the official TiTok code and ours beside each other: same weights, same batch, same losses.

    git clone https://github.com/bytedance/1d-tokenizer CHECKOUT             # 942a96f
    git clone https://github.com/turingmotors/One-D-Piece PIECE              # 473665d
    pip install einops omegaconf accelerate huggingface_hub requests tqdm torchvision
    python benchmarks/titok_training.py CHECKOUT --piece PIECE               # small networks
    python benchmarks/titok_training.py CHECKOUT --full                      # s128 and sl256
    python benchmarks/titok_training.py CHECKOUT --full --only sl256 --count 1

The small networks are the official code with smaller numbers in it, replaced as it is imported:
what tests/training records. Prints a line of JSON a case: the loss of both, the largest relative
difference of a loss term, of the norm of any parameter's gradient, and of the norm of all. sl256
takes 70 seconds of a core and 8.9 GB of memory for one image.
"""

import argparse
import ast
import importlib.abc
import importlib.machinery
import importlib.util
import json
import logging
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests/training")]

import titok_cases as cases  # noqa: E402
from titoks import weights  # noqa: E402

from titokzip.tokenizers.titok import vqgan_encoder  # noqa: E402
from titokzip.tokenizers.titok.config import TiTokConfig  # noqa: E402
from titokzip.tokenizers.titok.network import TiTok  # noqa: E402
from titokzip.training.export import titok_config  # noqa: E402
from titokzip.training.initialization import load_state  # noqa: E402
from titokzip.training.losses.convnext import ConvNeXt  # noqa: E402
from titokzip.training.losses.lpips import LPIPS  # noqa: E402
from titokzip.training.losses.perceptual import LogitDistance, PerceptualLoss  # noqa: E402
from titokzip.training.tasks.proxy_codes import ProxyLosses, StageOne  # noqa: E402
from titokzip.training.tasks.titok import OneStage, StageTwo, released_name  # noqa: E402
from titokzip.training.trainer import Trainer  # noqa: E402
from titokzip.zoo.catalog import RELEASES  # noqa: E402

FULL = ("s128", "sl256")  # what is compared at full size
SMALLER = {  # numbers in the official code, and what stands there for small networks
    '"small": 512': f'"small": {cases.WIDTH}',
    '"small": 8': f'"small": {cases.DEPTH}',
    '"hidden_channels": 128': f'"hidden_channels": {cases.VQGAN.widths[0]}',
    '"z_channels": 256': f'"z_channels": {cases.VQGAN.channels}',
    "num_embeddings=1024, embedding_dim=256": (
        f"num_embeddings={cases.VQGAN.codebook}, embedding_dim={cases.VQGAN.channels}"
    ),
    "2 * self.width, 1024, 1": f"2 * self.width, {cases.VQGAN.codebook}, 1",
    "target_codebook_size = 1024": f"target_codebook_size = {cases.VQGAN.codebook}",
    "hidden_channels: int = 128": f"hidden_channels: int = {cases.DISCRIMINATOR}",
    "[64, 128, 256, 512, 512]": str([stage[-1] for stage in cases.VGG_STAGES]),
}


class Smaller(importlib.machinery.SourceFileLoader):
    """Imports a module of the official code with other numbers in it."""

    numbers: ClassVar[dict[str, str]] = {}

    def get_code(self, fullname: str) -> Any:
        source = Path(self.path).read_text()
        for old, new in self.numbers.items():
            source = source.replace(old, new)
        source = source.replace("self.load_pretrained()", "pass")
        return compile(source, self.path, "exec")


class Finder(importlib.abc.MetaPathFinder):
    """Finds the official packages in a checkout."""

    def __init__(self, checkout: Path) -> None:
        self.checkout = checkout

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        if name.split(".")[0] not in ("modeling", "utils"):
            return None
        file = self.checkout.joinpath(*name.split("."))
        package = file.is_dir()
        file = file / "__init__.py" if package else file.with_suffix(".py")
        loader = Smaller(name, str(file))
        return importlib.util.spec_from_file_location(
            name, file, loader=loader, submodule_search_locations=[] if package else None
        )


def official(checkout: Path, full: bool) -> None:
    """Make the official code importable from a checkout, instead of any other."""
    for name in [n for n in sys.modules if n.split(".")[0] in ("modeling", "utils")]:
        del sys.modules[name]
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, Finder)]
    sys.meta_path.insert(0, Finder(checkout.resolve()))
    Smaller.numbers = {} if full else SMALLER
    from torchvision import models

    vgg = [width for stage in cases.VGG_STAGES for width in (*stage, "M")]
    make = models.vgg.make_layers
    net = models.convnext.ConvNeXt
    depths, widths, classes = cases.CONVNEXT
    blocks = [
        models.convnext.CNBlockConfig(width, (*widths, None)[i + 1], depth)
        for i, (width, depth) in enumerate(zip(widths, depths, strict=True))
    ]
    if not hasattr(models, "_own"):
        models._own = (models.vgg16, models.convnext_small)
    models.vgg16, models.convnext_small = (
        (lambda weights: models._own[0](), lambda weights: models._own[1]())
        if full
        else (
            lambda weights: nn.Module.__call__ and _holder(make(vgg)),
            lambda weights: net(blocks, 0.0, num_classes=classes),
        )
    )


def _holder(features: nn.Module) -> nn.Module:
    holder = nn.Module()
    holder.features = features
    return holder


def config(model: TiTokConfig, losses: Any, stage_one: bool = False, **vq: Any) -> Any:
    """Write the configuration of the official code."""
    from omegaconf import OmegaConf

    if not hasattr(losses, "perceptual"):
        own = {"quantizer_weight": losses.quantization.weight}
        own["target_codebook_size"] = model.vqgan.codebook
    else:
        kind = "lpips-convnext_s-1.0-0.1" if losses.perceptual.lpips else "convnext_s"
        own = {
            "discriminator_start": losses.adversarial.start,
            "quantizer_weight": losses.quantization.weight,
            "discriminator_factor": 1.0,
            "discriminator_weight": losses.adversarial.weight,
            "perceptual_loss": kind,
            "perceptual_weight": losses.perceptual.weight,
            "reconstruction_loss": "l2",
            "reconstruction_weight": losses.reconstruction,
            "lecam_regularization_weight": losses.adversarial.lecam,
        }
    table = titok_config(model, stage_one)
    names = {"encoder": "vit_enc_model_size", "decoder": "vit_dec_model_size"}
    for field, name in names.items():
        if table["model"]["vq_model"][name] == "custom":
            table["model"]["vq_model"][name] = "small"
        del field
    table["model"]["vq_model"] |= vq
    return OmegaConf.create(table | {"losses": own})


def theirs_filled(loss: nn.Module, ours: Any) -> None:
    """Give the official loss module the weights of our networks."""
    if ours.adversary is not None:
        loss.discriminator.load_state_dict(ours.adversary.discriminator.state_dict())
    for name, network in ours.perceptual.networks.items():
        if name == "convnext":
            loss.perceptual_loss.convnext.load_state_dict(network.network.state_dict())
        else:
            own = loss.perceptual_loss.lpips
            convs = [m for m in own.net.modules() if isinstance(m, nn.Conv2d)]
            given = [conv for stage in network.stages for conv in stage]
            for one, other in zip(convs, given, strict=True):
                one.load_state_dict(other.state_dict())
            for i, head in enumerate(network.heads):
                getattr(own, f"lin{i}").model[1].weight.data.copy_(head)


def compared(
    name: str, ours: Any, model: nn.Module, theirs: Callable[[], Any], batch: dict[str, Tensor]
) -> dict[str, Any]:
    """Run both once, and compare losses, terms and gradients."""
    judge = ours.adversary.judge if ours.adversary else None
    outcome = ours(batch, cases.STEP, judge)
    outcome.loss.backward()
    loss, _ = theirs()
    loss.backward()
    mine, all_mine = cases.gradients(ours.module)
    other, all_other = cases.gradients(model)
    mine = {ours.released_name(n): norm for n, norm in mine.items()}
    assert mine.keys() == other.keys(), mine.keys() ^ other.keys()
    floor = 1e-4 * float(all_other)  # a gradient that is nothing but noise
    result = {
        "case": name,
        "loss": float(outcome.loss),
        "official": float(loss),
        "terms": {key: round(float(value), 7) for key, value in sorted(outcome.terms.items())},
        "gradient": float(all_mine),
        "loss_difference": relative(outcome.loss, loss),
        "gradient_difference": relative(all_mine, all_other),
        "largest_gradient_difference": max(relative(mine[n], other[n], floor) for n in other),
    }
    if ours.adversary is not None:
        result |= second(ours, theirs.loss, outcome)
    if getattr(ours, "clustering", None) is not None:
        ours.before_step()
        moved = model.quantize.embedding.weight
        difference = (ours.module.quantizer.codebook - moved).abs().max() / moved.abs().max()
        result["moved_codes_difference"] = float(difference)
    return result


def second(ours: Any, loss_module: nn.Module, outcome: Any) -> dict[str, float]:
    """Compare the discriminator's loss and gradients, twice: the second time with LeCam."""
    result = {}
    for turn in ("first", "then"):
        loss, _ = ours.adversary(*outcome.pair)
        loss.backward()
        other, _ = loss_module(*outcome.pair, {}, cases.STEP, mode="discriminator")
        other.backward()
        own, total = cases.gradients(ours.adversary.discriminator)
        norms, _ = cases.gradients(loss_module.discriminator)
        result[f"discriminator_{turn}"] = float(loss)
        result[f"discriminator_gradient_{turn}"] = float(total)
        result[f"discriminator_difference_{turn}"] = max(
            relative(loss, other), *(relative(own[n], norms[n]) for n in norms)
        )
        ours.adversary.before_step()
        for module in (ours.adversary, loss_module):
            module.zero_grad()
    return result


def relative(one: Tensor, other: Tensor, floor: float = 1e-12) -> float:
    return float((one - other).abs() / other.abs().clamp(min=floor))


class Theirs:
    """A pass of the official model and loss."""

    def __init__(self, model: nn.Module, loss: nn.Module, run: Callable[[], Any]) -> None:
        self.loss, self.run = loss, run
        model.train()

    def __call__(self) -> Any:
        return self.run()


def pixel_case(name: str, ours: Any, cls: Any, loss_cls: Any, batch: Any, **vq: Any) -> Any:
    """Compare a case in RGB."""
    settings = config(ours.module.config, ours.losses, **vq)
    model = cls(settings)
    state = {released_name(n): t.clone() for n, t in ours.module.state_dict().items()}
    extra = set(model.state_dict()) - set(state)
    model.load_state_dict(state | {n: model.state_dict()[n] for n in extra})
    loss = loss_cls(settings)
    theirs_filled(loss, ours)
    images = batch["image"].float() / 255

    def run() -> Any:
        inputs = (images, batch["text"]) if "text" in batch else (images,)
        decoded, extra_results = model(*inputs)
        return loss(images, decoded, extra_results, cases.STEP, mode="generator")

    return compared(name, ours, model, Theirs(model, loss, run), batch)


def stage_one_case(name: str, ours: Any, cls: Any, loss_cls: Any, batch: Any) -> Any:
    """Compare a case in proxy codes."""
    settings = config(ours.module.config, ours.losses, stage_one=True)
    model = cls(settings)
    model.load_state_dict({released_name(n): t for n, t in ours.module.state_dict().items()})
    vqgan = official_vqgan(ours.vqgan)
    loss = loss_cls(settings)
    images = batch["image"].float() / 255

    def run() -> Any:
        codes = vqgan.encode(images)
        assert torch.equal(codes, ours.targets(images)), "other proxy codes"
        return loss(codes, *model(images))

    return compared(name, ours, model, Theirs(model, loss, run), batch)


def official_vqgan(ours: Any) -> Any:
    """Make the official VQGAN of the same weights, through a file as it wants."""
    import tempfile

    from modeling.titok import PretrainedTokenizer

    state = {vqgan_encoder.released_name(n): t for n, t in ours.state_dict().items()}
    with tempfile.NamedTemporaryFile(suffix=".bin") as file:
        torch.save(state, file.name)
        return PretrainedTokenizer(file.name)


def full_task(name: str) -> Any:
    """Make one of our tasks at full size, of random weights."""
    release = RELEASES[name].config
    model = TiTok(release)
    load_state(model, weights(release), released_name, Path(name))
    losses = cases.ONE_STAGE_LOSSES if release.vqgan is None else cases.STAGE_2_LOSSES
    losses = replace(losses, adversarial=replace(losses.adversarial, width=128))
    own = {"convnext": (losses.perceptual.convnext, LogitDistance(random(ConvNeXt(), "convnext")))}
    own["lpips"] = (losses.perceptual.lpips, random(LPIPS(), "lpips"))
    kind = OneStage if release.vqgan is None else StageTwo
    task = kind(model, losses, PerceptualLoss(own))
    random(task.adversary.discriminator, "discriminator")
    return task


def random(module: nn.Module, name: str) -> nn.Module:
    return cases.fill(module, name)


def trajectory(checkout: Path, cls: Any, loss_cls: Any) -> dict[str, Any]:
    """Train both for some steps: optimizers, schedules, clipping, averages, discriminator."""
    recipe = cases.recipe()
    task = cases.one_stage(losses=recipe.losses)
    batch, device = cases.batch(), torch.device("cpu")
    trainer = Trainer(task, recipe, cases.Same(batch), device)
    settings = config(task.module.config, recipe.losses)
    model = cls(settings)
    model.load_state_dict({released_name(n): t for n, t in task.module.state_dict().items()})
    model.train()
    loss_module = loss_cls(settings)
    theirs_filled(loss_module, task)
    optimizer, second_optimizer, schedule, second_schedule, average = tools(
        checkout, settings, recipe, model, loss_module
    )
    images, rows = batch["image"].float() / 255, []
    for step in range(recipe.steps):
        decoded, extra = model(images)
        loss, _ = loss_module(images, decoded, extra, step, mode="generator")
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if loss_module.should_discriminator_be_trained(step):
            other, _ = loss_module(images, decoded, extra, step, mode="discriminator")
            other.backward()
            nn.utils.clip_grad_norm_(loss_module.parameters(), 1.0)
            second_optimizer.step()
            second_schedule.step()
            second_optimizer.zero_grad()
        average.step(model.parameters())
        trainer.advance()
        rows.append((trainer.averages()["loss"], float(loss)))
    average.copy_to(model.parameters())
    difference = 0.0
    with trainer.ema.applied():
        state = model.state_dict()
        for name, tensor in task.module.state_dict().items():
            other = state[released_name(name)]
            difference = max(difference, float((tensor - other).abs().max()))
    return {
        "case": "trajectory",
        "losses": [round(mine, 6) for mine, _ in rows],
        "loss_difference": max(abs(a - b) / b for a, b in rows),
        "average_weight_difference": difference,
    }


def tools(checkout: Path, settings: Any, recipe: Any, model: nn.Module, loss: nn.Module) -> Any:
    """Make optimizers, schedules and average by the functions of the official training script."""
    from accelerate import Accelerator
    from modeling.modules.ema_model import EMAModel
    from omegaconf import OmegaConf

    how = recipe.optimization
    extra = {
        "optimizer": {
            "name": "adamw",
            "params": {
                "learning_rate": how.rate,
                "discriminator_learning_rate": recipe.losses.adversarial.rate,
                "beta1": how.betas[0],
                "beta2": how.betas[1],
                "weight_decay": how.weight_decay,
            },
        },
        "lr_scheduler": {
            "scheduler": "cosine",
            "params": {
                "learning_rate": how.rate,
                "warmup_steps": how.warm_up,
                "end_lr": how.rate * how.final,
            },
        },
        "training": {"max_train_steps": recipe.steps},
    }
    settings = OmegaConf.merge(settings, extra)
    source = ast.parse((checkout / "utils/train_utils.py").read_text())
    wanted = ("create_optimizer", "create_lr_scheduler")
    source.body = [n for n in source.body if getattr(n, "name", None) in wanted]
    from utils.lr_schedulers import get_scheduler

    space = {"AdamW": torch.optim.AdamW, "get_scheduler": get_scheduler}
    exec(compile(source, "train_utils.py", "exec"), space)
    log = logging.getLogger("official")
    # "tatitok": the model type with a discriminator and no frozen encoder.
    optimizers = space["create_optimizer"](settings, log, model, loss, model_type="tatitok")
    schedules = space["create_lr_scheduler"](settings, log, Accelerator(cpu=True), *optimizers)
    return (*optimizers, *schedules, EMAModel(model.parameters(), decay=how.ema))


def small(args: argparse.Namespace) -> None:
    official(args.checkout, full=False)
    from modeling.modules.losses import (
        ReconstructionLoss_Single_Stage,
        ReconstructionLoss_Stage1,
        ReconstructionLoss_Stage2,
    )
    from modeling.tatitok import TATiTok
    from modeling.titok import TiTok as Official

    batch = cases.batch()
    show(
        pixel_case("one-stage", cases.one_stage(), Official, ReconstructionLoss_Single_Stage, batch)
    )
    show(
        pixel_case(
            "TA-TiTok, clustering",
            cases.one_stage(cases.GUIDED, clustering=True),
            TATiTok,
            ReconstructionLoss_Single_Stage,
            batch | {"text": cases.text()},
            clustering_vq=True,
        )
    )
    show(stage_one_case("stage 1", cases.stage_one(), Official, ReconstructionLoss_Stage1, batch))
    show(pixel_case("stage 2", cases.stage_two(), Official, ReconstructionLoss_Stage2, batch))
    show(trajectory(args.checkout, Official, ReconstructionLoss_Single_Stage))
    if args.piece:
        piece(args.piece, batch)


def piece(checkout: Path, batch: Any) -> None:
    """Compare One-D-Piece; its random length is made ours."""
    official(checkout, full=False)
    from modeling.modules.losses import ReconstructionLoss_Stage1, ReconstructionLoss_Stage2
    from modeling.one_d_piece import OneDPiece

    from titokzip.training.tasks.titok import tail_drop

    kept = tail_drop(cases.PIECE.length, 0, cases.STEP)
    OneDPiece.apply_tail_token_drop = lambda self, x: x[:, :, :, :kept]
    stage_1 = cases.stage_one(cases.PIECE)
    show(stage_one_case(f"One-D-Piece, stage 1, {kept} tokens", stage_1, OneDPiece,
                        ReconstructionLoss_Stage1, batch))  # fmt: skip
    stage_2 = cases.stage_two(cases.PIECE)
    show(pixel_case(f"One-D-Piece, stage 2, {kept} tokens", stage_2, OneDPiece,
                    ReconstructionLoss_Stage2, batch))  # fmt: skip


def full(args: argparse.Namespace) -> None:
    official(args.checkout, full=True)
    from modeling.modules.losses import (
        ReconstructionLoss_Single_Stage,
        ReconstructionLoss_Stage1,
        ReconstructionLoss_Stage2,
    )
    from modeling.titok import TiTok as Official

    batch = cases.batch(256, args.count)
    if "s128" in args.only:
        release = RELEASES["titok-s128"].config
        model = TiTok(release)
        load_state(model, weights(release), released_name, Path("s128"))
        own = random(vqgan_encoder.VQGAN(release.vqgan), "vqgan").eval()
        show(stage_one_case("s128, stage 1", StageOne(model, own, ProxyLosses()), Official,
                            ReconstructionLoss_Stage1, batch))  # fmt: skip
        show(pixel_case("s128, stage 2", full_task("titok-s128"), Official,
                        ReconstructionLoss_Stage2, batch))  # fmt: skip
    if "sl256" in args.only:
        show(pixel_case("sl256, one stage", full_task("titok-sl256"), Official,
                        ReconstructionLoss_Single_Stage, batch))  # fmt: skip


def show(result: dict[str, Any]) -> None:
    print(json.dumps(result), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--piece", type=Path)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--only", nargs="+", choices=FULL, default=FULL)
    parser.add_argument("--count", type=int, default=2)
    args = parser.parse_args()
    (full if args.full else small)(args)


if __name__ == "__main__":
    main()
