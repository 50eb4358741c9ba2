"""Forked workers use a model although their parent did before."""

import os
import subprocess
import sys

import pytest

FORKED = """
import multiprocessing, sys, warnings
from PIL import Image
import titokzip, torch
warnings.simplefilter("ignore")
torch.set_num_threads(2)

data = titokzip.compress(Image.new("RGB", (64, 48)), device="cpu")

def work(number):
    return titokzip.decompress(data, device="cpu").size

work(1)
with multiprocessing.get_context("fork").Pool(2) as pool:
    print(pool.map_async(work, range(4)).get(timeout=60))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_workers_do_not_hang():
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    command = [sys.executable, "-c", FORKED]
    told = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=100)
    assert told.stdout.strip() == str([(64, 48)] * 4), told.stderr[-500:]
