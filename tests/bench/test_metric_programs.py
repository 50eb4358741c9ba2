"""Metrics by programs: found on the PATH, called with two PNG files, their number read."""

import numpy as np
import pytest
from PIL import Image

from titokzip.bench import metric_programs
from titokzip.bench.metric_programs import KNOWN, MetricProgram, available
from titokzip.errors import ModelError

BLACK, WHITE = np.zeros((9, 12, 3), np.uint8), np.full((9, 12, 3), 255, np.uint8)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The only folder on the PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def program(path, body):
    path.write_text("#!/bin/sh\n" + body)
    path.chmod(0o755)


def test_a_number_is_read_from_what_a_program_prints(folder):
    program(folder / "size", 'read -r line < "$1"; echo "score: -12.5e-1 of $2"')
    toy = MetricProgram("toy", ("size {original} {decoded}",), False, "toys")
    assert toy(BLACK, WHITE) == -1.25


def test_programs_get_the_original_and_the_decoded_image(folder):
    program(folder / "copy", f'/bin/cp "$1" {folder}/o.png; /bin/cp "$2" {folder}/d.png; echo 1')
    MetricProgram("toy", ("copy {original} {decoded}",), False, "toys")(BLACK, WHITE)
    for name, pixels in (("o", BLACK), ("d", WHITE)):
        assert np.array_equal(np.asarray(Image.open(folder / f"{name}.png")), pixels)


@pytest.mark.parametrize(("body", "told"), [("exit 3", "failed"), ("echo none", "no number")])
def test_programs_that_fail_say_so(folder, body, told):
    program(folder / "bad", body)
    with pytest.raises(ModelError, match=f"toy: bad .*{told}"):
        MetricProgram("toy", ("bad {original} {decoded}",), True, "toys")(BLACK, WHITE)


def test_ssimulacra2_is_measured_by_either_of_its_programs(folder):
    assert available() == []
    with pytest.raises(ModelError, match="pip install ssimulacra2"):
        KNOWN[0](BLACK, WHITE)
    program(folder / "ssymulacra2", "echo 1")  # of the package
    assert [one.name for one in available()] == ["ssimulacra2"]
    assert KNOWN[0](BLACK, WHITE) == 1
    program(folder / "ssimulacra2", "echo 2")  # of libjxl, which comes first
    assert KNOWN[0](BLACK, WHITE) == 2


def test_a_program_that_is_not_here_says_how_to_get_it(folder):
    with pytest.raises(ModelError, match="toy: from the toy shop"):
        MetricProgram("toy", ("toy {original}",), False, "from the toy shop")(BLACK, WHITE)


def test_versions_of_a_program_are_told_apart(folder):
    toy, found = MetricProgram("toy", ("toy {original}",), False, "toys"), set()
    (folder / "version").write_text("1")
    program(folder / "toy", f"/bin/cat {folder}/version")
    for version in "12":
        (folder / "version").write_text(version)
        metric_programs._hashes.cache_clear()
        found.add(toy.sha256)
    assert len(found) == 2
