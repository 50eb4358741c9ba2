"""titokzip doctor: what a bug report should say."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import click

from titokzip import __version__
from titokzip.cli.output import say, say_json
from titokzip.errors import ModelError

PACKAGES = ("torch", "numpy", "pillow", "constriction", "click", "rich", "safetensors")


@click.command(short_help="Show versions, devices and models, for a bug report.")
@click.option("--json", "as_json", is_flag=True, help="Report as JSON.")
def doctor(as_json: bool) -> None:
    """Show versions, devices and models, for a bug report."""
    from titokzip import zoo

    facts: dict[str, Any] = {
        "titokzip": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "cores": os.cpu_count(),
        **{name: _version(name) for name in PACKAGES},
        "devices": _devices(),
        "folders": [str(folder) for folder in zoo.folders()],
        "models": _models(),
    }
    if as_json:
        say_json({"schema": 1, **facts})
        return
    for name, value in facts.items():
        shown = ", ".join(map(str, value)) or "none" if isinstance(value, list) else value
        say(f"{name:<13}{shown}")


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"


def _devices() -> list[str]:
    import torch

    devices = ["cpu"]
    devices += [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return devices + (["mps"] if torch.backends.mps.is_available() else [])


def _models() -> list[str]:
    from titokzip import zoo

    try:
        return [
            f"{manifest.name} ({manifest.fingerprint.hex()[:8]})" for manifest in zoo.manifests()
        ]
    except ModelError as error:
        return [str(error)]
