"""One training in two processes, as torchrun starts them."""

import json
import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

PROGRAM = """
import sys, torch
from titokzip.cli import main
from titokzip.training import distributed
from titokzip.training.data import loader

distributed.join(torch.device("cpu"))
rank = distributed.rank()
value = torch.full((3,), rank + 1.0, requires_grad=True)
mean = distributed.mean(value)
assert (mean == 1.5).all()
mean.sum().backward()
assert (value.grad == 1).all()
assert distributed.gathered(rank) == [0, 1] and distributed.agree(rank + 7.0) == 7
assert [int(t) for t in distributed.gathered_tensors(torch.tensor(rank))] == [0, 1]

given = loader.ImageBatches.__next__
def watched(self):
    batch = given(self)
    with open(f"{sys.argv[1]}-{rank}", "a") as file:
        file.write("".join(f"{hash(image.numpy().tobytes())} " for image in batch["image"]) + "\\n")
    return batch
loader.ImageBatches.__next__ = watched
main(sys.argv[2:])
"""
SMALL = ["--set", "model.encoder={width=32, depth=1, heads=2}", "--set", "model.size=16"]
SMALL += ["--set", "model.decoder={width=32, depth=1, heads=2}", "--set", "optimization.rate=1e-3"]
SMALL += ["--set", 'optimization.optimizer="adamw"', "--set", "log_every=1", "--threads", "1"]
SMALL += ["--set", "loading={workers=0, lanes=2, held_out=0.0}", "--steps", "6", "--batch", "8"]
SMALL += ["--set", "losses.adversarial={weight=0.1, start=2, width=8, stages=2}"]
CODEBOOK = "quantize.embedding.weight"


def torchrun(processes, watched, *arguments):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--no-python"]
    command += ["--nproc-per-node", str(processes), sys.executable, "-c", PROGRAM, str(watched)]
    start([*command, *arguments])


def start(command):
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
    command = list(map(str, command))
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment)
    assert done.returncode == 0, done.stderr


def alone(watched, *arguments):
    program = PROGRAM.replace("[0, 1]", "[0]").replace("1.5", "1")
    start([sys.executable, "-c", program, watched, *arguments])


def logged(out):
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def seen(watched, rank):
    return [
        line.split()
        for line in watched.with_name(f"{watched.name}-{rank}").read_text().splitlines()
    ]


@pytest.mark.slow
def test_two_processes_see_disjoint_data_and_learn_what_one_learns(shards, tmp_path):
    common = ["train", "titok-tiny", "--data", shards, *SMALL]
    torchrun(2, tmp_path / "pair", *common, "--out", tmp_path / "two")
    alone(tmp_path / "alone", *common, "--out", tmp_path / "one")
    pair = [seen(tmp_path / "pair", rank) for rank in range(2)]
    for step, whole in enumerate(seen(tmp_path / "alone", 0)):
        assert not set(pair[0][step]) & set(pair[1][step])
        assert set(whole) == set(pair[0][step]) | set(pair[1][step])
    for one, two in zip(logged(tmp_path / "one"), logged(tmp_path / "two"), strict=True):
        assert (one["step"], one["kind"]) == (two["step"], two["kind"])
        if one["kind"] == "training":
            for name in ("loss", "reconstruction", "commitment"):
                assert one[name] == pytest.approx(two[name], rel=1e-4, abs=1e-7)
    weights = [
        load_file(tmp_path / out / "titok-tiny" / "model.safetensors") for out in ("one", "two")
    ]
    assert CODEBOOK in weights[0]
    for name, tensor in weights[0].items():
        other = weights[1][name]
        if name == CODEBOOK:
            # Float noise may move a vector at a border from one code to the next, and Adam makes
            # whole steps of whatever gradient a code gets or loses by that.
            same = torch.isclose(other, tensor, rtol=1e-3, atol=2e-4).all(dim=1)
            assert (~same).sum() <= 2
            other, tensor = other[same], tensor[same]
        torch.testing.assert_close(other, tensor, rtol=1e-3, atol=2e-4)
