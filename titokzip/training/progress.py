"""What a run tells: a progress line, JSON lines, and TensorBoard where it is installed."""

import json
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

LOG: Final = "log.jsonl"


@dataclass(frozen=True)
class Progress:
    """Where a run stands, for whoever watches."""

    step: int
    steps: int
    samples: int  # seen by all processes
    rate: float  # samples a second, since this run began
    loss: float
    waiting: float  # share of the time spent waiting for data
    of_peak: float  # share of the device's matmul speed
    broken: int  # images of this process that could not be read


class Log:
    """Writes a line of JSON for every row, and the same numbers to TensorBoard."""

    def __init__(self, folder: Path, step: int) -> None:
        """Go on with the log of a folder; rows beyond `step` are of a run that was cut."""
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / LOG
        if self.path.exists():
            lines = self.path.read_text().splitlines(keepends=True)
            self.path.write_text("".join(line for line in lines if _step(line) <= step))
        self._board: Any = None
        if find_spec("tensorboard") is not None:
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)

    def write(self, step: int, kind: str, numbers: dict[str, float]) -> None:
        """Write the numbers of a step; `kind` is training or validation."""
        row = {"step": step, "kind": kind} | numbers
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        if self._board is not None:
            for name, number in numbers.items():
                self._board.add_scalar(f"{kind}/{name}", number, step)

    def close(self) -> None:
        """Finish what is buffered."""
        if self._board is not None:
            self._board.close()


class Clock:
    """Seconds since the run began, and how many of them were spent waiting."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self.waited = 0.0

    def seconds(self) -> float:
        """Tell the time."""
        return time.monotonic() - self._start


def _step(line: str) -> int:
    try:
        return int(json.loads(line)["step"])
    except (ValueError, LookupError, TypeError):
        return 2**63  # a line that was cut as it was written
