"""titokzip doctor: what a bug report should say."""

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import click

from titokzip import __version__, zoo
from titokzip.cli.output import say, say_json
from titokzip.errors import ModelError

PACKAGES = ("torch", "numpy", "pillow", "constriction", "click", "rich", "safetensors")


@click.command(short_help="Show versions, devices and models, for a bug report.")
@click.option("--json", "as_json", is_flag=True, help="Report as JSON.")
def doctor(as_json: bool) -> None:
    """Show versions, devices and models: paste it into a bug report.

    On a machine with an Nvidia GPU it also shows CUDA, cuDNN, the driver, and each GPU's compute
    capability and memory.
    """
    from titokzip.runtime.cores import cores
    from titokzip.runtime.device import describe

    facts: dict[str, Any] = {
        "titokzip": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "cores": cores(),
        **{name: _version(name) for name in PACKAGES},
        **describe(),
        "folders": [str(folder) for folder in zoo.folders()],
        "models": _models(),
    }
    if as_json:
        say_json({"schema": 1, **facts})
        return
    for name, value in facts.items():
        say(f"{name:<13}{_shown(value)}")


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return "; ".join(map(_shown, value)) or "none"
    if isinstance(value, dict):  # a GPU
        computes = "bfloat16" if value["bfloat16"] else "no bfloat16"
        return (
            f"{value['name']}, capability {value['capability']}, {computes},"
            f" {value['free_gib']} of {value['memory_gib']} GiB free"
        )
    return str(value)


def _models() -> list[str]:
    """List the models that are here; a damaged one is named as such."""
    lines = []
    for path in zoo.files():
        try:
            manifest = zoo.read_manifest(path)
        except ModelError as error:
            lines.append(f"damaged: {error}")
        else:
            lines.append(f"{manifest.name} ({manifest.fingerprint.hex()[:8]})")
    return lines
