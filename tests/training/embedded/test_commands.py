"""The page about rebuilding the model says what the commands take."""

import re
import shlex
from pathlib import Path

import pytest

from titokzip.training.embedded.commands import main

PAGE = Path(__file__).parents[3] / "docs/training-embedded.md"
LINES = re.findall(r"^    python -m titokzip\.training\.embedded (.*)$", PAGE.read_text(), re.M)


def test_every_command_is_on_the_page():
    assert {shlex.split(line)[0] for line in LINES} == set(main.commands)


@pytest.mark.parametrize("line", LINES)
def test_commands_on_the_page_take_their_options(line):
    name, *rest = shlex.split(line)
    known = {option for one in main.commands[name].params for option in one.opts}
    assert {word for word in rest if word.startswith("--")} <= known
