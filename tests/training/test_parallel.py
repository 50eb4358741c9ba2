"""One training in several processes."""

import json
import subprocess
import sys

from titokzip import zoo
from titokzip.training import pipeline

# The processes average and agree, then stay together for the command.
PROGRAM = """
import torch
from titokzip.cli import main
from titokzip.training import parallel
parallel.join(torch.device("cpu"))
rank = parallel.rank()
one, other = torch.full((2, 3), float(rank)), torch.full((5,), 10.0 * rank)
parallel.average([one, other])
assert one.shape == (2, 3) and (one == 0.5).all() and (other == 5).all()
parallel.share([one.fill_(rank)])
assert (one == 0).all()
assert parallel.agree(rank + 7.0) == 7 and parallel.size() == 2
main()
"""


def torchrun(program, *arguments):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--no-python"]
    command += ["--nproc-per-node", "2", sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_two_processes_average_agree_and_train_one_model(untrained, photos, folder, tmp_path):
    path = tmp_path / "begun.safetensors"
    manifest = zoo.save(path, "begun", untrained, pipeline.count(untrained, photos, 0), "none")
    given = ["--data", folder, "--out", tmp_path / "run", "--minutes", "0.02", "--threads", "1"]
    done = torchrun(PROGRAM, "train", "toy", "--init", path, *given, "--device", "cpu")
    assert done.returncode == 0, done.stderr
    trained = zoo.read_manifest(tmp_path / "run" / "toy.safetensors")
    assert trained.fingerprint == manifest.fingerprint
    assert trained.digest != manifest.digest
    rows = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    assert [json.loads(row)["pictures"] > 0 for row in rows] == [True]  # written once
