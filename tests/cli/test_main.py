"""What holds for all commands, and the small ones: doctor."""

import json

import click
import pytest
import torch
from click.testing import CliRunner
from photos import photo
from run import run

import titokzip
from titokzip.cli import main
from titokzip.cli.commands import COMMANDS
from titokzip.zoo import store


def commands(group=main, path=()):
    for name, command in group.commands.items():
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


@pytest.mark.parametrize(("path", "command"), list(commands()), ids=str)
def test_every_command_and_option_has_help(path, command):
    assert run(*path, "-h").stdout == run(*path, "--help").stdout
    assert run(*path, "-h").stdout.startswith(f"Usage: main {' '.join(path)} ")
    assert command.help
    for option in command.params:
        if isinstance(option, click.Option) and option.name not in ("seed", "device", "help"):
            assert option.help, option.name


def test_the_first_page_lists_all_commands():
    told = run("--help").stdout
    for name in COMMANDS:
        assert f"\n  {name} " in told
    assert told == run("-h").stdout


def test_an_environment_variable_is_no_option_for_the_version():
    """It is the usual name for what a Dockerfile pins."""
    assert "compress" in run("--help", env={"TITOKZIP_VERSION": "1"}).output
    run("info", "nothing.ttk", env={"TITOKZIP_VERSION": "0.1"}, code=1)


def test_version():
    assert run("-V").stdout == run("--version").stdout
    assert run("-V").stdout.strip().endswith(titokzip.__version__)


@pytest.mark.parametrize("arguments", [[], ["photo.png"], ["-x"], ["models"], ["models", "x"]])
def test_what_is_no_command_is_a_usage_error(arguments):
    assert "Usage: " in run(*arguments, code=2).output


def test_doctor():
    told = json.loads(run("doctor", "--json").stdout)
    assert told["schema"] == 1
    assert told["titokzip"] == titokzip.__version__
    assert told["torch"] != "missing"
    assert "cpu" in told["devices"]
    assert any(model.startswith("xs (") for model in told["models"])
    lines = run("doctor").stdout.splitlines()
    assert [line.split()[0] for line in lines] == [name for name in told if name != "schema"]


def test_doctor_without_models(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "folders", lambda: [tmp_path])
    assert json.loads(run("doctor", "--json").stdout)["models"] == []
    assert "none" in run("doctor").stdout
    assert "there is: none" in run("compress", "a.png", code=3).stderr


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (MemoryError(), "out of memory"),
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried"),
            "out of memory on the device; a smal",
        ),
    ],
    ids=repr,
)
def test_memory_that_runs_out_is_one_line(tmp_path, monkeypatch, error, told):
    """Of a file, and before there is any."""

    def exhausted(self, many, *_):
        for one in many:
            raise error
            yield one

    photo(20, 20).save(tmp_path / "a.png")
    monkeypatch.setattr("titokzip.codec.Codec.compress_many", exhausted)
    line = run("compress", tmp_path / "a.png", code=1).stderr
    assert line.startswith(f"titokzip: {tmp_path / 'a.png'}: {told}")
    assert line.count("\n") == 1
    monkeypatch.setattr("titokzip.loading.load", lambda *_, **__: next(exhausted(None, [1])))
    line = run("compress", tmp_path / "a.png", code=1).stderr
    assert line.startswith(f"titokzip: {told}")
    assert line.count("\n") == 1


def test_bugs_keep_their_traceback(tmp_path, monkeypatch):
    def broken(*_, **__):
        raise RuntimeError("a bug")

    photo(20, 20).save(tmp_path / "a.png")
    monkeypatch.setattr("titokzip.codec.Codec.compress_many", broken)
    told = CliRunner().invoke(main, ["compress", str(tmp_path / "a.png")])
    assert isinstance(told.exception, RuntimeError)
