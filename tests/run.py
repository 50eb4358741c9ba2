"""Commands run in this process, as click tests them, or in one of their own."""

import os
import subprocess
import sys

from click.testing import CliRunner

from titokzip.cli import main


def run(*arguments, stdin=None, code=0, env=None):
    """Run titokzip, and expect an exit code and no traceback."""
    result = CliRunner(env=env).invoke(main, [str(part) for part in arguments], input=stdin)
    unexpected = result.exception is not None and not isinstance(result.exception, SystemExit)
    assert not unexpected, repr(result.exception)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result


def spawn(*arguments, **how):
    """Start titokzip as a process of its own, with all its streams in our hands."""
    command = [sys.executable, "-m", "titokzip", *map(str, arguments)]
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [os.fsencode(part) for part in command], **streams | how, env=environment
    )


def files(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
