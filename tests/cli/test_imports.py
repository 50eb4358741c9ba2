"""Commands import what they use: one that runs no network imports no torch."""

import json
import subprocess
import sys

import pytest
from photos import photo

import titokzip
from titokzip.bitstream import container

WATCHED = """
import atexit, json, os, sys
path = sys.argv.pop(1)
atexit.register(lambda: open(path, "w").write(json.dumps(sorted(sys.modules))))
from titokzip.__main__ import main
main()
"""
HEAVY = {"torch", "torchvision", "ray", "fsspec", "huggingface_hub"}


def modules(tmp_path, *arguments, code=0):
    """Run a command in a process of its own; list the modules that it has at its end."""
    path = tmp_path / "modules.json"
    command = [sys.executable, "-c", WATCHED, path, *arguments]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return set(json.loads(path.read_text()))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An image, and .ttk files of it that the network refines and that it does not."""
    folder = tmp_path_factory.mktemp("imports")
    image = photo(40, 32)
    image.save(folder / "a.png")
    image.save(folder / "a.webp", lossless=True)
    for quality in (10, 100):
        (folder / f"{quality}.ttk").write_bytes(titokzip.compress(image, quality=quality))
    return folder


@pytest.mark.parametrize(
    "command",
    ["--help", "--version", "compress --help", "info 10.ttk", "test 10.ttk", "models list"],
)
def test_commands_without_pixels(command, folder, tmp_path):
    words = [folder / word if word.endswith(".ttk") else word for word in command.split()]
    found = modules(tmp_path, *words)
    assert not found & HEAVY
    if "help" in command or "version" in command:
        assert not found & {"numpy", "PIL", "rich", "safetensors"}


@pytest.mark.parametrize("name", ["a.png", "a.webp"])
def test_compressing_one_runs_no_network_and_no_worker(name, folder, tmp_path):
    found = modules(tmp_path, "compress", folder / name, "-o", tmp_path / "a.ttk")
    assert not found & HEAVY
    assert not found & {"multiprocessing", "PIL.PdfImagePlugin"}  # the latter by Image.init
    assert container.unpack((tmp_path / "a.ttk").read_bytes()).whole


def test_verifying_runs_no_network(folder, tmp_path):
    told = "compress", folder / "a.png", "--verify", "-o", tmp_path / "a.ttk"
    assert not modules(tmp_path, *told) & HEAVY


@pytest.mark.parametrize("quality", [10, 100])
def test_decompressing_a_small_file_imports_no_torch(quality, folder, tmp_path):
    source = folder / f"{quality}.ttk"
    refined = container.unpack(source.read_bytes()).header.layout.refined
    assert refined == (quality == 10)
    assert not modules(tmp_path, "decompress", source, "-o", tmp_path / "a.png") & HEAVY


@pytest.mark.parametrize("more", [["100.ttk"], ["--device", "cpu"]])
def test_decompressing_more_or_on_a_device_imports_torch(more, folder, tmp_path):
    words = [folder / word if word.endswith(".ttk") else word for word in more]
    found = modules(tmp_path, "decompress", folder / "10.ttk", *words, "-O", tmp_path)
    assert "torch" in found
