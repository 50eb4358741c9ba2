"""The docs say what is there: commands, options, links and the numbers of committed results."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from titokzip import zoo
from titokzip.cli import main

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "weights/README.md"]
PAGES += sorted((ROOT / "docs").glob("*.md"))


def code_lines(page: Path) -> Iterator[str]:
    """Give the lines of a page that are code: indented, or between fences."""
    fenced = False
    for line in page.read_text().splitlines():
        fenced ^= line.startswith("```")
        if fenced or line.startswith("    "):
            yield line


def invocations() -> list[str]:
    """Give every line of the docs that calls titokzip, pipes taken apart."""
    found = []
    for page in PAGES:
        for code in code_lines(page):
            line = code.split("#")[0].strip()
            if re.match(r"(cat .*\| )?titokzip ", line):
                found += [part.strip() for part in line.split("|") if "titokzip" in part]
    return found


@pytest.mark.parametrize("line", sorted(set(invocations())))
def test_documented_command_and_options_exist(line):
    words = line.split(" > ")[0].split()
    command: click.Command = main
    rest = words[1:]
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        name = rest.pop(0)
        assert name in command.commands, line
        command = command.commands[name]
    known = {option for parameter in command.params for option in parameter.opts}
    used = {word for word in rest if re.fullmatch(r"--?[a-zA-Z][a-z-]*", word)}
    assert used <= known | {"-h", "--help"}, line


def test_readme_calls_are_found():
    assert len(invocations()) >= 10


def every_command(group: click.Group, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    paths = []
    for name, command in group.commands.items():
        paths.append((*path, name))
        if isinstance(command, click.Group):
            paths += every_command(command, (*path, name))
    return paths


@pytest.mark.parametrize("path", every_command(main), ids=" ".join)
def test_every_command_has_help_and_is_in_the_readme_or_docs(path):
    result = CliRunner().invoke(main, [*path, "-h"])
    assert result.exit_code == 0
    assert len(result.output.splitlines()) > 3
    text = "".join(page.read_text() for page in PAGES)
    assert f"titokzip {' '.join(path)}" in text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    targets = re.findall(r"\]\((?!http)([^)#]+)\)", page.read_text())
    for target in targets:
        assert (page.parent / target).exists(), target


def test_no_placeholder_is_left():
    for page in PAGES:
        assert not re.search(r"@[A-Z]+@|TODO|XXX", page.read_text()), page


def test_readme_has_the_command_that_ci_runs():
    block = re.search(
        r"<!-- test -->\n```sh\n(.+)\n```\n<!-- /test -->", (ROOT / "README.md").read_text()
    )
    assert block is not None
    assert "pytest" in block[1]


def test_released_models_are_listed_as_they_are():
    page = (ROOT / "docs/models.md").read_text()
    for name, release in zoo.RELEASES.items():
        size = zoo.packed_bytes(release.tokens, release.vocabulary)
        rfid = "" if release.rfid is None else f"{release.rfid:.2f}"
        count = f"{release.parameters / 1e6:,.1f} M"
        cells = (f"`{name}`", release.repository, release.tokens, size, rfid, count)
        assert f"| {' | '.join(map(str, cells))} | {release.licence} |\n" in page
