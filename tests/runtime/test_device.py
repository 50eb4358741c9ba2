"""Which devices are here and what is said of them, on machines that the tests make up."""

import json

import pytest
import torch
from run import run

from titokzip.runtime import device
from titokzip.zoo import store

NVIDIA = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.86.15  Thu Jan 23 03:12:13 UTC 2025\n"


@pytest.fixture
def gpus(monkeypatch, tmp_path):
    """Stand in for a machine with two GPUs."""
    for name, value in {
        "is_available": lambda: True,
        "device_count": lambda: 2,
        "get_device_name": lambda index: f"GPU {index}",
        "get_device_capability": lambda index: (9, index),
        "mem_get_info": lambda index: (40 << 30, 80 << 30),
        "is_bf16_supported": lambda including_emulation: True,
    }.items():
        monkeypatch.setattr(torch.cuda, name, value)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.backends.cudnn, "version", lambda: 91002)
    (tmp_path / "version").write_text(NVIDIA)
    monkeypatch.setattr(device, "_DRIVER", tmp_path / "version")


def test_devices_are_listed_slowest_first(gpus, monkeypatch):
    assert device.devices() == ["cpu", "cuda"]
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert device.devices() == list(device.NAMES) == ["cpu", "mps", "cuda"]
    assert device.choose() == "cuda"
    assert device.choose("cuda:1") == "cuda:1"


def test_a_device_that_is_not_here_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="device 'cuda:0' is not available; this machine has cpu"):
        device.choose("cuda:0")


def test_a_gpu_is_described_with_its_libraries(gpus):
    facts = device.describe()
    assert (facts["cuda"], facts["cudnn"], facts["driver"]) == ("13.0", "9.10.2", "570.86.15")
    assert facts["gpus"][1] == {
        "name": "GPU 1",
        "capability": "9.1",
        "memory_gib": 80,
        "free_gib": 40,
        "bfloat16": True,
    }


@pytest.mark.parametrize(
    ("version", "spelled"), [(91002, "9.10.2"), (8902, "8.9.2"), (90100, "9.1.0"), (None, None)]
)
def test_versions_of_cudnn_are_spelled_as_it_spells_them(version, spelled):
    assert device._cudnn(version) == spelled


def test_a_machine_without_a_gpu_says_nothing_of_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    facts = device.describe()
    assert facts["devices"][0] == "cpu"
    assert not {"cuda", "cudnn", "driver", "gpus"} & facts.keys()


@pytest.mark.parametrize(
    ("name", "waited"), [("cpu", []), ("cuda:1", ["cuda:1"]), ("mps", ["mps"])]
)
def test_only_devices_that_run_behind_are_waited_for(name, waited, monkeypatch):
    called = []
    monkeypatch.setattr(torch.cuda, "synchronize", called.append)
    monkeypatch.setattr(torch.mps, "synchronize", lambda: called.append("mps"))
    device.synchronize(name)
    assert called == waited


def test_doctor_shows_gpus_and_their_libraries(gpus):
    facts = json.loads(run("doctor", "--json").stdout)
    assert facts["devices"] == ["cpu", "cuda"]
    assert (facts["cuda"], facts["cudnn"], facts["driver"]) == ("13.0", "9.10.2", "570.86.15")
    lines = dict(line.split(maxsplit=1) for line in run("doctor").stdout.splitlines())
    assert lines["cudnn"] == "9.10.2"
    first, second = lines["gpus"].split("; ")
    assert first == "GPU 0, capability 9.0, bfloat16, 40.0 of 80.0 GiB free"
    assert "9.1" in second


def test_doctor_names_damaged_models_and_escapes_what_they_say(tmp_path, monkeypatch):
    (tmp_path / "a\x1b[31m.safetensors").write_bytes(b"damaged")
    monkeypatch.setattr(store, "folders", lambda: [tmp_path])
    (model,) = json.loads(run("doctor", "--json").stdout)["models"]
    assert model.startswith("damaged: ")
    shown = run("doctor").stdout
    assert "\x1b" not in shown
    assert "\\x1b[31m" in shown
