"""Small settings, and how the tests call the commands."""

import json
import os
import signal

from click.testing import CliRunner

from titokzip.tokenizers.embedded.network_config import NetworkConfig
from titokzip.training.embedded.commands import main
from titokzip.training.embedded.context_model import Effort
from titokzip.training.embedded.trainer import Plan, Stage

EFFORT = Effort(blocks=80, pyramid=60, again=0.5, flags=40, signs=40, rows=512)
TINY = NetworkConfig((6, 8, 8, 8), (1, 1, 0, 1), (0, 1, 0, 0), 4)
PLAN = Plan(
    "xs",
    (Stage(0.5, 32, 2**13), Stage(1.0, 64, 2**13)),
    0.02,
    0.01,
    network=TINY,
    log_every=2,
    save_every=6,
    evaluate_every=8,
    evaluated=(3, 6),
)

STEPS = 12


def run(*arguments):
    """Run a command that should succeed; gives its output."""
    result = CliRunner().invoke(main, [str(one) for one in arguments])
    assert result.exit_code == 0, result.output
    return result.output


def log(out):
    return [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]


def stop_at(step):
    """Send this process the signal of Ctrl-C when a step is reported."""

    def report(record):
        if record["step"] == step:
            os.kill(os.getpid(), signal.SIGINT)

    return report
